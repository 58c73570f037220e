/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The fixture of dev_egress_life.c and dev_egress_values.c: a map of each kind,
 * whose values have room for a program, two devices, and a program for entries.
 */
#ifndef REDIRMAP_EGRESS_MAP_H
#define REDIRMAP_EGRESS_MAP_H

#include <sched.h>

#include "harness.h"
#include "egresslib.h"

#define MAP_SIZE 8

FIXTURE(egress_map)
{
	int map;
	int prog;	/* a valid one */
	__u32 id;
	__u32 dev[2];
	bool hash;
};

FIXTURE_VARIANT(egress_map)
{
	struct kind kind;
};

MAP_KINDS(egress_map);

FIXTURE_SETUP(egress_map)
{
	ASSERT_TRUE(module_refs_become(0));
	ASSERT_EQ(unshare(CLONE_NEWNET), 0);
	ASSERT_TRUE(ip("link add d0 type dummy\nlink add d1 type dummy\n"));
	self->dev[0] = if_nametoindex("d0");
	self->dev[1] = if_nametoindex("d1");
	self->hash = variant->kind.type == BPF_MAP_TYPE_DEVMAP_HASH;
	self->map = new_map(&variant->kind, MAP_SIZE);
	ASSERT_GE(self->map, 0);
	self->prog = make_egress(XDP_PASS);
	ASSERT_GE(self->prog, 0);
	self->id = prog_id(self->prog);
}

FIXTURE_TEARDOWN(egress_map)
{
	close(self->map);
	close(self->prog);
	EXPECT_TRUE(prog_goes(self->id));
	EXPECT_TRUE(module_refs_become(0));
}

static inline int del_key(int map, __u32 key)
{
	return bpf_map_delete_elem(map, &key) ? -errno : 0;
}

#endif /* REDIRMAP_EGRESS_MAP_H */
