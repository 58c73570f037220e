// SPDX-License-Identifier: GPL-2.0-only
/*
 * One XDP program that in one NAPI poll redirects through two device maps, a
 * CPUMAP, an XSKMAP with an AF_XDP socket, and bpf_redirect(), in turn by the
 * number of the frame. All of these share the kernel's per-CPU redirect state
 * and its flush at the end of the poll. Each frame must arrive once, at the
 * receiver for its number.
 *
 * The second device map is always stock, the first one is the map under test.
 * So a claimed map is used beside a stock one, or two stock ones are.
 */
#include <sys/mman.h>

#include <xdp/xsk.h>

#include "harness.h"
#include "sinklib.h"
#include "testlib.h"
#include "xdplib.h"

/* As in redirect_mixed.bpf.c. */
enum way { FIRST, SECOND, CPU, SOCKET, DIRECT, WAYS };

#define FRAMES 1000
#define PART 200	/* less than a veth's ring holds, at least 241 */
/* Veth pairs tN, rN; the last two are for the CPUMAP's program. */
#define PAIRS 5
#define UMEM_FRAMES 1024
#define UMEM_FRAME 4096
#define UMEM_SIZE (UMEM_FRAMES * UMEM_FRAME)

/**
 * struct xsk - an AF_XDP socket that receives
 * @sink: the received frames
 * @socket: the socket
 * @umem: its memory...
 * @area: ...as mapped in this process
 * @rx: received frames
 * @fill: buffers for further frames
 * @completion: unused, but required
 */
struct xsk {
	struct sink sink;
	struct xsk_socket *socket;
	struct xsk_umem *umem;
	void *area;
	struct xsk_ring_cons rx;
	struct xsk_ring_prod fill;
	struct xsk_ring_cons completion;
};

static bool xsk_give(struct xsk *xsk, __u64 addr)
{
	__u32 at;

	if (!xsk_ring_prod__reserve(&xsk->fill, 1, &at))
		return false;
	*xsk_ring_prod__fill_addr(&xsk->fill, at) = addr;
	xsk_ring_prod__submit(&xsk->fill, 1);
	return true;
}

static void xsk_poll(struct sink *sink)
{
	struct xsk *xsk = (struct xsk *)sink;
	const struct xdp_desc *desc;
	__u32 at;

	while (xsk_ring_cons__peek(&xsk->rx, 1, &at)) {
		desc = xsk_ring_cons__rx_desc(&xsk->rx, at);
		sink_take(sink, xsk_umem__get_data(xsk->area, desc->addr), desc->len);
		xsk_give(xsk, desc->addr & ~(UMEM_FRAME - 1ULL));
		xsk_ring_cons__release(&xsk->rx, 1);
	}
}

