// SPDX-License-Identifier: GPL-2.0-only
/*
 * The lifetime of egress programs: a program exists as long as an entry refers
 * to it, and no longer, however the entry is removed. For the programs that an
 * entry accepts see dev_egress_values.c.
 *
 * Every test runs on stock and on claimed maps and expects the same of both.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/wait.h>

#include "egress_map.h"

#define MANY 40
#define VERY_MANY 400

/* Only the entry keeps the program. */
TEST_F(egress_map, entry_keeps_program)
{
	ASSERT_EQ(put_value(self->map, 3, self->dev[0], self->prog), 0);
	close(self->prog);
	self->prog = -1;
	EXPECT_TRUE(prog_stays(self->id, self->map, 5, self->dev[1]));
	EXPECT_TRUE(prog_stays(self->id, self->map, 5, self->dev[0]));
	EXPECT_EQ(value_id(self->map, 3), self->id);

	/* and the program can be opened by its id */
	self->prog = bpf_prog_get_fd_by_id(value_id(self->map, 3));
	ASSERT_GE(self->prog, 0);
	ASSERT_EQ(put_value(self->map, 4, self->dev[1], self->prog), 0);
	close(self->prog);
	self->prog = -1;
	ASSERT_EQ(del_key(self->map, 3), 0);
	EXPECT_TRUE(prog_stays(self->id, self->map, 5, self->dev[0]));
	EXPECT_EQ(value_id(self->map, 4), self->id);
	ASSERT_EQ(del_key(self->map, 4), 0);
	EXPECT_TRUE(prog_goes(self->id));
	EXPECT_EQ(value_id(self->map, 4), -ENOENT);
}

/* Each new program replaces the last one, which is freed. */
TEST_F(egress_map, replaced)
{
	__u32 id, last = self->id;
	int i, prog;

	ASSERT_EQ(put_value(self->map, 3, self->dev[0], self->prog), 0);
	close(self->prog);
	self->prog = -1;
	for (i = 0; i < MANY; i++) {
		prog = make_egress(XDP_PASS);
		ASSERT_GE(prog, 0);
		id = prog_id(prog);
		ASSERT_EQ(put_value(self->map, 3, self->dev[i % 2], prog), 0);
		close(prog);
		EXPECT_EQ(value_id(self->map, 3), id);
		/*
		 * wait for some of them; the memory of the others may be reused
		 * at once
		 */
		if (i % 4 == 0)
			EXPECT_TRUE(prog_goes(last));
		last = id;
	}
	/* replaced by none, on the same device */
	ASSERT_EQ(put_value(self->map, 3, self->dev[(i - 1) % 2], 0), 0);
	EXPECT_EQ(value_id(self->map, 3), 0);
	EXPECT_TRUE(prog_goes(last));
}

/* Tests all ways to remove an entry. */
TEST_F(egress_map, entry_goes)
{
	const __u32 key = 3;
	int way, prog;
	__u32 id;

	for (way = 0; way < 6; way++) {
		prog = make_egress(XDP_PASS);
		id = prog_id(prog);
		ASSERT_EQ(put_value(self->map, key, self->dev[0], prog), 0);
		ASSERT_EQ(put_value(self->map, 6, self->dev[0], self->prog), 0);
		close(prog);
		switch (way) {
		case 0:
			ASSERT_EQ(del_key(self->map, key), 0);
			break;
		case 1:
			/* an array's other way to delete an entry */
			ASSERT_EQ(self->hash ? del_key(self->map, key) :
				  put_value(self->map, key, 0, 0), 0);
			break;
		case 2:
			ASSERT_EQ(put_value(self->map, key, self->dev[1], -1), 0);
			break;
		case 3:
			ASSERT_TRUE(ip("link del d0\n"));
			EXPECT_EQ(value_id(self->map, key), -ENOENT);
			ASSERT_TRUE(ip("link add d0 type dummy\n"));
			self->dev[0] = if_nametoindex("d0");
			break;
		case 4:
			/* to another namespace, that of init */
			ASSERT_TRUE(ip("link set d0 name egr0\nlink set egr0 netns 1\n"));
			EXPECT_EQ(value_id(self->map, key), -ENOENT);
			ASSERT_TRUE(sh("nsenter -t 1 -n ip link del egr0"));
			ASSERT_TRUE(ip("link add d0 type dummy\n"));
			self->dev[0] = if_nametoindex("d0");
			break;
		case 5:
			close(self->map);
			self->map = new_map(&variant->kind, MAP_SIZE);
			ASSERT_GE(self->map, 0);
			break;
		}
		EXPECT_TRUE(prog_goes(id)) {
			TH_LOG("way %d", way);
		}
	}
	/* the map is closed, with the last program */
	close(self->prog);
	close(self->map);
	self->prog = -1;
	EXPECT_TRUE(prog_goes(self->id));
	self->map = -1;
}

