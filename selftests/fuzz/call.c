// SPDX-License-Identifier: GPL-2.0-only
/*
 * bpf(2) with invalid descriptors, addresses, sizes and attributes, as an
 * operation requests.
 */
#include <sys/mman.h>
#include <sys/syscall.h>

#include "call.h"

/* The length of the longest value. */
#define VALUE_ROOM sizeof(struct redirmap_val)
/* An attribute that is longer than a page, which the kernel refuses. */
#define ATTR_ROOM 8192

static __u8 *attr_room;
/* A writable page, a read-only page, and one that is not mapped. */
static __u8 *pages;
static __u8 *value_place;

bool call_init(void)
{
	const int prot = PROT_READ | PROT_WRITE, map = MAP_PRIVATE | MAP_ANONYMOUS;
	const long size = sysconf(_SC_PAGESIZE);

	attr_room = mmap(NULL, ATTR_ROOM, prot, map, -1, 0);
	pages = mmap(NULL, 3 * size, prot, map, -1, 0);
	if (attr_room == MAP_FAILED || pages == MAP_FAILED)
		return false;
	/* A value that is not 0. */
	*(__u32 *)(pages + size) = 1;
	return !mprotect(pages + size, size, PROT_READ) &&
	       !mprotect(pages + 2 * size, size, PROT_NONE);
}

/* 0 or a descriptor, or -errno. */
int bpf_call(int cmd, union bpf_attr *attr, const struct op *op)
{
	unsigned int size = op->size ?: sizeof(*attr);
	int ret;

	memset(attr_room + sizeof(*attr), 0, 512);
	memcpy(attr_room, attr, sizeof(*attr));
	if (op->poke)
		attr_room[op->poke % 512] = 1;
	ret = syscall(__NR_bpf, cmd, attr_room, size > ATTR_ROOM ? ATTR_ROOM : size);
	if (ret < 0)
		ret = -errno;
	if (op->poke)
		attr_room[op->poke % 512] = 0;
	memcpy(attr, attr_room, sizeof(*attr));
	return ret;
}

static void *kernel_address(void)
{
	return (void *)0xffff888000000000UL;
}

void *place_key(const struct op *op, __u32 key)
{
	const long size = sysconf(_SC_PAGESIZE);
	__u8 *place = pages;

	switch (op->ptr) {
	case PTR_KEY_NULL:
		return NULL;
	case PTR_KEY_BAD:
		return (void *)8;
	case PTR_KEY_KERNEL:
		return kernel_address();
	case PTR_KEY_SHORT:
		return pages + 2 * size - 2;
	}
	memset(place, 0xee, 16);
	memcpy(place, &key, sizeof(key));
	return place;
}

void *place_value(const struct op *op, const __u64 *value)
{
	const long size = sysconf(_SC_PAGESIZE);

	value_place = pages + 64;
	memset(value_place, 0xee, VALUE_ROOM);
	if (value)
		memcpy(value_place, value, sizeof(*value));
	switch (op->ptr) {
	case PTR_VALUE_NULL:
		return NULL;
	case PTR_VALUE_BAD:
		return (void *)8;
	case PTR_VALUE_KERNEL:
		return kernel_address();
	case PTR_VALUE_READ_ONLY:
		return pages + size;
	}
	return value_place;
}

const __u8 *placed_value(void)
{
	return value_place;
}
