// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations of claimed socket maps. The kernel keeps table, links and sockets,
 * and decides about each operation: the functions of this file call the
 * kernel's operation, return its result, and count it.
 *
 * Updates by bpf(2) do not go through bpf_map_ops. This file owns the hook on
 * sock_map_update_elem_sys(), which is replaced for claimed maps. Its handler
 * runs in bpf(2), with preemption off. The caller of the replaced function
 * keeps a reference to the map, and so to the module, until that function has
 * returned.
 *
 * Updates by programs of type sock_ops do not go through bpf_map_ops either:
 * see sock_helper.c.
 *
 * The kernel calls lookups with migration disabled: it disables migration for
 * programs, and bpf(2) calls bpf_disable_instrumentation() before a lookup or a
 * delete. Lookups depend on that: they may make a cookie, from a per-CPU
 * reserve of numbers. So this family disables migration for all lookups.
 * Inserts and deletes do not depend on it; bpf(2) inserts with migration
 * enabled.
 *
 * bpf_disable_instrumentation() also keeps tracing programs from running on the
 * CPU, by a counter that the kernel does not export. This family does not need
 * that: the verifier lets no tracing program but an iterator change a socket
 * map, and iterators run in read(2), so no program waits for a lock that the
 * operation holds below it.
 */
#include <linux/bpf.h>
#include <linux/jhash.h>
#include <linux/log2.h>
#include <linux/net.h>
#include <linux/rcupdate.h>
#include <net/sock.h>

#include "compat.h"
#include "kind.h"
#include "sock_early.h"
#include "sock_map.h"
#include "sock_stats.h"

/**
 * rmap_sock_map_bucket() - the bucket of a key
 * @map: a claimed hash
 * @key: the key
 *
 * The same computation as the kernel's sock_hash_bucket_hash().
 *
 * Context: any.
 * Return: number of the bucket.
 */
u32 rmap_sock_map_bucket(const struct bpf_map *map, const void *key)
{
	return jhash(key, map->key_size, 0) &
	       (roundup_pow_of_two((u64)map->max_entries) - 1);
}

/* Runs in programs, per update. */
static compat_map_ret_t sock_map_update(struct bpf_map *map, void *key,
					void *value, u64 flags)
{
	struct sock_stats *stats = rmap_sock_stats_of(map);
	compat_map_ret_t err;

	rmap_sock_stats_begin(stats);
	err = sock_map_stock(map)->map_update_elem(map, key, value, flags);
	rmap_sock_stats_end(stats, err);
	if (!err)
		rmap_sock_early_queue(map, value);
	return err;
}

static compat_map_ret_t map_delete(struct bpf_map *map,
				   struct sock_stats *stats, void *key)
{
	compat_map_ret_t err;

	err = sock_map_stock(map)->map_delete_elem(map, key);
	if (!err)
		rmap_sock_stats_deleted(stats);
	return err;
}

/*
 * Runs in bpf(2) and in programs, per delete. Sleepable iterators call this
 * outside of RCU read sections, and the kernel's operation reads the psock of
 * the socket, which is freed after a grace period.
 */
static compat_map_ret_t sock_map_delete(struct bpf_map *map, void *key)
{
	compat_map_ret_t err;

	rcu_read_lock();
	err = map_delete(map, rmap_sock_stats_of(map), key);
	rcu_read_unlock();
	return err;
}

/* Insert a socket as sock_map_update_elem_sys() does. Sleeps. */
static int sock_map_insert_sk(struct bpf_map *map, struct sock_stats *stats,
			      void *key, struct sock *sk, u64 flags)
{
	int err;

	/*
	 * The kernel's operation makes the same test. It is made here as well,
	 * before lock_sock(), because the owner of a socket that no map takes
	 * may keep the socket locked for long.
	 */
	if (!READ_ONCE(sk->sk_prot)->psock_update_sk_prot)
		return rmap_sock_stats_failed(stats, -EOPNOTSUPP);

	lock_sock(sk);
	rmap_sock_stats_begin(stats);
	rcu_read_lock();
	err = sock_map_stock(map)->map_update_elem(map, key, sk, flags);
	rcu_read_unlock();
	if (!err)
		rmap_sock_early_run(map, sk);
	rmap_sock_stats_end(stats, err);
	release_sock(sk);
	return err;
}

