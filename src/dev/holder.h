/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_HOLDER_H
#define REDIRMAP_HOLDER_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>

#include "bulkq.h"
#include "target.h"

struct holding;

#define HOLDER_RECENT 8

/**
 * struct holder - the part of a map that holds targets
 * @node: node in the list of all holders that have ever held a target
 * @holdings: the holdings, by the id of their target
 * @members: the holdings as a list of struct group_member, for broadcasts
 * @recent: some holdings, by ifindex, so that updates find them faster
 * @idle: holdings that have lost their last use lately
 * @idle_work: frees idle holdings that have got no use since; queued while
 *	@idle has any
 * @lock: guards changes of @holdings, @members, @idle and @count
 * @count: number of @holdings; read without the lock as well
 * @bulkqs: reserve of bulk queues for the map's next ports
 * @sweep: drops all uses of one dead target, or, if @dead is NULL, of all dead
 *	targets; called in process context, may sleep, and never runs in
 *	parallel with rmap_holder_exit()
 *
 * hot: broadcasts read @members, per flush. The rest is cold: no packet reads
 * it, and updates that name a recent device read @recent alone.
 */
struct holder {
	struct list_head node;
	struct xarray holdings;
	struct list_head members;
	struct holding __rcu *recent[HOLDER_RECENT];
	struct list_head idle;
	struct delayed_work idle_work;
	spinlock_t lock; /* @holdings, @members, @idle, @count */
	unsigned int count;
	struct bulkq_reserve bulkqs;
	void (*sweep)(struct holder *holder, struct target *dead);
};

void rmap_holder_init(struct holder *holder,
		      void (*sweep)(struct holder *holder,
				    struct target *dead));
void rmap_holder_exit(struct holder *holder);
size_t rmap_holder_memory(const struct holder *holder);

struct target *rmap_holder_reuse(struct holder *holder, const struct net *net,
				 u32 ifindex, const struct bpf_prog *prog,
				 enum redirmap_packets packets);
struct target *rmap_holder_attach(struct holder *holder,
				  struct target_want *want);
u64 rmap_holder_count_uses(struct holder *holder, u64 netns_cookie,
			   u32 *elsewhere);
void rmap_holder_detach(struct holder *holder, struct target *target, int uses);

/* Only for holder_sweep.c. */
bool rmap_holder_has_uses(struct holder *holder, const struct target *target);
void rmap_holder_list(struct holder *holder);
void rmap_holder_unlist(struct holder *holder);

int rmap_holder_module_init(void);

#endif /* REDIRMAP_HOLDER_H */
