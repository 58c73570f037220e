// SPDX-License-Identifier: GPL-2.0-only
/*
 * The netlink attributes of socket maps.
 *
 * This file owns no state. All of it runs in the process context of the
 * requester. The attributes of a map are written in an RCU read section, which
 * counts the sockets of the map in at most 16,384 slots or buckets, or four
 * times that while keys are deleted. netlink.c ends such a section of a dump
 * after 1 ms.
 *
 * All sock_put_*() return 0, or -EMSGSIZE, on which the caller cancels the
 * message.
 */
#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/log2.h>
#include <linux/preempt.h>
#include <linux/slab.h>
#include <net/netlink.h>
#include <net/sock.h>
#include <uapi/linux/redirmap.h>

#include "record.h"
#include "sock_map.h"
#include "sock_report.h"
#include "sock_stats.h"
#include "stamp.h"

/*
 * The kernel does not keep the number of sockets in a map, so each answer
 * counts them, in an RCU read section. Sockets are not counted in an array with
 * more slots, or in a hash with more buckets, than this; counting so many takes
 * about 100 us. The number of buckets of a hash is max_entries, rounded up to a
 * power of two, so a hash does not have more sockets than buckets.
 */
#define SOCK_REPORT_MAX 16384

/*
 * Each step through a hash takes time for all sockets in a bucket. If a bucket
 * has more sockets than this, the sockets of the map are not counted. Only keys
 * that were chosen for this purpose fill a bucket so far.
 */
#define SOCK_REPORT_CHAIN 64

/* Number of times that a count of a hash begins again after a deleted key. */
#define SOCK_REPORT_RESTARTS 3

/* Count the sockets of an array. */
static int sock_count_array(struct bpf_map *map, u32 *present)
{
	struct sock *sk;
	bool counted;
	u32 slot;

	if (map->max_entries > SOCK_REPORT_MAX)
		return -E2BIG;
	for (slot = 0; slot < map->max_entries; slot++) {
		migrate_disable();
		sk = sock_map_lookup(map, &slot, &counted);
		migrate_enable();
		if (sk)
			(*present)++;
		if (counted)
			sock_put(sk);
	}
	return 0;
}

/*
 * Count the sockets of a hash, once. @keys has room for two keys. Returns 0;
 * -EAGAIN if a key was deleted and the kernel began again at the first bucket;
 * or -E2BIG. A deletion in the first bucket that has sockets is not noticed,
 * and sockets of this bucket may then be counted twice.
 */
static int sock_count_hash_once(struct bpf_map *map, void *keys, u32 *present)
{
	const struct bpf_map_ops *stock = sock_map_stock(map);
	u32 at, bucket = 0, in_bucket = 0;
	void *key = NULL, *next = keys;

	for (*present = 0; *present < SOCK_REPORT_MAX; (*present)++) {
		if (stock->map_get_next_key(map, key, next))
			return 0;
		at = rmap_sock_map_bucket(map, next);
		if (at < bucket)
			return -EAGAIN;
		in_bucket = at == bucket ? in_bucket + 1 : 1;
		if (in_bucket > SOCK_REPORT_CHAIN)
			return -E2BIG;
		bucket = at;
		key = next;
		next = key == keys ? keys + map->key_size : keys;
	}
	return 0;
}

/* Count the sockets of a hash. Concurrent deletes may make the number wrong. */
static int sock_count_hash(struct bpf_map *map, u32 *present)
{
	unsigned int restarts = 0;
	void *keys;
	int err;

	if (roundup_pow_of_two((u64)map->max_entries) > SOCK_REPORT_MAX)
		return -E2BIG;
	keys = kmalloc_array(2, map->key_size, GFP_ATOMIC | __GFP_NOWARN);
	if (!keys)
		return -ENOMEM;
	do {
		err = sock_count_hash_once(map, keys, present);
	} while (err == -EAGAIN && restarts++ < SOCK_REPORT_RESTARTS);
	kfree(keys);
	return err;
}

static int sock_put_present(struct sk_buff *skb, struct bpf_map *map)
{
	u32 present = 0;
	int err;

	err = map->map_type == BPF_MAP_TYPE_SOCKMAP ?
	      sock_count_array(map, &present) : sock_count_hash(map, &present);
	return err ? 0 : nla_put_u32(skb, REDIRMAP_A_SOCK_PRESENT, present);
}

