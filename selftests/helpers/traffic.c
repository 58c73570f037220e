// SPDX-License-Identifier: GPL-2.0-only
/*
 * traffic xdp|packet DEV N [BYTES]
 *
 * Sends N frames on DEV, for an XDP program on DEV's peer if DEV is a veth:
 * as XDP frames, which are redirected to DEV in bulks of 16, or one by one
 * through a packet socket, as sk_buffs.
 */
#include "netlib.h"
#include "testlib.h"

/* A program that redirects to the device. */
static int send_xdp(const char *dev, int n, int len)
{
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 1, .imm = if_nametoindex(dev) },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 2, .imm = 0 },
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	unsigned char frame[FRAME_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = frame,
		.data_size_in = len,
		.flags = BPF_F_TEST_XDP_LIVE_FRAMES,
		.repeat = n,
	);
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "traffic", "GPL", insns,
			       ARRAY_SIZE(insns), NULL);

	make_frame(frame, 0, len);
	return fd < 0 ? fd : bpf_prog_test_run_opts(fd, &opts);
}

static int send_packets(const char *dev, int n, int len)
{
	int sock = open_sender();

	return sock < 0 ? sock : send_on(sock, dev, 0, n, len);
}

int main(int argc, char **argv)
{
	int n, len, err;

	if (argc < 4)
		return 2;
	n = atoi(argv[3]);
	len = argc > 4 ? atoi(argv[4]) : 60;
	if (n <= 0 || len < FRAME_PATTERN || len > FRAME_MAX)
		return 2;

	/* One CPU, so that frames are handled in one order. */
	run_on_cpu(0);
	if (!strcmp(argv[1], "xdp"))
		err = send_xdp(argv[2], n, len);
	else
		err = send_packets(argv[2], n, len);
	if (err)
		fprintf(stderr, "traffic: %s\n", strerror(-err));
	return !!err;
}
