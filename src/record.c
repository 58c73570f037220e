// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records: each claimed map has a record, and this file lists them.
 *
 * This file owns a list of all records, in the order of their serial numbers,
 * and a hash by the address of the map. A map that the module allocates
 * includes its record; record_order.c makes the records of maps that the kernel
 * allocates.
 *
 * Maps are claimed in bpf(2), with preemption off, and freed in a work item of
 * the kernel, or in bpf(2) when creation fails after the claim. A raw lock
 * guards changes of list and hash; both are read under RCU.
 */
#include <linux/bpf.h>
#include <linux/hashtable.h>
#include <linux/mutex.h>
#include <linux/nsproxy.h>
#include <linux/rculist.h>
#include <linux/sched.h>
#include <linux/spinlock.h>
#include <net/net_namespace.h>

#include "record.h"
#include "trace.h"

static LIST_HEAD(records);
DEFINE_HASHTABLE(rmap_records_by_map, RECORD_HASH_BITS);
/*
 * Guards changes of all lists, the hash, and the two numbers below. The lock is
 * raw, because maps are claimed with preemption off.
 */
static DEFINE_RAW_SPINLOCK(records_lock);
static u64 record_serial;
static unsigned int record_generation_count = 1;

/*
 * Maps that may be closed: no descriptor and no pin keeps them, but programs or
 * other maps may keep them. The list may also have maps that are new, or that
 * have got a descriptor again, since rmap_record_find_closed() ran last; only
 * one task at a time runs that function, because of the mutex.
 */
static LIST_HEAD(records_unheld);
static DEFINE_MUTEX(records_unheld_mutex);

static void records_changed(void)
{
	lockdep_assert_held(&records_lock);

	WRITE_ONCE(record_generation_count, record_generation_count + 1);
}

/**
 * rmap_record_open() - begin the record of a map that is being claimed
 * @record: the record; the caller has set counters, gone (with a reference) and
 *	leaver, and all other members are zeroed
 * @map: the map
 * @kind: its kind
 *
 * Context: the task that creates the map, in bpf(2) or on its way back from
 * there; preemption may be off.
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
	list_add_tail(&record->unheld, &records_unheld);
	hash_add_rcu(rmap_records_by_map, &record->hashed, record_key(map));
	records_changed();
	raw_spin_unlock_irqrestore(&records_lock, flags);
	trace_redirmap_claim(map);
}

/**
 * rmap_record_close() - unlist the record of a map
 * @record: the record of a map that is about to be freed, after a grace period
 *
 * Context: process context.
 */
void rmap_record_close(struct record *record)
{
	unsigned long flags;

	trace_redirmap_release(record->map);
	/*
	 * The map has no id, so netlink no longer lists it. It joins the sum
	 * before it leaves records_unheld, so that no reader of the sum misses
	 * it: see rmap_record_find_closed().
	 */
	rmap_gone_leave(record->gone, &record->leaver);
	raw_spin_lock_irqsave(&records_lock, flags);
	list_del_rcu(&record->listed);
	list_del(&record->unheld);
	hash_del_rcu(&record->hashed);
	records_changed();
	raw_spin_unlock_irqrestore(&records_lock, flags);
}

/**
 * rmap_record_end() - keep the counters of a map that is about to be freed
 * @record: the record, a grace period after rmap_record_close()
 *
 * Context: process context.
 */
void rmap_record_end(struct record *record)
{
	rmap_gone_keep(record->gone, &record->leaver);
	rmap_gone_put(record->gone);
}

/**
 * rmap_record_generation() - a number that changes with the set of records
 *
 * Context: any.
 * Return: the number.
 */
unsigned int rmap_record_generation(void)
{
	return READ_ONCE(record_generation_count);
}

/**
 * rmap_record_unheld() - list a map that has lost its last descriptor or pin
 * @record: the record of the map, which may be closed next
 *
 * Context: any; the caller keeps the record.
 */
void rmap_record_unheld(struct record *record)
{
	unsigned long flags;

	raw_spin_lock_irqsave(&records_lock, flags);
	if (list_empty(&record->unheld))
		list_add_tail(&record->unheld, &records_unheld);
	raw_spin_unlock_irqrestore(&records_lock, flags);
}

/*
 * Move the next record of records_unheld to @seen, or drop it from the list if
 * the map has a descriptor; NULL when no record is left. Inside an RCU read
 * section, which keeps the record.
 */
static struct record *record_next_unheld(struct list_head *seen)
{
	struct record *record;

	lockdep_assert_held(&records_unheld_mutex);

	raw_spin_lock_irq(&records_lock);
	record = list_first_entry_or_null(&records_unheld, struct record,
					  unheld);
	/* rmap_record_unheld() lists it again when the descriptor is closed. */
	if (record && atomic64_read(&record->map->usercnt))
		list_del_init(&record->unheld);
	else if (record)
		list_move_tail(&record->unheld, seen);
	raw_spin_unlock_irq(&records_lock);
	return record;
}

/*
 * Add a map to the removed ones if it is closed. When the last reference is
 * dropped, core removes the map's id, and netlink no longer lists the map; the
 * work item that frees the map may run much later. Inside an RCU read section,
 * which keeps the map.
 */
static void record_leave_if_closed(struct record *record)
{
	const struct bpf_map *map = record->map;

	/* A map that is being created has no id either, but has a reference. */
	if (!READ_ONCE(map->id) && !atomic64_read(&map->refcnt))
		rmap_gone_leave(record->gone, &record->leaver);
}

/**
 * rmap_record_find_closed() - find maps that are closed, but not freed yet
 *
 * The counters of these maps belong to the sum over removed maps, so a reader
 * of this sum calls this function first. See rmap_gone_leave().
 *
 * The time grows with the number of maps that no descriptor keeps, and of maps
 * that were made since the last call.
 *
 * Context: process context, sleeps.
 */
void rmap_record_find_closed(void)
{
	struct record *record;
	LIST_HEAD(seen);

	mutex_lock(&records_unheld_mutex);
	do {
		rcu_read_lock();
		record = record_next_unheld(&seen);
		if (record)
			record_leave_if_closed(record);
		rcu_read_unlock();
		cond_resched();
	} while (record);

	raw_spin_lock_irq(&records_lock);
	list_splice(&seen, &records_unheld);
	raw_spin_unlock_irq(&records_lock);
	mutex_unlock(&records_unheld_mutex);
}

/**
 * rmap_record_next() - walk over all claimed maps
 * @at: a record that was found in the same RCU read section, or NULL
 * @serial: if @at is NULL, begin after this serial number
 *
 * Maps that are still being created have no id yet, and are skipped.
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
