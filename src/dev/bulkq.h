/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_BULKQ_H
#define REDIRMAP_BULKQ_H

#include <linux/list.h>

#include "dev_layout.h"
#include "stats.h"

struct bpf_map;
struct port;
struct xarray;
struct xdp_dev_bulk_queue;

/**
 * struct bulkq_cpu - one CPU's part of a port
 * @queue: what the kernel knows of, and writes per packet
 * @stats: what has become of the frames; hot counters in the line that the
 *	kernel has just written, that of the queue's count
 * @kept: a frame that waits for the poll's last call, or NULL: see port_xmit.c
 * @next_keeper: the next port that a broadcast has made keep one; NULL when the
 *	port is not listed
 */
struct bulkq_cpu {
	struct kern_bulkq queue ____cacheline_aligned;
	struct stats_cpu stats;
	struct xdp_frame *kept;
	const struct port *next_keeper;
};

/**
 * struct bulkq_stock - idle bulk queues
 * @first: one, which leads to the others: see bulkq_stock.c; NULL if there are none
 * @count: how many
 */
struct bulkq_stock {
	struct xdp_dev_bulk_queue __percpu *first;
	unsigned int count;
};

/**
 * struct bulkq_reserve - bulk queues that a map has ready for its next ports
 * @stock: those that it has
 * @ahead: how many it is to have for targets
 * @groups: and for the map's groups, as long as the map has none
 * @taken: when the last one was taken, or it was first filled, in jiffies
 * @seen: when the map was first seen with an id, in jiffies
 * @was_seen: it was
 * @made: all of the map is made, since somebody updates it
 * @idle: nothing was taken for a while, so it is to have none
 * @low: it is to be settled soon
 * @starved: there was no memory for it when it was last settled
 * @place: in one of the lists of bulkq_reserve.c, or in none
 * @map: the map, whose memory cgroup pays
 *
 * Nothing of it is looked at per packet, nor by most updates. Under bulkq_lock,
 * except that @stock.count is read without it, too.
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
 * bulkq_first() - the first CPU's bulk queue: where idle ones have notes
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
 * Return: the part
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
 * Return: the counters
 */
static inline struct stats_cpu *
bulkq_stats(struct xdp_dev_bulk_queue __percpu *bulkq)
{
	return &bulkq_this_cpu(bulkq)->stats;
}

/**
 * bulkq_add_stats() - add up all CPUs' counters of a port
 * @bulkq: the port's bulk queues
 * @sum: what they are added to
 *
 * Context: any; the port must not be freed meanwhile.
 */
static inline void bulkq_add_stats(struct xdp_dev_bulk_queue __percpu *bulkq,
				   struct stats_sum *sum)
{
	rmap_stats_add(&((struct bulkq_cpu __percpu *)bulkq)->stats, sum);
}

/**
 * bulkq_memory() - what a port's bulk queues take
 *
 * Context: any.
 * Return: bytes, those of all possible CPUs.
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

void rmap_bulkq_stock_push(struct bulkq_stock *stock,
			   struct xdp_dev_bulk_queue __percpu *bulkq);
struct xdp_dev_bulk_queue __percpu *
rmap_bulkq_stock_pop(struct bulkq_stock *stock);

void rmap_bulkq_pool_fill(void);
struct xdp_dev_bulk_queue __percpu *rmap_bulkq_pool_take(void);
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
