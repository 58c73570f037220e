// SPDX-License-Identifier: GPL-2.0-only
/*
 * Counters of socket maps.
 *
 * Each CPU has its own counters of a map, behind the map's record. Helpers
 * count redirects inside BPF programs, which do not migrate, in any context;
 * the operations of the maps count inserts and deletes, in bpf(2) and in
 * programs. netlink reads the counters at any time: each counter is right, but
 * not all are of the same moment.
 *
 * A map whose record has not been made yet, or for which there was no memory,
 * is not counted.
 */
#include <linux/bpf.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/rcupdate.h>
#include <linux/smp.h>

#include "record.h"
#include "sock_stats.h"
#include "stamp.h"

/* The errnos of struct sock_stats.failed; 0 stands for all others. */
static const u32 sock_errnos[SOCK_ERRNOS] = {
	EINVAL, E2BIG, EEXIST, ENOENT, EBUSY, EOPNOTSUPP, ENOMEM, EBADF,
	ENOTSOCK, 0,
};

/**
 * rmap_sock_stats_errno() - the errno of a counter of failed updates
 * @i: number of the counter
 *
 * Context: any.
 * Return: the errno; 0 for the counter of all other errnos.
 */
u32 rmap_sock_stats_errno(unsigned int i)
{
	return sock_errnos[i];
}

/**
 * rmap_sock_stats_refused() - count a redirect that the kernel has refused
 * @stats: this CPU's counters of the map
 * @reason: the reason
 *
 * Context: a BPF program, in any context, per refused redirect.
 */
void rmap_sock_stats_refused(struct sock_stats *stats,
			     enum redirmap_sock_refusal reason)
{
	WRITE_ONCE(stats->last_refused[reason], stamp_now());
	u64_stats_inc(&stats->refused[reason]);
}

/**
 * rmap_sock_stats_of() - the counters of a map
 * @map: the map
 *
 * Context: any in which the map may be changed; that need not be an RCU read
 * section, as in sleepable iterators. The counters exist as long as the caller
 * keeps the map.
 * Return: all CPUs' counters; NULL if the map has none.
 */
struct sock_stats *rmap_sock_stats_of(const struct bpf_map *map)
{
	struct record *record;

	rcu_read_lock();
	record = record_find(map);
	rcu_read_unlock();
	return record ? record->counters : NULL;
}

/**
 * rmap_sock_stats_begin() - note that an update begins
 * @all: the map's counters, or NULL
 *
 * Context: any in which the map may be updated; the caller keeps the map, and
 * calls rmap_sock_stats_end().
 */
void rmap_sock_stats_begin(struct sock_stats *all)
{
	if (!all)
		return;
	u64_stats_inc(&all[get_cpu()].running);
	put_cpu();
}

/* With preemption off. */
static void stats_count_error(struct sock_stats *stats, long err)
{
	unsigned int i = 0;

	while (sock_errnos[i] && sock_errnos[i] != -err)
		i++;
	u64_stats_inc(&stats->failed[i]);
}

/**
 * rmap_sock_stats_end() - count an update that ends
 * @all: the map's counters, or NULL
 * @err: 0, or the negative errno that the update returns
 *
 * Context: as rmap_sock_stats_begin().
 */
void rmap_sock_stats_end(struct sock_stats *all, long err)
{
	struct sock_stats *stats;

	if (!all)
		return;
	stats = &all[get_cpu()];
	if (err)
		stats_count_error(stats, err);
	else
		u64_stats_inc(&stats->inserts);
	u64_stats_add(&stats->running, -1);
	put_cpu();
}

/**
 * rmap_sock_stats_failed() - count an update that has failed before its begin
 * @all: the map's counters, or NULL
 * @err: the negative errno that the update returns
 *
 * Context: any in which the map may be updated; the caller keeps the map.
 * Return: @err.
 */
int rmap_sock_stats_failed(struct sock_stats *all, int err)
{
	if (all) {
		stats_count_error(&all[get_cpu()], err);
		put_cpu();
	}
	return err;
}

/**
 * rmap_sock_stats_deleted() - count a delete
 * @all: the map's counters, or NULL
 *
 * Context: any in which an entry may be deleted; the caller keeps the map.
 */
void rmap_sock_stats_deleted(struct sock_stats *all)
{
	if (!all)
		return;
	u64_stats_inc(&all[get_cpu()].deletes);
	put_cpu();
}

static void stats_add_refused(const struct sock_stats *one,
			      struct sock_sum *sum)
{
	u64 redirects;
	int i;

	for (i = 0; i < REDIRMAP_SOCK_REFUSAL_COUNT; i++) {
		/* Writers write the stamp before the count. */
		redirects = u64_stats_read(&one->refused[i]);
		if (!redirects)
			continue;
		sum->refused[i] += redirects;
		sum->last_refused[i] =
			max(sum->last_refused[i],
			    stamp_time(READ_ONCE(one->last_refused[i])));
	}
}

/**
 * rmap_sock_stats_changes() - a number that changes with each insert and delete
 * @record: the map's record
 *
 * A socket that is closed leaves the map without a change of the number.
 *
 * Context: any; the caller keeps the record.
 * Return: the number.
 */
u64 rmap_sock_stats_changes(const struct record *record)
{
	const struct sock_stats *all = record->counters;
	unsigned int cpu;
	u64 changes = 0;

	for_each_possible_cpu(cpu)
		changes += u64_stats_read(&all[cpu].inserts) +
			   u64_stats_read(&all[cpu].deletes);
	return changes;
}

/**
 * rmap_sock_stats_running() - is a task in the middle of an update?
 * @record: the map's record
 *
 * Such an update may have changed the map, or not yet.
 *
 * Context: any; the caller keeps the record.
 * Return: true if so.
 */
bool rmap_sock_stats_running(const struct record *record)
{
	const struct sock_stats *all = record->counters;
	unsigned int cpu;
	u64 running = 0;

	/* An update may end on another CPU than it has begun on. */
	for_each_possible_cpu(cpu)
		running += u64_stats_read(&all[cpu].running);
	return running;
}

/**
 * rmap_sock_stats_add() - add up all CPUs' counters of a map
 * @record: the map's record
 * @to: the struct sock_sum to add the counters to
 *
 * Context: any; the caller keeps the record.
 */
void rmap_sock_stats_add(const struct record *record, void *to)
{
	const struct sock_stats *all = record->counters, *one;
	struct sock_sum *sum = to;
	unsigned int cpu;
	int i;

	for_each_possible_cpu(cpu) {
		one = &all[cpu];
		for (i = 0; i < SOCK_DATA_TYPES; i++) {
			sum->accepted[i][0] += u64_stats_read(&one->accepted[i][0]);
			sum->accepted[i][1] += u64_stats_read(&one->accepted[i][1]);
			sum->closing[i] += u64_stats_read(&one->closing[i]);
		}
		stats_add_refused(one, sum);
		sum->inserts += u64_stats_read(&one->inserts);
		sum->deletes += u64_stats_read(&one->deletes);
		for (i = 0; i < SOCK_ERRNOS; i++)
			sum->failed[i] += u64_stats_read(&one->failed[i]);
	}
}