/**
 * rmap_sock_map_insert() - insert a socket by its file descriptor
 * @map: a claimed socket map
 * @stats: its counters: see rmap_sock_stats_of()
 * @key: the key
 * @value: the descriptor, 4 or 8 bytes as the map's values
 * @flags: BPF_ANY, BPF_NOEXIST or BPF_EXIST; others are refused
 *
 * Context: bpf(2), sleeps.
 * Return: 0, or the negative errno of the kernel: -EINVAL, -EBADF, -ENOTSOCK,
 * -EOPNOTSUPP, -EBUSY, -EEXIST, -ENOENT, -E2BIG or -ENOMEM.
 */
int rmap_sock_map_insert(struct bpf_map *map, struct sock_stats *stats,
			 void *key, const void *value, u64 flags)
{
	struct socket *sock;
	int err;
	u64 fd;

	fd = map->value_size == sizeof(u64) ? *(const u64 *)value :
					      *(const u32 *)value;
	if (fd > S32_MAX)
		return rmap_sock_stats_failed(stats, -EINVAL);
	sock = sockfd_lookup(fd, &err);
	if (!sock)
		return rmap_sock_stats_failed(stats, err);
	err = sock->sk ?
	      sock_map_insert_sk(map, stats, key, sock->sk, flags) :
	      rmap_sock_stats_failed(stats, -EINVAL);
	sockfd_put(sock);
	return err;
}

/**
 * rmap_sock_map_delete() - delete an entry
 * @map: a claimed socket map
 * @stats: its counters: see rmap_sock_stats_of()
 * @key: the key
 *
 * Context: bpf(2).
 * Return: 0, or the negative errno of the kernel: -EINVAL or -ENOENT.
 */
int rmap_sock_map_delete(struct bpf_map *map, struct sock_stats *stats,
			 void *key)
{
	int err;

	rcu_read_lock();
	err = map_delete(map, stats, key);
	rcu_read_unlock();
	return err;
}

/* Runs instead of sock_map_update_elem_sys(), for claimed maps. */
static int sock_map_update_sys(struct bpf_map *map, void *key, void *value,
			       u64 flags)
{
	return rmap_sock_map_insert(map, rmap_sock_stats_of(map), key, value,
				    flags);
}

static void *sock_map_update_sys_entered(const unsigned long *args)
{
	const struct bpf_map *map = (const struct bpf_map *)args[0];

	return rmap_kind_has(map) ? sock_map_update_sys : NULL;
}

struct hook rmap_sock_map_hooks[SOCK_MAP_HOOKS] = {
	{ .func = "sock_map_update_elem_sys",
	  .entry = sock_map_update_sys_entered, .replaces = true },
};

/**
 * rmap_sock_map_set_ops() - set operations of claimed socket maps
 * @ops: a copy of the kernel's operations
 *
 * Context: bpf(2), in the task that creates the first map of a kind; under a
 * raw spinlock.
 */
void rmap_sock_map_set_ops(struct bpf_map_ops *ops)
{
	ops->map_update_elem = sock_map_update;
	ops->map_delete_elem = sock_map_delete;
}

/**
 * rmap_sock_map_memory() - memory of a socket map
 * @map: a claimed socket map
 *
 * Before 6.4 the kernel does not report the memory, so this function returns
 * the size of the table.
 *
 * Context: any; the caller keeps the map.
 * Return: bytes, without the record and without memory for each socket.
 */
u64 rmap_sock_map_memory(const struct bpf_map *map)
{
	u64 bytes = compat_mem_usage(sock_map_stock(map), map);

	if (bytes)
		return bytes;
	if (map->map_type == BPF_MAP_TYPE_SOCKMAP)
		return (u64)map->max_entries * sizeof(void *);
	/* A bucket has a head and a lock. */
	return roundup_pow_of_two((u64)map->max_entries) * 2 * sizeof(void *);
}
