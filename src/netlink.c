// SPDX-License-Identifier: GPL-2.0-only
/*
 * The generic netlink family "redirmap": what the module tells user space.
 *
 * Owns what requests may say, and who gets to see what; what answers consist of
 * is netlink_msg.c's. Changes nothing. The family is described by
 * include/uapi/linux/redirmap.h, and for programs by
 * Documentation/netlink/specs/redirmap.yaml.
 *
 * Everybody needs CAP_NET_ADMIN over the network namespace of the socket, and
 * sees maps that were created, and targets that are, in that namespace. Who
 * has CAP_NET_ADMIN in the initial user namespace may ask for those of all.
 *
 * A dump is resumed by the last serial number, or id, that was told. So each
 * map or target that is there all the time is told exactly once, whatever else
 * comes and goes. When something did, the dump says so (NLM_F_DUMP_INTR): taken
 * together, what it tells of may never have been there at one time.
 *
 * Requests run in the process context of who asks, in parallel; a message is
 * written inside an RCU read section, which keeps what it tells of.
 */
#include <linux/capability.h>
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>
#include <net/sock.h>
#include <uapi/linux/redirmap.h>

#include "compat.h"
#include "log.h"
#include "map.h"
#include "netlink.h"
#include "netlink_msg.h"
#include "registry.h"
#include "target.h"

static struct genl_family nl_family;

/**
 * struct nl_walk - how far a dump has come, in netlink_callback.ctx
 * @next: where to go on: behind this serial number of a map, or at this id of a
 *	target
 * @all: in all network namespaces
 */
struct nl_walk {
	u64 next;
	bool all;
};

#define NO_SCOPE \
	"Other network namespaces take CAP_NET_ADMIN in the initial user namespace"

/* Here as well as in nl_scope(), for when a dump begins 6.1 takes no words. */
static int nl_check_all_netns(const struct nlattr *attr,
			      struct netlink_ext_ack *extack)
{
	if (capable(CAP_NET_ADMIN))
		return 0;
	NL_SET_ERR_MSG_ATTR(extack, attr, NO_SCOPE);
	return -EPERM;
}

/* What a request may contain; all else is refused. */
static const struct nla_policy map_policy[REDIRMAP_A_MAP_ALL_NETNS + 1] = {
	[REDIRMAP_A_MAP_ID] = NLA_POLICY_MIN(NLA_U32, 1),
	[REDIRMAP_A_MAP_ALL_NETNS] = NLA_POLICY_VALIDATE_FN(NLA_FLAG, nl_check_all_netns),
};

static const struct nla_policy target_policy[REDIRMAP_A_TARGET_ALL_NETNS + 1] = {
	[REDIRMAP_A_TARGET_ID] = { .type = NLA_U32 },
	[REDIRMAP_A_TARGET_ALL_NETNS] = NLA_POLICY_VALIDATE_FN(NLA_FLAG, nl_check_all_netns),
};

/* Is it asked for all namespaces, by a socket that may? */
static int nl_scope(struct sk_buff *skb, const struct nlattr *all_netns,
		    bool *all, struct netlink_ext_ack *extack)
{
	*all = all_netns;
	if (*all && !netlink_capable(skb, CAP_NET_ADMIN)) {
		NL_SET_ERR_MSG_ATTR(extack, all_netns, NO_SCOPE);
		return -EPERM;
	}
	return 0;
}

static bool nl_sees_map(const struct net *net, bool all,
			const struct redir_map *rmap)
{
	return all || rmap->netns_cookie == net->net_cookie;
}

static bool nl_sees_target(const struct net *net, bool all,
			   const struct target_info *target)
{
	return all || target->net == net;
}

