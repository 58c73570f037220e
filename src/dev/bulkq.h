/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_BULKQ_H
#define REDIRMAP_BULKQ_H

#include <linux/list.h>
#include <linux/spinlock.h>

#include "dev_layout.h"
#include "stats.h"

struct bpf_map;
struct port;
struct xarray;
struct xdp_dev_bulk_queue;

/**
 * struct bulkq_cpu - one CPU's part of a port
 * @queue: the bulk queue that the kernel knows and writes per packet
 * @stats: counters of the frames; the hot ones are in the cache line of
 *	@queue.count, which the kernel has just written
 * @kept: a frame that waits for the poll's last call, or NULL: see port_xmit.c
 * @next_keeper: the next port that keeps a frame of a broadcast; NULL when the
 *	port is not listed
 *
 * All of it is hot: read or written per packet or per flush.
 */
struct bulkq_cpu {
	struct kern_bulkq queue ____cacheline_aligned;
	struct stats_cpu stats;
	struct xdp_frame *kept;
	const struct port *next_keeper;
};

/**
 * struct bulkq_stock - sets of idle bulk queues
 * @first: the first set, which links to the next: see bulkq_stock.c; or NULL
 * @count: number of sets
 */
struct bulkq_stock {
	struct xdp_dev_bulk_queue __percpu *first;
	unsigned int count;
};

/**
 * struct bulkq_reserve - bulk queues that a map has ready for its next ports
 * @stock: the sets that the reserve has
 * @ahead: number of sets that it wants for targets
 * @groups: number of sets that it wants for groups that are not made yet
 * @taken: time of the last take, or of the first filling, in jiffies
 * @seen: time when the map was first seen with an id, in jiffies
 * @was_seen: @seen is set
 * @made: an update has shown that the map's creation is complete
 * @idle: no set was taken for a while, so the reserve wants none
 * @low: the reserve is to be settled soon
 * @starved: there was no memory when the reserve was last settled
 * @place: node in one of the lists of bulkq_reserve.c, or in none
 * @map: the map, whose memory cgroup is charged
 *
 * All of it is cold: no packet reads it, and few updates do. Members change
 * under rmap_bulkq_lock; @stock.count is read without the lock as well.
 */
struct bulkq_reserve {
	struct bulkq_stock stock;
	unsigned int ahead;
	unsigned int groups;
	unsigned long taken;
	unsigned long seen;
	bool was_seen;
	bool made;
	bool idle;
	bool low;
	bool starved;
	struct list_head place;
	const struct bpf_map *map;
};

/*
 * Guards all reserves, and the lists and flags of bulkq_reserve.c. The lock is
 * raw, because maps are claimed with preemption off.
 */
extern raw_spinlock_t rmap_bulkq_lock;

/**
 * bulkq_wants() - the number of sets that a reserve wants
 * @reserve: the reserve
 *
 * Context: under rmap_bulkq_lock.
 * Return: number of sets.
 */
static inline unsigned int bulkq_wants(const struct bulkq_reserve *reserve)
{
	lockdep_assert_held(&rmap_bulkq_lock);

	return reserve->idle ? 0 : reserve->ahead + reserve->groups;
}

/**
 * bulkq_cpu() - a CPU's bulk queue of a port
 * @bulkq: the port's bulk queues
 * @cpu: a possible CPU
 *
 * Context: any.
 * Return: the queue.
 */
static inline struct kern_bulkq *
bulkq_cpu(struct xdp_dev_bulk_queue __percpu *bulkq, unsigned int cpu)
{
	struct bulkq_cpu __percpu *all = (struct bulkq_cpu __percpu *)bulkq;

	return &per_cpu_ptr(all, cpu)->queue;
}

/**
 * bulkq_pointer() - bulk queues as a plain pointer, for a table
 * @bulkq: bulk queues, or NULL
 *
 * Per-CPU pointers may have a named address space. No cast to another address
 * space removes it, but a cast to an integer does.
 *
 * Context: any.
 * Return: a pointer for bulkq_of_pointer(), not to be followed.
 */
static inline void *bulkq_pointer(struct xdp_dev_bulk_queue __percpu *bulkq)
{
	return (void *)(__force unsigned long)bulkq;
}

/**
 * bulkq_of_pointer() - the opposite of bulkq_pointer()
 * @pointer: the result of bulkq_pointer()
 *
 * Context: any.
 * Return: the bulk queues.
 */
