// SPDX-License-Identifier: GPL-2.0-only
/* bpf(2) on maps. */
#include <errno.h>
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/redirmap.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"
#include "testlib.h"

/* Most maps have 8 slots. */
#define KEYS 9
#define BATCH 16

static int bpf(int cmd, union bpf_attr *attr, size_t size)
{
	return result(syscall(__NR_bpf, cmd, attr, size));
}

/* Mostly a claimed name: "claim" is rm_*, if no call has changed it. */
static void put_name(union bpf_attr *attr, __u32 a)
{
	static const char * const names[] = {
		"rm_a", "rm_b", "rm_packets", "rm_abcdefghijkl", "rm_a", "rm_b", "rm_", "st_a",
	};
	const char *name = names[a % 8];

	if (is_wrong(a))
		name = "rm-a";
	memcpy(attr->map_name, name, strnlen(name, sizeof(attr->map_name) - 1));
}

static __u32 entries_of(__u32 a)
{
	static const __u32 entries[] = { 8, 8, 8, 16, 1, 300, 5000, 8 };

	if (a >> 26 == 1)
		return a % 3 ? 0 : 0xffffffff;
	return entries[a % 8];
}

static __u32 flags_of(__u32 a)
{
	static const __u32 flags[] = {
		BPF_F_RDONLY, BPF_F_WRONLY, BPF_F_NUMA_NODE, BPF_F_RDONLY_PROG, BPF_F_MMAPABLE,
		BPF_F_NO_PREALLOC, 1 << 31, BPF_F_NUMA_NODE,
	};

	return a % 8 ? 0 : flags[a / 8 % 8];
}

static int create(struct player *p, enum table table, const __u32 *a, __u32 type, __u32 key,
		  __u32 value, int template)
{
	union bpf_attr attr = {
		.map_type = type,
		.key_size = is_wrong(a[1]) ? a[1] % 9 : key,
		.value_size = value,
		.max_entries = entries_of(a[2]),
		.map_flags = flags_of(a[3]),
		.inner_map_fd = template,
		.numa_node = a[3] / 64 % 2,
	};

	if (!(attr.map_flags & BPF_F_NUMA_NODE))
		attr.numa_node = 0;
	put_name(&attr, a[4]);
	say(p, " %s type=%u key=%u value=%u entries=%u flags=%x", attr.map_name, type,
	    attr.key_size, value, attr.max_entries, attr.map_flags);
	return keep(p, table, a[0], syscall(__NR_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)));
}

int create_dev_map(struct player *p, const __u32 *a)
{
	static const __u32 values[] = {
		8, 8, 4, sizeof(struct redirmap_val), sizeof(struct redirmap_val), 8, 4, 8,
	};

	return create(p, DEV_MAPS, a, a[5] % 2 ? BPF_MAP_TYPE_DEVMAP : BPF_MAP_TYPE_DEVMAP_HASH, 4,
		      is_wrong(a[5]) ? 12 : values[a[5] / 2 % 8], 0);
}

int create_sock_map(struct player *p, const __u32 *a)
{
	return create(p, SOCK_MAPS, a, a[5] % 2 ? BPF_MAP_TYPE_SOCKMAP : BPF_MAP_TYPE_SOCKHASH, 4,
		      a[5] / 2 % 2 ? 4 : 8, 0);
}

/* With a map of devices as its template, or of sockets. */
int create_outer(struct player *p, const __u32 *a)
{
	int template = fd_of(p, a[5] / 2 % 4 ? DEV_MAPS : SOCK_MAPS, a[1]);
	__u32 type = a[5] % 2 ? BPF_MAP_TYPE_ARRAY_OF_MAPS : BPF_MAP_TYPE_HASH_OF_MAPS;
	__u32 b[ARGS];

	memcpy(b, a, sizeof(b));
	b[1] = 0;
	return create(p, OUTERS, b, type, 4, 4, template);
}

static __u64 update_flags(__u32 a)
{
	static const __u64 flags[] = { 0, 0, 0, 0, 0, 0, BPF_NOEXIST, BPF_EXIST };

	if (is_wrong(a << 4))
		return a % 2 ? BPF_F_LOCK : 8;
	return flags[a % 8];
}

static int update(struct player *p, int map, __u32 key, void *value, __u32 a)
{
	union bpf_attr attr = {
		.map_fd = map,
		.key = (unsigned long)&key,
		.value = is_wrong(a) ? a % 4096 : (unsigned long)value,
		.flags = update_flags(a >> 4),
	};

	say(p, " key=%u flags=%llu", key, (unsigned long long)attr.flags);
	return bpf(BPF_MAP_UPDATE_ELEM, &attr, sizeof(attr));
}

