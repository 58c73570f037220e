/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by the tests of map operations: a network namespace with devices, and
 * single operations on elements, by a map's descriptor. For variables of
 * programs see xdplib.h.
 */
#ifndef REDIRMAP_MAPLIB_H
#define REDIRMAP_MAPLIB_H

#include <sched.h>

#include "kinds.h"
#include "netlib.h"
#include "testlib.h"

#define NDEVS 4
#define NO_DEV 1000000

/* Devices in a network namespace of the test; maps_setup() sets them. */
static __u32 devs[NDEVS];
/* References to the module without a map of this test. */
static int base_refs;

static inline int set_elem(int fd, __u32 key, __u32 ifindex, __u64 flags)
{
	return bpf_map_update_elem(fd, &key, &ifindex, flags);
}

static inline int set_elem8(int fd, __u32 key, __u32 ifindex, int prog_fd)
{
	struct bpf_devmap_val val = { .ifindex = ifindex, .bpf_prog.fd = prog_fd };

	return bpf_map_update_elem(fd, &key, &val, 0);
}

/* The ifindex, or -errno. */
static inline int get_elem(int fd, __u32 key)
{
	struct bpf_devmap_val val = {};
	int err = bpf_map_lookup_elem(fd, &key, &val);

	return err ?: (int)val.ifindex;
}

static inline int del_elem(int fd, __u32 key)
{
	return bpf_map_delete_elem(fd, &key);
}

static inline int next_key(int fd, const __u32 *key, __u32 *next)
{
	return bpf_map_get_next_key(fd, key, next);
}

/* Number of keys in the map, by iterating over it; -1 if more than limit. */
static inline int count_keys(int fd, int limit)
{
	__u32 key, *prev = NULL;
	int n = 0;

	while (!next_key(fd, prev, &key)) {
		prev = &key;
		if (++n > limit)
			return -1;
	}
	return n;
}

static inline void shuffle(__u32 *order, __u32 n, __u64 *state)
{
	__u32 i, j, tmp;

	for (i = n - 1; i; i--) {
		j = rnd(state) % (i + 1);
		tmp = order[i];
		order[i] = order[j];
		order[j] = tmp;
	}
}

/*
 * A thread's struct with these members: the thread never failed, and did more
 * than @least rounds.
 */
#define EXPECT_FINE(task, least)					\
	do {								\
		EXPECT_EQ(0, (task)->failed) {				\
			TH_LOG("error %d", (task)->error);		\
		}							\
		EXPECT_LT(least, (task)->done);				\
	} while (0)

/*
 * For main(): makes an empty network namespace for the test. Returns 0, or the
 * exit status if nothing can be tested.
 */
static inline int maps_begin(void)
{
	if (!can_test())
		return KSFT_SKIP;
	base_refs = module_refs();
	if (unshare(CLONE_NEWNET)) {
		printf("1..0 # SKIP no network namespaces\n");
		return KSFT_SKIP;
	}
	return 0;
}

/* The same, with the devices. */
static inline int maps_setup(void)
{
	char name[IFNAMSIZ];
	int i, ret;

	ret = maps_begin();
	if (ret)
		return ret;
	for (i = 0; i < NDEVS; i++) {
		snprintf(name, sizeof(name), "dev%d", i);
		if (!sh("ip link add %s type dummy", name)) {
			printf("Bail out! cannot make a dummy device\n");
			return KSFT_FAIL;
		}
		devs[i] = if_nametoindex(name);
	}
	return 0;
}

#endif /* REDIRMAP_MAPLIB_H */
