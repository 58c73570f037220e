/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A socket that stays locked: a task sends a page that it cannot read until the
 * test lets it, and the kernel reads the page while it has locked the socket.
 */
#ifndef REDIRMAP_SOCKPAGE_H
#define REDIRMAP_SOCKPAGE_H

#include <linux/userfaultfd.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

struct page {
	int fd;
	char *at;
	size_t size;
};

static inline bool page_make(struct page *page)
{
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .mode = UFFDIO_REGISTER_MODE_MISSING };

	page->size = sysconf(_SC_PAGESIZE);
	page->at = mmap(NULL, page->size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			-1, 0);
	/* Without O_NONBLOCK, poll() does not wait. */
	page->fd = syscall(__NR_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	reg.range.start = (unsigned long)page->at;
	reg.range.len = page->size;
	return page->at != MAP_FAILED && page->fd >= 0 && !ioctl(page->fd, UFFDIO_API, &api) &&
	       !ioctl(page->fd, UFFDIO_REGISTER, &reg);
}

static inline bool page_is_awaited(const struct page *page)
{
	struct pollfd event = { .fd = page->fd, .events = POLLIN };

	return poll(&event, 1, 60000) == 1 && event.revents == POLLIN;
}

static inline bool page_give(const struct page *page)
{
	struct uffdio_zeropage zero = {
		.range = { .start = (unsigned long)page->at, .len = page->size },
	};

	return !ioctl(page->fd, UFFDIO_ZEROPAGE, &zero);
}

struct sender {
	int sock;
	struct page page;
	ssize_t sent;
};

/* The sender reads the page while it has locked the socket. */
static inline void *send_page(void *arg)
{
	struct sender *sender = arg;

	sender->sent = send(sender->sock, sender->page.at, 100, MSG_NOSIGNAL);
	return NULL;
}

#endif