static void make_value(struct player *p, struct redirmap_val *value, const __u32 *a)
{
	memset(value, 0, sizeof(*value));
	value->entry.ifindex = dev_of(p, a[0]);
	value->entry.bpf_prog.fd = a[1] % 2 ? fd_of(p, EGRESS, a[1] / 2) : -1;
	if (is_wrong(a[1]))
		value->stats.packets = a[1];
}

int update_entry(struct player *p, const __u32 *a)
{
	struct redirmap_val value;

	make_value(p, &value, a + 2);
	return update(p, fd_of(p, DEV_MAPS, a[0]), a[1] % KEYS, &value, a[4]);
}

int update_socket(struct player *p, const __u32 *a)
{
	__u64 sock = fd_of(p, SOCKS, a[2]);

	return update(p, fd_of(p, SOCK_MAPS, a[0]), a[1] % KEYS, &sock, a[3]);
}

int update_outer(struct player *p, const __u32 *a)
{
	__u32 inner = fd_of(p, a[3] % 4 ? DEV_MAPS : SOCK_MAPS, a[2]);

	return update(p, fd_of(p, OUTERS, a[0]), a[1] % KEYS, &inner, a[4]);
}

/* Any map, mostly one of devices. */
static int any_map(struct player *p, __u32 table, __u32 a)
{
	static const enum table tables[] = {
		DEV_MAPS, DEV_MAPS, DEV_MAPS, SOCK_MAPS, SOCK_MAPS, OUTERS, DEV_MAPS, SOCK_MAPS,
	};

	return fd_of(p, tables[table % 8], a);
}

int delete_key(struct player *p, const __u32 *a)
{
	__u32 key = a[1] % KEYS;
	union bpf_attr attr = {
		.map_fd = any_map(p, a[2], a[0]),
		.key = is_wrong(a[1]) ? 0 : (unsigned long)&key,
	};

	say(p, " key=%u", key);
	return bpf(BPF_MAP_DELETE_ELEM, &attr, sizeof(attr));
}

int lookup_key(struct player *p, const __u32 *a)
{
	struct redirmap_val value;
	__u32 key = a[1] % KEYS;
	union bpf_attr attr = {
		.map_fd = any_map(p, a[2], a[0]),
		.key = (unsigned long)&key,
		.value = is_wrong(a[1]) ? 1 : (unsigned long)&value,
		.flags = a[3] % 8 ? 0 : BPF_F_LOCK,
	};

	say(p, " key=%u", key);
	return bpf(a[4] % 8 ? BPF_MAP_LOOKUP_ELEM : BPF_MAP_LOOKUP_AND_DELETE_ELEM, &attr,
		   sizeof(attr));
}

int next_key_of(struct player *p, const __u32 *a)
{
	__u32 key = a[1] % KEYS, next;
	union bpf_attr attr = {
		.map_fd = any_map(p, a[2], a[0]),
		.key = a[3] % 4 ? (unsigned long)&key : 0,
		.next_key = (unsigned long)&next,
	};

	return bpf(BPF_MAP_GET_NEXT_KEY, &attr, sizeof(attr));
}

/* All keys and values. */
int walk_map(struct player *p, const __u32 *a)
{
	int map = any_map(p, a[1], a[0]), n = 0;
	struct redirmap_val value;
	__u32 key, *at = NULL;

	for (; n < 400 && !bpf_map_get_next_key(map, at, &key); n++) {
		bpf_map_lookup_elem(map, &key, &value);
		at = &key;
	}
	return n;
}

/* A batch; the values of each type fit into the buffer. */
static int batch(struct player *p, int cmd, int map, const __u32 *a, void *values, __u32 *keys)
{
	__u32 in = a[0] % KEYS, out;
	union bpf_attr attr = {
		.batch = {
			.in_batch = a[1] % 4 ? 0 : (unsigned long)&in,
			.out_batch = (unsigned long)&out,
			.keys = is_wrong(a[0]) ? 1 : (unsigned long)keys,
			.values = is_wrong(a[1]) ? 1 : (unsigned long)values,
			.count = a[2] % (BATCH + 1),
			.map_fd = map,
			.elem_flags = a[3] % 16 ? 0 : BPF_F_LOCK,
			.flags = is_wrong(a[3]),
		},
	};
	int err;

	err = bpf(cmd, &attr, sizeof(attr));
	say(p, " cmd=%d count=%u", cmd, attr.batch.count);
	return err;
}