/* A message for a single answer, begun. */
static struct sk_buff *nl_answer(struct genl_info *info, size_t size,
				 void **hdr)
{
	struct sk_buff *msg = genlmsg_new(size, GFP_KERNEL);

	if (!msg)
		return NULL;
	*hdr = genlmsg_put_reply(msg, info, &nl_family, 0,
				 info->genlhdr->cmd);
	if (WARN_ON_ONCE(!*hdr)) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

/* The same, about something of a scope: see nl_scope(). */
static struct sk_buff *nl_answer_scoped(struct sk_buff *skb,
					struct genl_info *info, int all_netns,
					bool *all, void **hdr)
{
	struct sk_buff *msg;
	int err;

	err = nl_scope(skb, info->attrs[all_netns], all, info->extack);
	if (err)
		return ERR_PTR(err);
	msg = nl_answer(info, GENLMSG_DEFAULT_SIZE, hdr);
	return msg ?: ERR_PTR(-ENOMEM);
}

/* The answer is complete, or could not be. */
static int nl_reply(struct sk_buff *msg, struct genl_info *info, void *hdr,
		    int err)
{
	if (err) {
		WARN_ON_ONCE(err == -EMSGSIZE);
		nlmsg_free(msg);
		return err;
	}
	genlmsg_end(msg, hdr);
	return genlmsg_reply(msg, info);
}

static int nl_state_get(struct sk_buff *skb, struct genl_info *info)
{
	struct sk_buff *msg;
	void *hdr;

	msg = nl_answer(info, NL_STATE_SIZE, &hdr);
	if (!msg)
		return -ENOMEM;
	return nl_reply(msg, info, hdr, nl_put_state(msg, genl_info_net(info)));
}

/* The map of an id, if it may be seen. Under RCU. */
static struct redir_map *nl_find_map(const struct net *net, bool all, u32 id)
{
	struct redir_map *rmap = NULL;

	while ((rmap = registry_next(rmap, 0)))
		if (READ_ONCE(rmap->dtab.map.id) == id)
			return nl_sees_map(net, all, rmap) ? rmap : NULL;
	return NULL;
}

static int nl_map_get(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *attr = info->attrs[REDIRMAP_A_MAP_ID];
	struct redir_map *rmap;
	struct sk_buff *msg;
	void *hdr;
	bool all;
	u32 id;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, REDIRMAP_A_MAP_ID)) {
		GENL_SET_ERR_MSG(info, "A single map is asked for by its id");
		return -EINVAL;
	}
	msg = nl_answer_scoped(skb, info, REDIRMAP_A_MAP_ALL_NETNS, &all, &hdr);
	if (IS_ERR(msg))
		return PTR_ERR(msg);

	id = nla_get_u32(attr);
	rcu_read_lock();
	rmap = nl_find_map(genl_info_net(info), all, id);
	err = rmap ? nl_put_map(msg, rmap, id) : -ENOENT;
	rcu_read_unlock();
	if (err == -ENOENT)
		NL_SET_ERR_MSG_ATTR(info->extack, attr,
				    "No claimed map of this network namespace has this id");
	return nl_reply(msg, info, hdr, err);
}

/* The target of an id, if it may be seen. */
static bool nl_find_target(const struct net *net, bool all, u32 id,
			   struct target_info *target)
{
	unsigned long at = id;

	return target_next_info(&at, target) && target->id == id &&
	       nl_sees_target(net, all, target);
}

static int nl_target_get(struct sk_buff *skb, struct genl_info *info)
{
	struct nlattr *id = info->attrs[REDIRMAP_A_TARGET_ID];
	struct target_info target;
	struct sk_buff *msg;
	void *hdr;
	bool all;
	int err;

	if (GENL_REQ_ATTR_CHECK(info, REDIRMAP_A_TARGET_ID)) {
		GENL_SET_ERR_MSG(info, "A single target is asked for by its id");
		return -EINVAL;
	}
	msg = nl_answer_scoped(skb, info, REDIRMAP_A_TARGET_ALL_NETNS, &all, &hdr);
	if (IS_ERR(msg))
		return PTR_ERR(msg);

	err = -ENOENT;
	if (nl_find_target(genl_info_net(info), all, nla_get_u32(id), &target))
		err = nl_put_target(msg, &target);
	else
		NL_SET_ERR_MSG_ATTR(info->extack, id,
				    "No target of this network namespace has this id");
	return nl_reply(msg, info, hdr, err);
}

/* What all dumps begin with: a request for all, of a scope, without an id. */
static int nl_dump_start(struct netlink_callback *cb, int id, int all_netns)
{
	struct nlattr **attrs = compat_dump_attrs(cb);
	struct nl_walk *walk = (void *)cb->ctx;

	BUILD_BUG_ON(sizeof(*walk) > sizeof(cb->ctx));

	if (attrs[id]) {
		NL_SET_ERR_MSG_ATTR(cb->extack, attrs[id],
				    "A dump tells of all, not of one id");
		return -EINVAL;
	}
	walk->next = 0;
	return nl_scope(cb->skb, attrs[all_netns], &walk->all, cb->extack);
}

static int nl_map_start(struct netlink_callback *cb)
{
	return nl_dump_start(cb, REDIRMAP_A_MAP_ID, REDIRMAP_A_MAP_ALL_NETNS);
}

static int nl_target_start(struct netlink_callback *cb)
{
	return nl_dump_start(cb, REDIRMAP_A_TARGET_ID,
			     REDIRMAP_A_TARGET_ALL_NETNS);
}