/* A device is deleted while entries, maps and fds of the program remain. */
TEST_F(egress_map, device_goes_program_stays)
{
	int other = new_map(&variant->kind, MAP_SIZE);

	ASSERT_GE(other, 0);
	ASSERT_EQ(put_value(self->map, 0, self->dev[0], self->prog), 0);
	ASSERT_EQ(put_value(self->map, 1, self->dev[1], self->prog), 0);
	ASSERT_EQ(put_value(other, 0, self->dev[0], self->prog), 0);
	close(self->prog);
	self->prog = -1;
	ASSERT_TRUE(ip("link del d0\n"));
	EXPECT_EQ(value_id(self->map, 0), -ENOENT);
	EXPECT_EQ(value_id(other, 0), -ENOENT);
	EXPECT_EQ(value_id(self->map, 1), self->id);
	EXPECT_TRUE(prog_stays(self->id, self->map, 5, self->dev[1]));
	ASSERT_TRUE(ip("link del d1\n"));
	EXPECT_TRUE(prog_goes(self->id));
	close(other);
}

/*
 * Programs are freed with the namespace of their devices, and with an outer
 * map.
 */
TEST_F(egress_map, namespace_goes)
{
	int status;
	pid_t pid;

	pid = fork();
	if (!pid) {
		bool ok = !unshare(CLONE_NEWNET) &&
			  ip("link add d7 type dummy\n") &&
			  !put_value(self->map, 2, if_nametoindex("d7"), self->prog) &&
			  value_id(self->map, 2) == (int)self->id;

		_exit(!ok);
	}
	ASSERT_EQ(waitpid(pid, &status, 0), pid);
	ASSERT_EQ(status, 0);
	close(self->prog);
	self->prog = -1;
	EXPECT_TRUE(prog_goes(self->id));
	EXPECT_EQ(value_id(self->map, 2), -ENOENT);
}

TEST_F(egress_map, inner_map_goes)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .inner_map_fd = self->map);
	__u32 key = 0;
	int outer, inner;

	outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "outer", 4, 4, 2, &opts);
	ASSERT_GE(outer, 0);
	inner = new_map(&variant->kind, MAP_SIZE);
	ASSERT_GE(inner, 0);
	ASSERT_EQ(put_value(inner, 3, self->dev[0], self->prog), 0);
	ASSERT_EQ(bpf_map_update_elem(outer, &key, &inner, BPF_ANY), 0);
	close(inner);
	close(self->prog);
	self->prog = -1;
	EXPECT_TRUE(prog_stays(self->id, self->map, 5, self->dev[0]));
	ASSERT_EQ(bpf_map_delete_elem(outer, &key), 0);
	EXPECT_TRUE(prog_goes(self->id));
	close(outer);
}