static inline struct xdp_dev_bulk_queue __percpu *bulkq_of_pointer(void *pointer)
{
	return (__force struct xdp_dev_bulk_queue __percpu *)(unsigned long)pointer;
}

/**
 * bulkq_first() - the first CPU's bulk queue; idle sets have a link in it
 * @bulkq: idle bulk queues
 *
 * Context: any.
 * Return: the queue.
 */
static inline struct kern_bulkq *
bulkq_first(struct xdp_dev_bulk_queue __percpu *bulkq)
{
	return bulkq_cpu(bulkq, cpumask_first(cpu_possible_mask));
}

/**
 * bulkq_this_cpu() - this CPU's part of a port
 * @bulkq: the port's bulk queues
 *
 * Context: bottom halves off.
 * Return: the part.
 */
static inline struct bulkq_cpu *
bulkq_this_cpu(struct xdp_dev_bulk_queue __percpu *bulkq)
{
	return this_cpu_ptr((struct bulkq_cpu __percpu *)bulkq);
}

/**
 * bulkq_stats() - this CPU's counters of a port
 * @bulkq: the port's bulk queues
 *
 * Context: bottom halves off.
 * Return: the counters.
 */
static inline struct stats_cpu *
bulkq_stats(struct xdp_dev_bulk_queue __percpu *bulkq)
{
	return &bulkq_this_cpu(bulkq)->stats;
}

/**
 * bulkq_add_stats() - add up all CPUs' counters of a port
 * @bulkq: the port's bulk queues
 * @sum: the sum to add the counters to
 *
 * Context: any; the caller keeps the port from being freed.
 */
static inline void bulkq_add_stats(struct xdp_dev_bulk_queue __percpu *bulkq,
				   struct stats_sum *sum)
{
	rmap_stats_add(&((struct bulkq_cpu __percpu *)bulkq)->stats, sum);
}

/**
 * bulkq_memory() - memory of a port's bulk queues
 *
 * Context: any.
 * Return: bytes, for all possible CPUs.
 */
static inline size_t bulkq_memory(void)
{
	return num_possible_cpus() * sizeof(struct bulkq_cpu);
}

struct xdp_dev_bulk_queue __percpu *rmap_bulkq_alloc(gfp_t gfp);
void rmap_bulkq_bind(struct xdp_dev_bulk_queue __percpu *bulkq,
		     struct net_device *port);
void rmap_bulkq_free(struct xdp_dev_bulk_queue __percpu *bulkq);

void rmap_bulkq_look_at(const struct net_device *real);
bool rmap_bulkq_layout_is_known(void);

void rmap_bulkq_reserve_init(struct bulkq_reserve *reserve,
			     const struct bpf_map *map);
void rmap_bulkq_reserve_exit(struct bulkq_reserve *reserve);
void rmap_bulkq_reserve_start(struct bulkq_reserve *reserve,
			      unsigned int groups);
void rmap_bulkq_reserve_want_groups(struct bulkq_reserve *reserve,
				    unsigned int groups);
void rmap_bulkq_reserve_fill(struct bulkq_reserve *reserve, unsigned int count);
size_t rmap_bulkq_reserve_memory(const struct bulkq_reserve *reserve);
struct xdp_dev_bulk_queue __percpu *
rmap_bulkq_reserve_take(struct bulkq_reserve *reserve, bool more, gfp_t gfp);

void rmap_bulkq_settle(struct bulkq_reserve *reserve);
void rmap_bulkq_shrink(struct bulkq_reserve *reserve);

void rmap_bulkq_stock_push(struct bulkq_stock *stock,
			   struct xdp_dev_bulk_queue __percpu *bulkq);
struct xdp_dev_bulk_queue __percpu *
rmap_bulkq_stock_pop(struct bulkq_stock *stock);

void rmap_bulkq_pool_fill(void);
struct xdp_dev_bulk_queue __percpu *
rmap_bulkq_pool_take(const struct bpf_map *map);
void rmap_bulkq_pool_exit(void);

void rmap_bulkq_spare_bring(struct xarray *spares,
			    const struct net_device *real, gfp_t gfp);
struct xdp_dev_bulk_queue __percpu *
rmap_bulkq_spare_take(struct xarray *spares, const struct net_device *real);
void rmap_bulkq_spare_return(struct xarray *spares,
			     const struct net_device *real,
			     struct xdp_dev_bulk_queue __percpu *bulkq);
void rmap_bulkq_spare_drop(struct xarray *spares,
			   const struct net_device *real);

void rmap_bulkq_module_exit(void);

#endif /* REDIRMAP_BULKQ_H */
