// SPDX-License-Identifier: GPL-2.0-only
/*
 * Attributes of messages of the generic netlink family.
 *
 * This file owns no data: it copies the data of other files into messages.
 * netlink.c handles the requests.
 *
 * All of this runs in the process context of the requester. All nl_put_*()
 * return 0, or an error, mostly -EMSGSIZE, on which the caller cancels the
 * message.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include <net/netlink.h>
#include <uapi/linux/redirmap.h>

#include "gone.h"
#include "hook.h"
#include "kind.h"
#include "layout.h"
#include "netlink_answer.h"
#include "netlink_msg.h"
#include "policy.h"
#include "record.h"

/**
 * rmap_nl_put_map() - put a map's attributes into a message
 * @skb: a message that has been begun
 * @record: the map's record
 * @id: the map's id; the caller has read it, because a map loses its id when it
 *	is closed
 *
 * Context: inside an RCU read section, which keeps the map.
 * Return: 0 or -EMSGSIZE.
 */
int rmap_nl_put_map(struct sk_buff *skb, const struct record *record, u32 id)
{
	const struct kind *kind = record->kind;
	const struct bpf_map *map = record->map;

	if (nla_put_u32(skb, REDIRMAP_A_MAP_ID, id) ||
	    nla_put_string(skb, REDIRMAP_A_MAP_NAME, map->name) ||
	    nla_put_u32(skb, REDIRMAP_A_MAP_TYPE, map->map_type) ||
	    nla_put_u32(skb, REDIRMAP_A_MAP_VALUE_SIZE, map->value_size) ||
	    nla_put_u32(skb, REDIRMAP_A_MAP_CAPACITY, map->max_entries) ||
	    nla_put_u64_64bit(skb, REDIRMAP_A_MAP_NETNS, record->netns_ino,
			      REDIRMAP_A_MAP_PAD) ||
	    nla_put_u64_64bit(skb, REDIRMAP_A_MAP_MEMORY, rmap_kind_memory(map),
			      REDIRMAP_A_MAP_PAD) ||
	    nla_put_u32(skb, REDIRMAP_A_MAP_USERS,
			min_t(u64, atomic64_read(&map->refcnt), U32_MAX)) ||
	    (kind->report && kind->report(skb, record)))
		return -EMSGSIZE;
	return 0;
}

static int nl_put_hook(struct sk_buff *skb, const struct hook_info *info)
{
	struct nlattr *nest = nla_nest_start(skb, REDIRMAP_A_STATE_HOOK);

	if (!nest || nla_put_string(skb, REDIRMAP_A_HOOK_NAME, info->func) ||
	    nla_put_u32(skb, REDIRMAP_A_HOOK_KIND, info->kind))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int nl_put_layout(struct sk_buff *skb, const struct layout_row *row)
{
	struct nlattr *nest = nla_nest_start(skb, REDIRMAP_A_STATE_LAYOUT);

	if (!nest || nla_put_string(skb, REDIRMAP_A_LAYOUT_TYPE, row->type) ||
	    (row->member[0] &&
	     nla_put_string(skb, REDIRMAP_A_LAYOUT_MEMBER, row->member)) ||
	    nla_put_u32(skb, REDIRMAP_A_LAYOUT_WHERE, row->where))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

/*
 * Put a family's report about a namespace into a message. The memory of the sum
 * is allocated, because it is too large for the stack.
 */
static int nl_put_family(struct sk_buff *skb, const struct family *family,
			 struct net *net, u64 *gone_count)
{
	void *sum = kmalloc(family->sum_size, GFP_KERNEL);
	int err = 0;

	if (!sum)
		return -ENOMEM;
	*gone_count += rmap_gone_read(rmap_kind_gone(family, net), sum);
	if (family->report)
		err = family->report(skb, net, sum);
	kfree(sum);
	return err;
}

static int nl_put_policy(struct sk_buff *skb, int attr,
			 const struct policy *policy)
{
	char text[POLICY_TEXT_SIZE];

	rmap_policy_text(policy, text, sizeof(text));
	return nla_put_string(skb, attr, text);
}

/**
 * rmap_nl_put_state() - put the module's state into a message
 * @skb: a message that has been begun
 * @net: the network namespace whose removed maps and targets are reported
 *
 * Context: process context, while hooks are set; sleeps.
 * Return: 0, -EMSGSIZE when there is not enough room, or -ENOMEM.
 */
int rmap_nl_put_state(struct sk_buff *skb, struct net *net)
{
	const struct family *family;
	const struct hook_info *info = NULL;
	const struct layout_row *row;
	u64 gone_count = 0;
	unsigned int i;
	int err;

	if (nla_put_string(skb, REDIRMAP_A_STATE_VERSION, THIS_MODULE->version) ||
	    nl_put_policy(skb, REDIRMAP_A_STATE_CLAIM, &rmap_policy_claim) ||
	    nl_put_policy(skb, REDIRMAP_A_STATE_PACKETS, &rmap_policy_packets) ||
	    nl_put_policy(skb, REDIRMAP_A_STATE_QDISC, &rmap_policy_qdisc) ||
	    nl_put_policy(skb, REDIRMAP_A_STATE_EARLY, &rmap_policy_early) ||
	    nla_put_u64_64bit(skb, REDIRMAP_A_STATE_LOADED,
			      rmap_hook_armed_at(), REDIRMAP_A_STATE_PAD))
		return -EMSGSIZE;
	/* No hook is set or removed while the netlink family is registered. */
	while ((info = rmap_hook_next(info)))
		if (nl_put_hook(skb, info))
			return -EMSGSIZE;
	for (i = 0; (family = rmap_kind_family(i)); i++)
		for (row = family->layout; row && row->type[0]; row++)
			if (nl_put_layout(skb, row))
				return -EMSGSIZE;
	rmap_record_find_closed();
	for (i = 0; (family = rmap_kind_family(i)); i++) {
		err = nl_put_family(skb, family, net, &gone_count);
		if (err)
			return err;
	}
	return nla_put_u64_64bit(skb, REDIRMAP_A_STATE_GONE_COUNT, gone_count,
				 REDIRMAP_A_STATE_PAD);
}