static bool xsk_open(struct xsk *xsk, const char *dev)
{
	const struct xsk_umem_config memory = {
		.fill_size = UMEM_FRAMES,
		.comp_size = UMEM_FRAMES,
		.frame_size = UMEM_FRAME,
	};
	const struct xsk_socket_config config = {
		.rx_size = UMEM_FRAMES,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = XDP_COPY,
	};
	int i;

	xsk->area = mmap(NULL, UMEM_SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (xsk->area == MAP_FAILED ||
	    xsk_umem__create(&xsk->umem, xsk->area, UMEM_SIZE, &xsk->fill,
			     &xsk->completion, &memory) ||
	    xsk_socket__create(&xsk->socket, dev, 0, xsk->umem, &xsk->rx, NULL, &config))
		return false;
	for (i = 0; i < UMEM_FRAMES; i++)
		if (!xsk_give(xsk, i * UMEM_FRAME))
			return false;
	sink_use(&xsk->sink, "AF_XDP", xsk_socket__fd(xsk->socket), 0);
	xsk->sink.poll = xsk_poll;
	return true;
}

static void xsk_close(struct xsk *xsk)
{
	xsk_socket__delete(xsk->socket);
	xsk_umem__delete(xsk->umem);
	munmap(xsk->area, UMEM_SIZE);
}

FIXTURE(neighbours)
{
	struct env e;
	struct xsk xsk;
	struct sink peer[PAIRS];	/* r0, r1... */
	struct sink stack;		/* g1, the ingress device */
	struct bpf_link *flush;
};

FIXTURE_VARIANT(neighbours)
{
	struct kind kind;
};

ALL_KINDS(neighbours);

static bool put_in(int map, __u32 key, const char *dev)
{
	__u32 ifindex = if_nametoindex(dev);

	return !bpf_map_update_elem(map, &key, &ifindex, BPF_ANY);
}

static int map_of(struct env *e, const char *name)
{
	return bpf_object__find_map_fd_by_name(e->obj, name);
}

/* Makes the CPUMAP contain the last CPU, with a program or without. */
static bool set_cpu(struct env *e, const char *program)
{
	struct bpf_cpumap_val val = {
		.qsize = FRAMES,
		.bpf_prog.fd = program ? prog(e, program) : 0,
	};
	__u32 cpu = sysconf(_SC_NPROCESSORS_ONLN) - 1;

	set_var(e, "cpu", cpu);
	return !bpf_map_update_elem(map_of(e, "cpus"), &cpu, &val, BPF_ANY);
}

FIXTURE_SETUP(neighbours)
{
	const struct kind *kind = &variant->kind;
	struct env *e = &self->e;
	__u32 key = 0, fd;
	int i;

	e->generic = kind->generic;
	ASSERT_TRUE(module_refs_become(0));
	ASSERT_TRUE(make_net(e));
	if (!kind->generic)
		ASSERT_TRUE(make_veth("g0", "g1", ""));
	ASSERT_TRUE(open_object(e, "redirect_mixed.bpf.o"));
	ASSERT_TRUE(use_map(e, "first", make_map(kind->claimed, kind->type, 8)));
	ASSERT_TRUE(use_map(e, "second", make_map(false, kind->type, 8)));
	ASSERT_TRUE(load_object(e));

	for (i = 0; i < PAIRS; i++) {
		static const char *const peer[] = { "r0", "r1", "r2", "r3", "r4" };
		char dev[] = { 't', '0' + i, '\0' };

		ASSERT_TRUE(make_veth(dev, peer[i], ""));
		ASSERT_TRUE(attach(e, peer[i], "pass", kind->generic));
		ASSERT_TRUE(sink_open(&self->peer[i], peer[i]));
	}
	ASSERT_TRUE(sink_open(&self->stack, "g1"));
	ASSERT_TRUE(attach(e, "g1", "spread", kind->generic));
	ASSERT_TRUE(xsk_open(&self->xsk, "g1"));
	fd = xsk_socket__fd(self->xsk.socket);

	ASSERT_TRUE(put_in(e->maps[0], 0, "t0"));
	ASSERT_TRUE(put_in(e->maps[1], 0, "t1"));
	set_var(e, "direct_to", if_nametoindex("t2"));
	ASSERT_TRUE(put_in(e->maps[0], 1, "t3"));
	ASSERT_TRUE(put_in(e->maps[1], 1, "t4"));
	ASSERT_TRUE(set_cpu(e, NULL));
	ASSERT_EQ(bpf_map_update_elem(map_of(e, "sockets"), &key, &fd, BPF_ANY), 0);
	self->flush = bpf_program__attach(bpf_object__find_program_by_name(e->obj, "flush"));
	ASSERT_NE(self->flush, NULL);
}

FIXTURE_TEARDOWN(neighbours)
{
	int i;

	bpf_link__destroy(self->flush);
	for (i = 0; i < PAIRS; i++)
		sink_close(&self->peer[i]);
	sink_close(&self->stack);
	xsk_close(&self->xsk);
	EXPECT_TRUE(del_net(&self->e));
	unload(&self->e);
	EXPECT_TRUE(module_refs_become(0));
}

/*
 * Sets the numbers that each receiver must get; @where has a sink for each way.
 */
static void expect(struct sink *const *where)
{
	unsigned int nr;

	for (nr = 0; nr < FRAMES; nr++)
		sink_expect(where[nr % WAYS], nr, 1, NUMBERED_LEN);
}

static bool all_ok(FIXTURE_DATA(neighbours) *self)
{
	bool ok = sink_ok(&self->xsk.sink) & sink_ok(&self->stack);
	int i;

	for (i = 0; i < PAIRS; i++)
		ok &= sink_ok(&self->peer[i]);
	return ok;
}

/*
 * In parts, with a wait after each: 6.1 leaves softirqs to ksoftirqd while that
 * has work, and ksoftirqd may get no CPU until the sender has sent all frames.
 */
static int send_frames(struct env *e)
{
	unsigned int nr;
	int err = 0;

	set_var(e, "seen", 0);
	for (nr = 0; nr < FRAMES && !err; nr += PART) {
		err = send_numbered(e, "g0", nr, PART);
		if (!err && !all_seen(e, nr + PART))
			err = -ETIMEDOUT;
	}
	return err;
}

/*
 * In native XDP several frames for a device were sent at once, so the program
 * has used all ways several times in one poll.
 */
static bool in_bulks(struct env *e, const char *dev)
{
	volatile __u64 *flushes = global(e, "flushes"), *flushed = global(e, "flushed");
	int at = if_nametoindex(dev) % DEVICES;

	return flushed[at] == FRAMES / WAYS && flushes[at] < flushed[at] / 4;
}

TEST_F(neighbours, each_to_its_own)
{
	struct sink *where[] = {
		&self->peer[0], &self->peer[1], &self->stack, &self->xsk.sink, &self->peer[2],
	};
	struct env *e = &self->e;

	expect(where);
	ASSERT_EQ(send_frames(e), 0);
	EXPECT_TRUE(all_ok(self));
	if (variant->kind.generic)
		return;
	EXPECT_TRUE(in_bulks(e, "t0"));
	EXPECT_TRUE(in_bulks(e, "t1"));
	EXPECT_TRUE(in_bulks(e, "t2"));

	/* frames from the generator, without an ingress device */
	expect(where);
	set_var(e, "feed_nr", 0);
	ASSERT_EQ(send_live_from(e, "spread_new", "g1", FRAMES, NUMBERED_LEN), 0);
	EXPECT_TRUE(all_ok(self));
}

/* Both maps and bpf_redirect() send to one device: three queues, one driver. */
TEST_F(neighbours, all_to_one_device)
{
	struct sink *where[] = {
		&self->peer[0], &self->peer[0], &self->stack, &self->xsk.sink, &self->peer[0],
	};
	struct env *e = &self->e;

	ASSERT_TRUE(put_in(e->maps[1], 0, "t0"));
	set_var(e, "direct_to", if_nametoindex("t0"));
	expect(where);
	ASSERT_EQ(send_frames(e), 0);
	EXPECT_TRUE(all_ok(self));
}

/* The CPUMAP has a program, which redirects through both maps again. */
static struct sink *behind_cpumap(FIXTURE_DATA(neighbours) *self, unsigned int nr)
{
	return &self->peer[nr / WAYS % 2 ? 3 : 4];
}

TEST_F(neighbours, on_from_the_cpumap)
{
	struct sink *where[] = {
		&self->peer[0], &self->peer[1], NULL, &self->xsk.sink, &self->peer[2],
	};
	struct env *e = &self->e;
	unsigned int nr;

	ASSERT_TRUE(set_cpu(e, "on_cpu"));
	if (variant->kind.generic) {
		/*
		 * One by one: the kernel runs a CPUMAP's program on the first
		 * packet of a batch only, and passes the others to the stack.
		 */
		for (nr = CPU; nr < 20 * WAYS; nr += WAYS) {
			sink_expect(behind_cpumap(self, nr), nr, 1, NUMBERED_LEN);
			ASSERT_EQ(send_on(e->sock, "g0", nr, 1, NUMBERED_LEN), 0);
			EXPECT_TRUE(sink_ok(behind_cpumap(self, nr)));
		}
		EXPECT_TRUE(all_ok(self));
		return;
	}

	for (nr = 0; nr < FRAMES; nr++)
		sink_expect(where[nr % WAYS] ?: behind_cpumap(self, nr), nr, 1, NUMBERED_LEN);
	ASSERT_EQ(send_frames(e), 0);
	EXPECT_TRUE(all_ok(self));
}

int main(int argc, char **argv)
{
	return can_test() ? test_harness_run(argc, argv) : KSFT_SKIP;
}
