// SPDX-License-Identifier: GPL-2.0-only
/*
 * Targets and groups for new entries of a map.
 *
 * This file finds the device that a value names, in the network namespace of
 * the writer, and the egress program, which has to be compatible with the other
 * programs of the map. The first entry of a map makes the map's groups. Memory
 * is charged to the map's memory cgroup, if the allocation supports that.
 *
 * All of this runs in bpf(2), inside the RCU read section that publishes the
 * entry, so nothing here sleeps. Updates of an array run in parallel, so
 * map_groups_lock guards the groups.
 */
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/nsproxy.h>
#include <linux/sched.h>
#include <linux/sched/mm.h>

#include "bulkq.h"
#include "compat.h"
#include "group.h"
#include "holder.h"
#include "map.h"
#include "value.h"

/*
 * Guards writes of redir_map.group and grouped, so that one task sets both
 * groups. Only rmap_bulkq_lock nests inside.
 */
static DEFINE_SPINLOCK(map_groups_lock);

static struct kern_dtab_netdev *map_make_group(struct redir_map *rmap,
					       struct net *net, int i, gfp_t gfp)
{
	struct xdp_dev_bulk_queue __percpu *bulkq;
	struct kern_dtab_netdev *group;

	bulkq = rmap_bulkq_reserve_take(&rmap->holder.bulkqs, false, gfp);
	if (!bulkq)
		return NULL;
	group = rmap_group_port_alloc(net, &rmap->dtab.map,
				      rmap->record.counters,
				      &rmap->holder.members, i, bulkq, gfp);
	if (!group)
		rmap_bulkq_free(bulkq);
	return group;
}

/*
 * Make both groups of a map, or none, with its first entry. Several tasks may
 * try at the same time; the map gets the groups of the first task that has made
 * both, and these are in that task's namespace. Context as for
 * rmap_map_attach().
 */
static int map_make_groups(struct redir_map *rmap, struct net *net, gfp_t gfp)
{
	struct kern_dtab_netdev *group[ARRAY_SIZE(rmap->group)] = {};
	bool grouped, made = true;
	int i;

	for (i = 0; made && i < ARRAY_SIZE(group); i++) {
		group[i] = map_make_group(rmap, net, i, gfp);
		made = group[i];
	}

	spin_lock(&map_groups_lock);
	grouped = rmap->grouped;
	if (!grouped)
		rmap_bulkq_reserve_want_groups(&rmap->holder.bulkqs,
					       made ? 0 : ARRAY_SIZE(group));
	if (!grouped && made) {
		for (i = 0; i < ARRAY_SIZE(group); i++)
			/* Pairs with the address dependency in map_group(). */
			smp_store_release(&rmap->group[i], group[i]);
		/* Pairs with the acquire in map_attach_charged(). */
		smp_store_release(&rmap->grouped, true);
	}
	spin_unlock(&map_groups_lock);
	if (!grouped && made)
		return 0;

	for (i = 0; i < ARRAY_SIZE(group); i++)
		if (group[i])
			rmap_group_port_free(group[i]);
	return grouped ? 0 : -ENOMEM;
}

/*
 * May a map have an egress program? All programs of a map must have the same
 * type, JIT and fragment support as the first one, which becomes the map's
 * owner. The kernel compares programs that use the map with the same owner.
 */
static bool map_takes_prog(struct bpf_map *map, const struct bpf_prog *prog)
{
	struct bpf_map_owner *owner;
	bool takes;
	int i;

	if (prog->kprobe_override || compat_prog_is_dev_bound(prog))
		return false;

	spin_lock(&map->owner_lock);
	owner = map->owner;
	if (owner) {
		takes = owner->type == prog->type &&
			owner->jited == prog->jited &&
			owner->xdp_has_frags == prog->aux->xdp_has_frags;
		goto unlock;
	}
	owner = bpf_map_owner_alloc(map);
	takes = owner;
	if (!owner)
		goto unlock;
	owner->type = prog->type;
	owner->jited = prog->jited;
	owner->xdp_has_frags = prog->aux->xdp_has_frags;
	owner->expected_attach_type = prog->expected_attach_type;
	owner->attach_func_proto = prog->aux->attach_func_proto;
	for (i = 0; i < ARRAY_SIZE(owner->storage_cookie); i++)
		owner->storage_cookie[i] = prog->aux->cgroup_storage[i] ?
					   prog->aux->cgroup_storage[i]->cookie : 0;
	map->owner = owner;
unlock:
	spin_unlock(&map->owner_lock);
	return takes;
}

