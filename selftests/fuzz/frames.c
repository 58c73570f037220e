// SPDX-License-Identifier: GPL-2.0-only
/*
 * Frames that run through maps. Each device counts what it sends: a stock and a
 * claimed map must send the same number of frames and bytes, but for devices
 * that take no frames (packets.c). Devices of modules/faulty_dev.c also check
 * the frames that they get. If a check fails, the operation has failed, and is
 * shrunk like other failures.
 */
#include <fcntl.h>
#include <linux/if_link.h>
#include <sys/utsname.h>

#include "devs.h"
#include "frames.h"

#define MARK "WARNING: faulty: "

static int log_fd;

/* A run that was killed has left the module loaded. */
bool frames_init(void)
{
	struct utsname name;
	char file[200];

	uname(&name);
	snprintf(file, sizeof(file), "../../%s-selftests/modules/faulty.ko", name.release);
	if (access("/sys/module/faulty", F_OK) && !sh("insmod %s", beside(file)))
		return false;
	log_fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK);
	return log_fd >= 0 && lseek(log_fd, 0, SEEK_END) >= 0;
}

/* Lines of the log since the last call. */
static void read_log(enum side side)
{
	char record[1024], *at;
	ssize_t n;

	while ((n = read(log_fd, record, sizeof(record) - 1)) > 0 || errno == EPIPE) {
		record[n > 0 ? n : 0] = '\0';
		at = strstr(record, MARK);
		if (!at)
			continue;
		at[strcspn(at, "\n")] = '\0';
		failed("frames of a %s map: %s", side == STOCK ? "stock" : "claimed",
		       at + strlen(MARK));
	}
}

void frames_run(const struct op *op, int prog, enum side side, struct result *r)
{
	struct sent before[NR_TARGETS], after[NR_TARGETS];
	__u8 frame[LEN_MAX] = {};
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = frame,
		.data_size_in = frames_len(op),
		.flags = BPF_F_TEST_XDP_LIVE_FRAMES,
		.repeat = frames_count(op),
	);
	int i;

	if (side == CLAIMED)
		state.frames += opts.repeat;
	devs_sent(before);
	r->ret = bpf_prog_test_run_opts(prog, &opts);
	devs_sent(after);
	for (i = 0; i < NR_TARGETS; i++) {
		after[i].packets -= before[i].packets;
		after[i].bytes -= before[i].bytes;
	}
	memcpy(r->out, after, sizeof(after));
	r->len = sizeof(after);
	read_log(side);
}
