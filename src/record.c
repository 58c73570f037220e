// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records: which claimed maps there are, and what every one of them has.
 *
 * Owns a list in the order of their claims, which a serial number tells, and a
 * hash by the address of the map; and records for maps that the kernel
 * allocates. All others are part of their maps.
 *
 * Maps are claimed in bpf(2), with preemption off, and go in the kernel's map
 * freeing work, or in bpf(2) when creation fails after that; list and hash change
 * under a raw lock. Both are read under RCU.
 *
 * A map that is being claimed can wait for no memory. So there is a reserve of
 * records, which a work item fills up when one was taken. A map that comes when
 * there is none stays the kernel's.
 */
#include <linux/bpf.h>
#include <linux/cache.h>
#include <linux/hashtable.h>
#include <linux/nsproxy.h>
#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <net/net_namespace.h>

#include "record.h"
#include "trace.h"

/*
 * For maps that the kernel allocates the hash may be read per packet, so it has
 * a bucket for each of 1,000 maps. It does not grow, as an rhashtable does, since
 * maps are born where nothing can be allocated, on PREEMPT_RT.
 */
#define RECORD_HASH_BITS 10

/* How many maps may be claimed before the work item gets a CPU. */
#define RECORD_RESERVE 32

static LIST_HEAD(records);
static DEFINE_HASHTABLE(records_by_map, RECORD_HASH_BITS);
static DEFINE_RAW_SPINLOCK(records_lock);
static u64 record_serial;
static unsigned int record_generation_count = 1;

/* Linked by listed. Under records_lock; the count is read without it, too. */
static LIST_HEAD(record_reserve);
static unsigned int record_reserve_count;

static void record_reserve_fill(struct work_struct *work);
static DECLARE_WORK(record_reserve_work, record_reserve_fill);

static void records_changed(void)
{
	lockdep_assert_held(&records_lock);

	WRITE_ONCE(record_generation_count, record_generation_count + 1);
}

/**
 * rmap_record_open() - begin the record of a map that is being claimed
 * @record: the record; its counters are set, and what keeps them when the map goes:
 *	@gone, with a reference, and @leaver; the rest is zeroed
 * @map: the map
 * @kind: its kind
 *
 * Context: bpf(2) of who creates the map; preemption may be off.
 */
void rmap_record_open(struct record *record, struct bpf_map *map,
		      const struct kind *kind)
{
	struct net *net = current->nsproxy->net_ns;
	unsigned long flags;

	record->map = map;
	record->kind = kind;
	record->netns_cookie = net->net_cookie;
	record->netns_ino = net->ns.inum;

	raw_spin_lock_irqsave(&records_lock, flags);
	record->serial = ++record_serial;
	list_add_tail_rcu(&record->listed, &records);
	hash_add_rcu(records_by_map, &record->hashed, (unsigned long)map);
	records_changed();
	raw_spin_unlock_irqrestore(&records_lock, flags);
	trace_redirmap_claim(map);
}

/**
 * rmap_record_close() - let a record be found no more
 * @record: the record of a map that is about to be freed, after a grace period
 *
 * Context: process context.
 */
void rmap_record_close(struct record *record)
{
	unsigned long flags;

	trace_redirmap_release(record->map);
	/* First, so that it is known as gone when it is found no more. */
	rmap_gone_leave(record->gone, &record->leaver);
	raw_spin_lock_irqsave(&records_lock, flags);
	list_del_rcu(&record->listed);
	hash_del_rcu(&record->hashed);
	records_changed();
	raw_spin_unlock_irqrestore(&records_lock, flags);
}

/**
 * rmap_record_end() - keep what a map has counted
 * @record: the record, a grace period after it was closed
 *
 * Context: process context.
 */
void rmap_record_end(struct record *record)
{
	rmap_gone_keep(record->gone, &record->leaver);
	rmap_gone_put(record->gone);
}

/**
 * rmap_record_find() - the record of a map
 * @map: any map
 *
 * Context: inside an RCU read section, which keeps the record; or the map is
 * claimed, and does not go meanwhile.
 * Return: the record; NULL for a map that is not claimed.
 */
struct record *rmap_record_find(const struct bpf_map *map)
{
	struct record *record;

	hash_for_each_possible_rcu(records_by_map, record, hashed,
				   (unsigned long)map)
		if (record->map == map)
			return record;
	return NULL;
}

/**
 * rmap_record_generation() - what changes when a map comes or goes
 *
 * Context: any.
 * Return: a number other than that before the change.
 */
unsigned int rmap_record_generation(void)
{
	return READ_ONCE(record_generation_count);
}

/*
 * Let a map be gone that has no id any more. Core takes the id away with the last
 * reference, and netlink tells of the map no more; the work item that frees it may
 * come much later. Inside an RCU read section, which keeps the map.
 */
