// SPDX-License-Identifier: GPL-2.0-only
/*
 * The generic netlink family "redirmap": user space reads maps, targets,
 * counters and the module's state from it.
 *
 * This file owns the requests about the module and about maps, and adds the
 * requests of map families to them. netlink_msg.c writes the attributes of
 * answers, and netlink_answer.c sends answers. No request changes anything.
 * include/uapi/linux/redirmap.h describes the family, and
 * Documentation/netlink/specs/redirmap.yaml specifies it for programs.
 *
 * A requester sees the maps that were created in its own network namespace, or,
 * with all-netns, all maps. A dump resumes after a map's serial number.
 *
 * Requests run in the process context of the requester, in parallel. A message
 * about a map is written inside an RCU read section, which keeps the map.
 */
#include <linux/ktime.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/time64.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include <uapi/linux/redirmap.h>

#include "kind.h"
#include "log.h"
#include "netlink.h"
#include "netlink_answer.h"
#include "netlink_msg.h"
#include "record.h"

/* Time limit of one part of a dump, which is one RCU read section. */
#define NL_DUMP_NS (1 * NSEC_PER_MSEC)

/* The attributes that a request may have; others are refused. */
static const struct nla_policy map_policy[REDIRMAP_A_MAP_ALL_NETNS + 1] = {
	[REDIRMAP_A_MAP_ID] = NLA_POLICY_MIN(NLA_U32, 1),
	[REDIRMAP_A_MAP_ALL_NETNS] =
		NLA_POLICY_VALIDATE_FN(NLA_FLAG, rmap_nl_check_all_netns),
};

static int nl_state_get(struct sk_buff *skb, struct genl_info *info)
{
	size_t size = NL_STATE_SIZE;
	struct sk_buff *msg;
	void *hdr;
	int err;

	for (;;) {
		msg = rmap_nl_answer(info, size, &hdr);
		if (!msg)
			return -ENOMEM;
		err = rmap_nl_put_state(msg, genl_info_net(info));
		if (err != -EMSGSIZE || size >= NL_STATE_MAX)
			return rmap_nl_reply(msg, info, hdr, err);
		/* The families' reports did not fit. */
		nlmsg_free(msg);
		size *= 2;
	}
}

static int nl_map_get(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *attr = info->attrs[REDIRMAP_A_MAP_ID];
	struct record *record;
	struct sk_buff *msg;
	void *hdr;
	bool all;
	u32 id;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, REDIRMAP_A_MAP_ID)) {
		GENL_SET_ERR_MSG(info, "A request for one map needs its id");
		return -EINVAL;
	}
	msg = rmap_nl_answer_scoped(skb, info, REDIRMAP_A_MAP_ALL_NETNS, &all,
				    &hdr);
	if (IS_ERR(msg))
		return PTR_ERR(msg);

	id = nla_get_u32(attr);
	rcu_read_lock();
	record = rmap_nl_find_map(genl_info_net(info), all, id);
	err = record ? rmap_nl_put_map(msg, record, id) : -ENOENT;
	rcu_read_unlock();
	if (err == -ENOENT)
		NL_SET_ERR_MSG_ATTR(info->extack, attr, NL_NO_MAP);
	return rmap_nl_reply(msg, info, hdr, err);
}

static int nl_map_start(struct netlink_callback *cb)
{
	return rmap_nl_dump_start(cb, REDIRMAP_A_MAP_ID,
				  REDIRMAP_A_MAP_ALL_NETNS);
}

static bool nl_dump_map(struct sk_buff *skb, struct netlink_callback *cb,
			struct record *record, u32 id)
{
	void *hdr = rmap_nl_dump_put(skb, cb, REDIRMAP_CMD_MAP_GET);

	return hdr && rmap_nl_dump_end(skb, cb, hdr,
				       rmap_nl_put_map(skb, record, id));
}

static struct record *nl_dump_next_map(struct netlink_callback *cb,
				       struct record *at)
{
	const struct nl_walk *walk = (void *)cb->ctx;

	cb->seq = rmap_record_generation();
	return rmap_record_next(at, walk->next);
}

/*
 * Has this part of a dump reached its time limit? A kind may need time to
 * report about a map, and the RCU read section ends with the part. Each part
 * has at least one map.
 */
static bool nl_dump_is_late(const struct sk_buff *skb, u64 begun)
{
	return skb->len && ktime_get_ns() - begun > NL_DUMP_NS;
}

static int nl_map_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct nl_walk *walk = (void *)cb->ctx;
	const struct net *net = sock_net(skb->sk);
	struct record *record = NULL;
	u64 begun = ktime_get_ns();
	bool full = false;
	u32 id;

	rcu_read_lock();
	while (!full && !nl_dump_is_late(skb, begun) &&
	       (record = nl_dump_next_map(cb, record))) {
		/* A map that has just been closed no longer has an id. */
		id = READ_ONCE(record->map->id);
		full = id && rmap_nl_sees_map(net, walk->all, record) &&
		       !nl_dump_map(skb, cb, record, id);
		if (!full)
			walk->next = record->serial;
	}
	rcu_read_unlock();
	return rmap_nl_dump_result(skb, full);
}

/* The requests of this file, and room for the requests of map families. */
static struct genl_ops nl_ops[8] __ro_after_init = {
	{
		/* Without a policy, because it takes no attributes. */
		.cmd = REDIRMAP_CMD_STATE_GET,
		.flags = GENL_UNS_ADMIN_PERM,
		.doit = nl_state_get,
	},
	{
		.cmd = REDIRMAP_CMD_MAP_GET,
		.flags = GENL_UNS_ADMIN_PERM,
		.policy = map_policy,
		.maxattr = ARRAY_SIZE(map_policy) - 1,
		.doit = nl_map_get,
		.start = nl_map_start,
		.dumpit = nl_map_dump,
	},
};

#define NL_OWN_OPS 2

/* Add the requests of all map families. */
static int __init nl_add_requests(void)
{
	const struct family *family;
	unsigned int n = NL_OWN_OPS;
	const struct genl_ops *row;
	unsigned int i;

	for (i = 0; (family = rmap_kind_family(i)); i++)
		for (row = family->requests; row && row->cmd; row++) {
			if (n == ARRAY_SIZE(nl_ops)) {
				pr_err("map families have too many netlink requests\n");
				return -ENOSPC;
			}
			nl_ops[n++] = *row;
		}
	rmap_nl_family.ops = nl_ops;
	rmap_nl_family.n_ops = n;
	return 0;
}

/**
 * rmap_nl_init() - register the generic netlink family
 *
 * Context: insmod, sleeps; all parts that answers report on are set up.
 * Return: 0; -ENOMEM; -EEXIST when there is such a family already; -ENOSPC when
 * map families have more requests than nl_ops has room for.
 */
int __init rmap_nl_init(void)
{
	int err = nl_add_requests();

	if (err)
		return err;
	err = genl_register_family(&rmap_nl_family);
	if (err)
		pr_err("registering the generic netlink family failed (%d)\n",
		       err);
	return err;
}

/**
 * rmap_nl_exit() - unregister the generic netlink family
 *
 * Core waits for running requests. A dump holds a reference to the module, so
 * no dump is running.
 *
 * Context: rmmod, sleeps.
 */
void rmap_nl_exit(void)
{
	genl_unregister_family(&rmap_nl_family);
}