/* A message of a dump, begun; NULL where there is no more room. */
static void *nl_dump_put(struct sk_buff *skb, struct netlink_callback *cb,
			 u8 cmd)
{
	return genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			   &nl_family, NLM_F_MULTI, cmd);
}

/* ... and ended, or taken back where there was no room for all of it. */
static bool nl_dump_end(struct sk_buff *skb, struct netlink_callback *cb,
			void *hdr, int err)
{
	if (err) {
		genlmsg_cancel(skb, hdr);
		return false;
	}
	/* Has anything come or gone since the last message? */
	genl_dump_check_consistent(cb, hdr);
	genlmsg_end(skb, hdr);
	return true;
}

static bool nl_dump_map(struct sk_buff *skb, struct netlink_callback *cb,
			struct redir_map *rmap, u32 id)
{
	void *hdr = nl_dump_put(skb, cb, REDIRMAP_CMD_MAP_GET);

	return hdr && nl_dump_end(skb, cb, hdr, nl_put_map(skb, rmap, id));
}

static bool nl_dump_target(struct sk_buff *skb, struct netlink_callback *cb,
			   const struct target_info *target)
{
	void *hdr = nl_dump_put(skb, cb, REDIRMAP_CMD_TARGET_GET);

	return hdr && nl_dump_end(skb, cb, hdr, nl_put_target(skb, target));
}

/* What a dump returns: go on, or that was all; or something never fits. */
static int nl_dump_result(const struct sk_buff *skb, bool full)
{
	return full && !skb->len ? -EMSGSIZE : skb->len;
}

static struct redir_map *nl_dump_next_map(struct netlink_callback *cb,
					  struct redir_map *at)
{
	const struct nl_walk *walk = (void *)cb->ctx;

	cb->seq = registry_generation();
	return registry_next(at, walk->next);
}

static int nl_map_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct nl_walk *walk = (void *)cb->ctx;
	const struct net *net = sock_net(skb->sk);
	struct redir_map *rmap = NULL;
	bool full = false;
	u32 id;

	rcu_read_lock();
	while (!full && (rmap = nl_dump_next_map(cb, rmap))) {
		/* One that has just been closed has no id any more. */
		id = READ_ONCE(rmap->dtab.map.id);
		full = id && nl_sees_map(net, walk->all, rmap) &&
		       !nl_dump_map(skb, cb, rmap, id);
		if (!full)
			walk->next = rmap->serial;
	}
	rcu_read_unlock();
	return nl_dump_result(skb, full);
}

static bool nl_dump_next_target(struct netlink_callback *cb, unsigned long *id,
				struct target_info *target)
{
	cb->seq = target_generation();
	return target_next_info(id, target);
}

static int nl_target_dump(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct nl_walk *walk = (void *)cb->ctx;
	const struct net *net = sock_net(skb->sk);
	unsigned long id = walk->next;
	struct target_info target;
	bool full = false;

	while (!full && nl_dump_next_target(cb, &id, &target)) {
		full = nl_sees_target(net, walk->all, &target) &&
		       !nl_dump_target(skb, cb, &target);
		if (!full)
			walk->next = ++id;
	}
	return nl_dump_result(skb, full);
}

static const struct genl_ops nl_ops[] = {
	{
		/* Without a policy: it takes no attributes. */
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
	{
		.cmd = REDIRMAP_CMD_TARGET_GET,
		.flags = GENL_UNS_ADMIN_PERM,
		.policy = target_policy,
		.maxattr = ARRAY_SIZE(target_policy) - 1,
		.doit = nl_target_get,
		.start = nl_target_start,
		.dumpit = nl_target_dump,
	},
};

/* No alias: asking for the family must not load the module. */
static struct genl_family nl_family __ro_after_init = {
	.name = REDIRMAP_FAMILY_NAME,
	.version = REDIRMAP_FAMILY_VERSION,
	.netnsok = true,
	.parallel_ops = true,
	.module = THIS_MODULE,
	.ops = nl_ops,
	.n_ops = ARRAY_SIZE(nl_ops),
};

/**
 * nl_init() - begin to answer
 *
 * Context: insmod, when all that is told of stands.
 * Return: 0, -ENOMEM, or -EEXIST where there is such a family already.
 */
int __init nl_init(void)
{
	int err = genl_register_family(&nl_family);

	if (err)
		pr_err("no generic netlink family (%d)\n", err);
	return err;
}

/**
 * nl_exit() - answer no more
 *
 * Requests under way are waited for; a dump under way forbids rmmod.
 *
 * Context: rmmod.
 */
void nl_exit(void)
{
	genl_unregister_family(&nl_family);
}