static void record_leave_if_closed(struct record *record)
{
	const struct bpf_map *map = record->map;

	/* One that is being created has no id either, but a reference. */
	if (!READ_ONCE(map->id) && !atomic64_read(&map->refcnt))
		rmap_gone_leave(record->gone, &record->leaver);
}

/**
 * rmap_record_find_closed() - look for maps that are closed, but not freed yet
 * @net: the namespace that they were created in
 *
 * What they have counted is that of maps that are gone: so who reads that calls
 * this before. See rmap_gone_leave().
 *
 * Context: process context.
 */
void rmap_record_find_closed(const struct net *net)
{
	struct record *record;

	rcu_read_lock();
	list_for_each_entry_rcu(record, &records, listed)
		if (record->netns_cookie == net->net_cookie)
			record_leave_if_closed(record);
	rcu_read_unlock();
}

/**
 * rmap_record_next() - walk over all claimed maps
 * @at: a record that was found in the same RCU read section, or NULL
 * @serial: where to begin without one: behind this serial number
 *
 * Maps that are still being created are passed over: they have no id yet.
 *
 * Context: inside an RCU read section, which keeps the record and the map.
 * Return: the next record, or NULL.
 */
struct record *rmap_record_next(struct record *at, u64 serial)
{
	struct record *record;

	record = at ?: list_entry(&records, struct record, listed);
	list_for_each_entry_continue_rcu(record, &records, listed)
		if ((at || record->serial > serial) &&
		    READ_ONCE(record->map->id))
			return record;
	return NULL;
}

/* --- records of their own --------------------------------------------------- */

/* Where the counters are, behind the record: each CPU's in lines of its own. */
#define RECORD_COUNTERS ALIGN(sizeof(struct record), SMP_CACHE_BYTES)

/* Bytes of one CPU's counters: of the kind that has most. Set by insmod. */
static size_t record_counters __ro_after_init;

/**
 * rmap_record_memory() - what a record takes that is not part of its map
 *
 * Context: any.
 * Return: bytes, those of all CPUs included.
 */
size_t rmap_record_memory(void)
{
	return RECORD_COUNTERS + nr_cpu_ids * record_counters;
}

static struct record *record_alloc(void)
{
	struct record *record = kvzalloc(rmap_record_memory(), GFP_KERNEL);

	if (record)
		record->counters = (void *)record + RECORD_COUNTERS;
	return record;
}

/* Work item. Nobody who could be charged is known here: see design.rst. */
static void record_reserve_fill(struct work_struct *work)
{
	struct record *record;

	while (READ_ONCE(record_reserve_count) < RECORD_RESERVE) {
		record = record_alloc();
		if (!record)
			return;
		raw_spin_lock_irq(&records_lock);
		list_add(&record->listed, &record_reserve);
		WRITE_ONCE(record_reserve_count, record_reserve_count + 1);
		raw_spin_unlock_irq(&records_lock);
	}
}

/**
 * rmap_record_take() - a record for a map that the kernel has allocated
 *
 * Context: any; preemption may be off.
 * Return: the record, for rmap_record_open() and rmap_record_free(); NULL when
 * too many have been taken lately.
 */
struct record *rmap_record_take(void)
{
	struct record *record;
	unsigned long flags;

	raw_spin_lock_irqsave(&records_lock, flags);
	record = list_first_entry_or_null(&record_reserve, struct record,
					  listed);
	if (record) {
		list_del(&record->listed);
		WRITE_ONCE(record_reserve_count, record_reserve_count - 1);
	}
	raw_spin_unlock_irqrestore(&records_lock, flags);
	queue_work(system_highpri_wq, &record_reserve_work);
	return record;
}

/**
 * rmap_record_free() - free a record from rmap_record_take()
 * @record: the record, a grace period after it was closed
 *
 * Context: process context.
 */
void rmap_record_free(struct record *record)
{
	kvfree(record);
}

/**
 * rmap_record_reserve_init() - get ready for rmap_record_take()
 * @counters: bytes for one CPU's counters of a map
 *
 * Context: insmod, where there is a kind of map that needs it.
 * Return: 0 or -ENOMEM.
 */
int __init rmap_record_reserve_init(size_t counters)
{
	record_counters = counters;
	record_reserve_fill(&record_reserve_work);
	if (record_reserve_count == RECORD_RESERVE)
		return 0;
	rmap_record_reserve_exit();
	return -ENOMEM;
}

/**
 * rmap_record_reserve_exit() - free the reserve
 *
 * Context: rmmod, with no map left; or insmod.
 */
void rmap_record_reserve_exit(void)
{
	struct record *record, *next;

	cancel_work_sync(&record_reserve_work);
	list_for_each_entry_safe(record, next, &record_reserve, listed)
		kvfree(record);
	INIT_LIST_HEAD(&record_reserve);
	record_reserve_count = 0;
}