/* Many programs on one device: each entry has its own. */
TEST_F(egress_map, many_programs_one_device)
{
	int map = new_map(&variant->kind, MANY);
	__u32 id[MANY];
	int i, prog;

	ASSERT_GE(map, 0);
	for (i = 0; i < MANY; i++) {
		prog = make_egress(XDP_PASS);
		ASSERT_GE(prog, 0);
		id[i] = prog_id(prog);
		ASSERT_EQ(put_value(map, i, self->dev[0], prog), 0);
		close(prog);
	}
	for (i = 0; i < MANY; i++)
		EXPECT_EQ(value_id(map, i), id[i]);
	for (i = 0; i < MANY; i += 2)
		ASSERT_EQ(del_key(map, i), 0);
	for (i = 0; i < MANY; i++) {
		if (i % 2) {
			EXPECT_EQ(value_id(map, i), id[i]);
			EXPECT_TRUE(prog_lives(id[i]));
		} else {
			EXPECT_TRUE(prog_goes(id[i]));
		}
	}
	ASSERT_TRUE(ip("link del d0\n"));
	for (i = 1; i < MANY; i += 2) {
		EXPECT_EQ(value_id(map, i), -ENOENT);
		EXPECT_TRUE(prog_goes(id[i]));
	}
	close(map);
}

/*
 * Many updates, each with another program, without a pause. Updates may not
 * sleep, so their memory must be available at once.
 */
TEST_F(egress_map, very_many_in_a_row)
{
	int map = new_map(&variant->kind, VERY_MANY);
	int i, round, prog[VERY_MANY];
	__u32 id[VERY_MANY];

	ASSERT_GE(map, 0);
	for (i = 0; i < VERY_MANY; i++) {
		prog[i] = make_egress(XDP_PASS);
		ASSERT_GE(prog[i], 0);
		id[i] = prog_id(prog[i]);
	}
	for (round = 0; round < 3; round++)
		for (i = 0; i < VERY_MANY; i++)
			ASSERT_EQ(PATIENTLY(put_value(self->map, 3, self->dev[round % 2],
						      prog[i])), 0);
	for (i = 0; i < VERY_MANY; i++)
		ASSERT_EQ(PATIENTLY(put_value(map, i, self->dev[0], prog[i])), 0);
	for (i = 0; i < VERY_MANY; i++)
		ASSERT_EQ(PATIENTLY(put_value(map, i, self->dev[1],
					      prog[VERY_MANY - 1 - i])), 0);
	for (i = 0; i < VERY_MANY; i++) {
		EXPECT_EQ(value_id(map, i), id[VERY_MANY - 1 - i]);
		close(prog[i]);
	}
	close(map);
	EXPECT_EQ(value_id(self->map, 3), id[VERY_MANY - 1]);
	for (i = 0; i < VERY_MANY - 1; i++)
		EXPECT_TRUE(prog_goes(id[i]));
}

TEST_F(egress_map, many_devices_one_program)
{
	int map = new_map(&variant->kind, MANY);
	char name[IFNAMSIZ];
	int i;

	ASSERT_GE(map, 0);
	ASSERT_TRUE(sh("for i in $(seq 0 %d); do echo link add m$i type dummy; done |"
		       " ip -batch -", MANY - 1));
	for (i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "m%d", i);
		ASSERT_EQ(put_value(map, i, if_nametoindex(name), self->prog), 0);
	}
	for (i = 0; i < MANY; i++)
		EXPECT_EQ(value_id(map, i), self->id);
	close(self->prog);
	self->prog = -1;
	ASSERT_TRUE(sh("for i in $(seq 0 %d); do echo link del m$i; done | ip -batch -",
		       MANY - 2));
	EXPECT_TRUE(prog_stays(self->id, self->map, 5, self->dev[0]));
	EXPECT_EQ(value_id(map, MANY - 1), self->id);
	ASSERT_TRUE(ip("link del m%d\n", MANY - 1));
	EXPECT_TRUE(prog_goes(self->id));
	close(map);
}

int main(int argc, char **argv)
{
	return can_test() ? test_harness_run(argc, argv) : KSFT_SKIP;
}
