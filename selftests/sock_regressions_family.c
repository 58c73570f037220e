// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packets of each family and type of sockets (sk_skb) are redirected to each
 * other one, in both directions: the same bytes, and the same refusals, with
 * stock and claimed maps. sock_redirect has TCP as the source, and messages.
 */
#include "sockcase.h"

FIXTURE(families) {
	struct sock_case c;
};

FIXTURE_VARIANT(families) {
	struct kind kind;
};

SOCK_KINDS(families);

FIXTURE_SETUP(families)
{
	ASSERT_TRUE(case_begin(&self->c, &variant->kind));
}

FIXTURE_TEARDOWN(families)
{
	EXPECT_TRUE(case_end(&self->c));
}

enum family { TCP, UDP4, UDP6, UNIX_STREAM, UNIX_DGRAM, VSOCK, FAMILIES };

static const char *const names[] = {
	"TCP", "UDP over IPv4", "UDP over IPv6", "Unix stream", "Unix datagram", "vsock",
};

static int make_pair(enum family family, int fds[2])
{
	switch (family) {
	case TCP:
		return tcp_pair(AF_INET, fds);
	case UDP4:
		return udp_pair(AF_INET, fds);
	case UDP6:
		return udp_pair(AF_INET6, fds);
	case UNIX_STREAM:
		return unix_pair(fds);
	case UNIX_DGRAM:
		return socketpair(AF_UNIX, SOCK_DGRAM, 0, fds) ? -errno : 0;
	default:
		return vsock_pair(fds);
	}
}

/* The kernel does not redirect to the ingress queue of vsock. */
static bool accepts(enum family target, __u64 flags)
{
	return target != VSOCK || !flags;
}

/* One packet; true if the kernel has done what is expected. */
static bool redirected(struct sock_case *c, enum family from, enum family to, __u64 flags)
{
	int prog = sock_prog(c->obj, "skb", c->is_hash), source[2], target[2];
	bool ok, passes = accepts(to, flags);
	struct sock_vars vars;

	if (make_pair(from, source) || make_pair(to, target))
		return false;
	/* Only the source has the program. */
	ok = !bpf_prog_attach(prog, c->map, BPF_SK_SKB_VERDICT, 0) &&
	     !sock_put(c->map, SOURCE, source[1], BPF_ANY) &&
	     !bpf_prog_detach2(prog, c->map, BPF_SK_SKB_VERDICT) &&
	     !sock_put(c->map, TARGET, target[0], BPF_ANY) &&
	     sock_set(c->obj, (struct sock_vars){ .key = TARGET, .flags = flags }) &&
	     send_text(source[0], "a packet") && sock_calls_become(c->obj, 1);
	if (ok && passes)
		ok = gets(target[!flags], "a packet");
	vars = sock_vars(c->obj);
	/* The end of a TCP connection would be another packet. */
	sock_del(c->map, SOURCE);
	ok = ok && vars.passed == passes && vars.sizes[0] == strlen("a packet");
	close_pair(source);
	close_pair(target);
	return ok;
}

static void redirect(struct __test_metadata *_metadata, struct sock_case *c, enum family from,
		     enum family to, struct sock_counts *counts)
{
	__u64 flags;

	for (flags = 0; flags <= BPF_F_INGRESS; flags += BPF_F_INGRESS) {
		EXPECT_TRUE(redirected(c, from, to, flags)) {
			TH_LOG("%s to %s, flags %llu: %s", names[from], names[to], flags,
			       strerror(errno));
		}
		if (!accepts(to, flags))
			counts->refused++;
		else if (flags)
			counts->skb_ingress++;
		else
			counts->skb_egress++;
	}
}

TEST_F(families, ip_and_unix)
{
	struct sock_counts counts = {};
	enum family from, to;

	for (from = UDP4; from < VSOCK; from++)
		for (to = TCP; to < VSOCK; to++)
			redirect(_metadata, &self->c, from, to, &counts);
	EXPECT_TRUE(case_counted(&self->c, counts));
}

TEST_F(families, vsock)
{
	struct sock_case *c = &self->c;
	struct sock_counts counts = {};
	enum family other;
	int fds[2], err;

	if (vsock_pair(fds))
		SKIP(return, "no vsock within this machine (vsock_loopback)");
	err = sock_put(c->map, SOURCE, fds[0], BPF_ANY);
	close_pair(fds);
	if (err == -EOPNOTSUPP)
		SKIP(return, "this kernel has no vsock in socket maps (since 6.4)");
	ASSERT_EQ(0, err);
	for (other = TCP; other < VSOCK; other++) {
		redirect(_metadata, c, VSOCK, other, &counts);
		redirect(_metadata, c, other, VSOCK, &counts);
	}
	redirect(_metadata, c, VSOCK, VSOCK, &counts);
	EXPECT_TRUE(case_counted(c, counts));
}

int main(int argc, char **argv)
{
	int ret = sock_setup();

	if (ret)
		return ret;
	/* Without it, the test of vsock is skipped. */
	sh("modprobe -q vsock_loopback || :");
	return test_harness_run(argc, argv);
}