static int sock_put_u64(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, REDIRMAP_A_SOCK_PAD);
}

static int sock_put_refused(struct sk_buff *skb, u32 reason, u64 redirects,
			    u64 last)
{
	struct nlattr *nest;

	if (!redirects)
		return 0;
	nest = nla_nest_start(skb, REDIRMAP_A_SOCK_REFUSED);
	if (!nest || nla_put_u32(skb, REDIRMAP_A_REFUSED_REASON, reason) ||
	    nla_put_u64_64bit(skb, REDIRMAP_A_REFUSED_REDIRECTS, redirects,
			      REDIRMAP_A_REFUSED_PAD) ||
	    nla_put_u64_64bit(skb, REDIRMAP_A_REFUSED_AGE, stamp_age(last),
			      REDIRMAP_A_REFUSED_PAD))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int sock_put_failed(struct sk_buff *skb, u32 code, u64 updates)
{
	struct nlattr *nest;

	if (!updates)
		return 0;
	nest = nla_nest_start(skb, REDIRMAP_A_SOCK_FAILED);
	if (!nest || nla_put_u32(skb, REDIRMAP_A_FAILED_ERRNO, code) ||
	    nla_put_u64_64bit(skb, REDIRMAP_A_FAILED_UPDATES, updates,
			      REDIRMAP_A_FAILED_PAD))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int sock_put_sum(struct sk_buff *skb, const struct sock_sum *sum)
{
	int i;

	if (sock_put_u64(skb, REDIRMAP_A_SOCK_MSG_EGRESS,
			 sum->accepted[SOCK_MSG][0]) ||
	    sock_put_u64(skb, REDIRMAP_A_SOCK_MSG_INGRESS,
			 sum->accepted[SOCK_MSG][1]) ||
	    sock_put_u64(skb, REDIRMAP_A_SOCK_SKB_EGRESS,
			 sum->accepted[SOCK_SKB][0]) ||
	    sock_put_u64(skb, REDIRMAP_A_SOCK_SKB_INGRESS,
			 sum->accepted[SOCK_SKB][1]) ||
	    sock_put_u64(skb, REDIRMAP_A_SOCK_MSG_CLOSING,
			 sum->closing[SOCK_MSG]) ||
	    sock_put_u64(skb, REDIRMAP_A_SOCK_SKB_CLOSING,
			 sum->closing[SOCK_SKB]) ||
	    sock_put_u64(skb, REDIRMAP_A_SOCK_INSERTS, sum->inserts) ||
	    sock_put_u64(skb, REDIRMAP_A_SOCK_DELETES, sum->deletes))
		return -EMSGSIZE;
	for (i = 0; i < REDIRMAP_SOCK_REFUSAL_COUNT; i++)
		if (sock_put_refused(skb, i, sum->refused[i],
				     sum->last_refused[i]))
			return -EMSGSIZE;
	for (i = 0; i < SOCK_ERRNOS; i++)
		if (sock_put_failed(skb, rmap_sock_stats_errno(i),
				    sum->failed[i]))
			return -EMSGSIZE;
	return 0;
}

/**
 * rmap_sock_report_map() - put the counters of a socket map into a message
 * @skb: a message that has been begun
 * @record: the map's record
 *
 * Context: inside an RCU read section, which keeps the map.
 * Return: 0 or -EMSGSIZE.
 */
int rmap_sock_report_map(struct sk_buff *skb, const struct record *record)
{
	struct nlattr *nest = nla_nest_start(skb, REDIRMAP_A_MAP_SOCK);
	struct sock_sum sum = {};

	if (!nest)
		return -EMSGSIZE;
	rmap_sock_stats_add(record, &sum);
	if (sock_put_sum(skb, &sum) || sock_put_present(skb, record->map))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

/**
 * rmap_sock_report_state() - put the sum over removed socket maps into a
 * message
 * @skb: a message that has been begun
 * @net: the network namespace
 * @sum: the namespace's sum, a struct sock_sum
 *
 * Context: process context.
 * Return: 0 or -EMSGSIZE.
 */
int rmap_sock_report_state(struct sk_buff *skb, struct net *net,
			   const void *sum)
{
	struct nlattr *nest = nla_nest_start(skb, REDIRMAP_A_STATE_SOCK_GONE);

	if (!nest || sock_put_sum(skb, sum))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}