/*
 * Drop a reference to a program. Its file descriptor may have been closed
 * meanwhile, so this may be the last reference. Freeing a program may sleep;
 * with interrupts off, core leaves that to a work item.
 */
static void map_put_prog(struct bpf_prog *prog)
{
	unsigned long flags;

	local_irq_save(flags);
	bpf_prog_put(prog);
	local_irq_restore(flags);
}

/* Get the egress program that a value names; NULL if none, or an error. */
static struct bpf_prog *map_get_prog(struct bpf_map *map,
				     const struct bpf_devmap_val *val,
				     struct target_want *want)
{
	struct bpf_prog *prog;

	if (val->bpf_prog.fd <= 0)
		return NULL;
	/* A refused value must not make its program the map's owner. */
	if (!rmap_target_want_dev(want))
		return ERR_PTR(-EINVAL);

	prog = bpf_prog_get_type_dev(val->bpf_prog.fd, BPF_PROG_TYPE_XDP, false);
	if (IS_ERR(prog))
		return ERR_PTR(-EINVAL);
	if (prog->expected_attach_type != BPF_XDP_DEVMAP ||
	    !map_takes_prog(map, prog)) {
		map_put_prog(prog);
		return ERR_PTR(-EINVAL);
	}
	return prog;
}

/* rmap_map_attach() with the active memory cgroup set. */
static struct target *map_attach_charged(struct redir_map *rmap,
					 const struct bpf_devmap_val *val,
					 gfp_t gfp)
{
	struct target_want want = {
		.net = current->nsproxy->net_ns,
		.ifindex = val->ifindex,
		.packets = rmap->packets,
		.own = value_counts(rmap->dtab.map.value_size),
		.gfp = gfp,
	};
	struct target *target;
	struct bpf_prog *prog;
	int err, i;

	prog = map_get_prog(&rmap->dtab.map, val, &want);
	if (IS_ERR(prog))
		return ERR_CAST(prog);
	want.prog = prog;

	/* Pairs with the release in map_make_groups(). */
	if (unlikely(!smp_load_acquire(&rmap->grouped))) {
		/* A refused entry must not set the groups' namespace. */
		if (!rmap_target_want_dev(&want)) {
			target = ERR_PTR(-EINVAL);
			goto put_prog;
		}
		err = map_make_groups(rmap, want.net, gfp);
		if (err) {
			target = ERR_PTR(err);
			goto put_prog;
		}
	}
	for (i = 0; prog && i < ARRAY_SIZE(rmap->group); i++)
		rmap_group_want_ingress(rmap->group[i]);
	target = rmap_holder_attach(&rmap->holder, &want);
put_prog:
	/* The target has a reference of its own. */
	if (prog)
		map_put_prog(prog);
	return target;
}

/* For most updates: no program, and a device that the map has used lately. */
static struct target *map_attach_again(struct redir_map *rmap,
				       const struct bpf_devmap_val *val)
{
	/* Pairs with the release in map_make_groups(). */
	bool grouped = smp_load_acquire(&rmap->grouped);

	if (unlikely(!grouped) || val->bpf_prog.fd > 0 ||
	    value_counts(rmap->dtab.map.value_size))
		return NULL;
	return rmap_holder_reuse(&rmap->holder, current->nsproxy->net_ns,
				 val->ifindex, NULL, rmap->packets);
}

/**
 * rmap_map_attach() - get the target for the device and program of a value
 * @rmap: the map
 * @val: the value; ifindex is in the caller's network namespace
 *
 * The map's memory cgroup is charged for the map's holdings, and for the target
 * if this map is the first one to name the device.
 *
 * Context: bpf(2), inside the RCU read section that publishes the target.
 * Return: the target; -EINVAL when there is no such device, or when the map may
 * not have the program; -ENOMEM; -EOPNOTSUPP from rmap_port_init().
 */
struct target *rmap_map_attach(struct redir_map *rmap,
			       const struct bpf_devmap_val *val)
{
	gfp_t gfp = GFP_NOWAIT | __GFP_NOWARN;
	struct mem_cgroup *memcg, *old_memcg;
	struct target *target;

	target = map_attach_again(rmap, val);
	if (likely(target))
		return target;

	memcg = compat_map_memcg(&rmap->dtab.map);
	if (!memcg)
		return map_attach_charged(rmap, val, gfp);

	old_memcg = set_active_memcg(memcg);
	target = map_attach_charged(rmap, val, gfp | __GFP_ACCOUNT);
	set_active_memcg(old_memcg);
	return target;
}