int batch_update(struct player *p, const __u32 *a)
{
	static const __u32 sizes[] = { 4, 8, sizeof(struct redirmap_val), 8 };
	char values[BATCH * sizeof(struct redirmap_val)] = {};
	bool socks = a[5] % 4 == 0;
	struct redirmap_val value;
	__u32 keys[BATCH], size = sizes[a[4] % 4];
	int i;
	__u64 sock = fd_of(p, SOCKS, a[1]);

	make_value(p, &value, a + 2);
	for (i = 0; i < BATCH; i++) {
		keys[i] = (a[3] + i) % KEYS;
		if (socks)
			memcpy(values + i * 8, &sock, 8);
		else
			memcpy(values + i * size, &value, size);
	}
	return batch(p, BPF_MAP_UPDATE_BATCH, fd_of(p, socks ? SOCK_MAPS : DEV_MAPS, a[0]), a + 2,
		     values, keys);
}

int batch_lookup(struct player *p, const __u32 *a)
{
	char values[BATCH * sizeof(struct redirmap_val)];
	__u32 keys[BATCH];

	return batch(p, a[5] % 4 ? BPF_MAP_LOOKUP_BATCH : BPF_MAP_LOOKUP_AND_DELETE_BATCH,
		     any_map(p, a[1], a[0]), a + 2, values, keys);
}

int batch_delete(struct player *p, const __u32 *a)
{
	__u32 keys[BATCH], i;

	for (i = 0; i < BATCH; i++)
		keys[i] = (a[5] + i) % KEYS;
	return batch(p, BPF_MAP_DELETE_BATCH, any_map(p, a[1], a[0]), a + 2, NULL, keys);
}

int map_info(struct player *p, const __u32 *a)
{
	int map = any_map(p, a[1], a[0]);
	char path[64], text[512];
	struct bpf_map_info info = {};
	__u32 size = is_wrong(a[2]) ? a[2] % 200 : sizeof(info);
	int fd, err = bpf_obj_get_info_by_fd(map, &info, &size);

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", map);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && read(fd, text, sizeof(text)) < 0)
		err = -errno;
	close(fd);
	return err;
}

int freeze_map(struct player *p, const __u32 *a)
{
	return bpf_map_freeze(any_map(p, a[1], a[0]));
}

/* Pins, opens and removes pins, in a file system of the sequence. */
int pin_map(struct player *p, const __u32 *a)
{
	enum table table = a[1] % 2 ? DEV_MAPS : SOCK_MAPS;
	char path[64];

	snprintf(path, sizeof(path), "/sys/fs/bpf/m%u", a[2] % 4);
	say(p, " %s", path);
	switch (a[3] % 4) {
	case 0:
		return result(unlink(path));
	case 1:
		return keep(p, table, a[0], bpf_obj_get(path));
	default:
		return bpf_obj_pin(fd_of(p, table, a[0]), path);
	}
}

int dup_map(struct player *p, const __u32 *a)
{
	enum table table = a[1] % 3;

	return keep(p, table, a[2], dup(fd_of(p, table, a[0])));
}

int close_map(struct player *p, const __u32 *a)
{
	enum table table = a[1] % 3;
	int fd, slot = slot_of(p, table, a[0]);

	if (slot < 0)
		return -ENOENT;
	say(p, " table=%d slot=%d", table, slot);
	fd = __atomic_exchange_n(&p->s->fds[table][slot], -1, __ATOMIC_RELAXED);
	return result(close(fd));
}

/* A descriptor of any map, also of one that another task has. */
int map_by_id(struct player *p, const __u32 *a)
{
	__u32 id = 0, i;

	for (i = 0; i <= a[1] % 8; i++)
		if (bpf_map_get_next_id(id, &id))
			break;
	say(p, " id=%u", id);
	return keep(p, DEV_MAPS, a[0], bpf_map_get_fd_by_id(id));
}

/* Commands and system calls that these maps refuse, and bad attributes. */
int odd_command(struct player *p, const __u32 *a)
{
	int map = any_map(p, a[1], a[0]), i;
	union bpf_attr attr = {};
	void *at;

	switch (a[2] % 4) {
	case 0:
		at = mmap(NULL, 4096, PROT_READ, MAP_SHARED, map, 0);
		if (at == MAP_FAILED)
			return -errno;
		munmap(at, 4096);
		return 0;
	case 1:
		return result(write(map, &attr, 8));
	default:
		for (i = 0; i < 8; i++)
			((__u32 *)&attr)[i] = mix(a[3] + i) >> 40;
		attr.map_fd = map;
		say(p, " cmd=%u", a[3] % 40);
		return bpf(a[3] % 40, &attr, a[4] % (sizeof(attr) + 16));
	}
}
