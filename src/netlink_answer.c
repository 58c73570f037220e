// SPDX-License-Identifier: GPL-2.0-only
/*
 * Answers and dumps of the generic netlink family.
 *
 * This file owns the family, checks the permissions of requests, finds the map
 * that a request names, and begins and ends the messages of answers and dumps.
 * Its users are netlink.c and the map families with further requests.
 *
 * A request needs CAP_NET_ADMIN in the user namespace that owns the socket's
 * network namespace, and sees the objects of that network namespace. With
 * CAP_NET_ADMIN in the initial user namespace it may ask for the objects of all
 * network namespaces.
 *
 * A dump continues after the number of the last object that it has reported. So
 * an object that exists during the whole dump is reported exactly once, even if
 * other objects are added and removed. In this case the dump has
 * NLM_F_DUMP_INTR set, because the reported objects may never have existed at
 * the same time.
 *
 * All of this runs in the process context of the requester, in parallel for
 * several requesters. All nl_put_*() return 0, or -EMSGSIZE, on which the
 * caller cancels the message.
 */
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/module.h>
#include <net/genetlink.h>
#include <net/net_namespace.h>
#include <net/netlink.h>
#include <uapi/linux/redirmap.h>

#include "compat.h"
#include "netlink_answer.h"
#include "record.h"

/* The module has no alias: a lookup of the family must not load it. */
struct genl_family rmap_nl_family __ro_after_init = {
	.name = REDIRMAP_FAMILY_NAME,
	.version = REDIRMAP_FAMILY_VERSION,
	.netnsok = true,
	.parallel_ops = true,
	.module = THIS_MODULE,
};

#define NO_SCOPE \
	"Other network namespaces need CAP_NET_ADMIN in the initial user namespace"

/**
 * rmap_nl_check_all_netns() - validate the flag for all network namespaces
 * @attr: the flag
 * @extack: gets the error message
 *
 * rmap_nl_scope() checks the same for the socket, but on 6.1 its message is
 * lost when a dump begins.
 *
 * Context: process context.
 * Return: 0 or -EPERM.
 */
int rmap_nl_check_all_netns(const struct nlattr *attr,
			    struct netlink_ext_ack *extack)
{
	if (capable(CAP_NET_ADMIN))
		return 0;
	NL_SET_ERR_MSG_ATTR(extack, attr, NO_SCOPE);
	return -EPERM;
}

/**
 * rmap_nl_scope() - does a request cover all network namespaces?
 * @skb: the request's message
 * @all_netns: the flag for all network namespaces, or NULL
 * @all: set to whether the request has the flag
 * @extack: gets the error message
 *
 * Context: process context.
 * Return: 0, or -EPERM if the flag needs a capability that is missing.
 */
int rmap_nl_scope(struct sk_buff *skb, const struct nlattr *all_netns,
		  bool *all, struct netlink_ext_ack *extack)
{
	*all = all_netns;
	if (*all && !netlink_capable(skb, CAP_NET_ADMIN)) {
		NL_SET_ERR_MSG_ATTR(extack, all_netns, NO_SCOPE);
		return -EPERM;
	}
	return 0;
}

/**
 * rmap_nl_sees_map() - may a requester see a map?
 * @net: the requester's network namespace
 * @all: the request covers all network namespaces
 * @record: the map's record
 *
 * Context: inside an RCU read section, which keeps the record.
 * Return: true when it may.
 */
bool rmap_nl_sees_map(const struct net *net, bool all,
		      const struct record *record)
{
	return all || record->netns_cookie == net->net_cookie;
}

/**
 * rmap_nl_find_map() - find the claimed map with an id
 * @net: the requester's network namespace
 * @all: the request covers all network namespaces
 * @id: the id
 *
 * Context: inside an RCU read section, which keeps the record and the map.
 * Return: the map's record; NULL when there is no such map, or the requester
 * may not see it: see NL_NO_MAP.
 */
struct record *rmap_nl_find_map(const struct net *net, bool all, u32 id)
{
	struct record *record = NULL;

	while ((record = rmap_record_next(record, 0)))
		if (READ_ONCE(record->map->id) == id)
			return rmap_nl_sees_map(net, all, record) ? record :
								    NULL;
	return NULL;
}

/**
 * rmap_nl_answer() - begin a single answer
 * @info: the request
 * @size: room for attributes, in bytes
 * @hdr: set to the header of the message
 *
 * Context: process context, sleeps.
 * Return: the message, or NULL without memory.
 */
struct sk_buff *rmap_nl_answer(struct genl_info *info, size_t size, void **hdr)
{
	struct sk_buff *msg = genlmsg_new(size, GFP_KERNEL);

	if (!msg)
		return NULL;
	*hdr = genlmsg_put_reply(msg, info, &rmap_nl_family, 0,
				 info->genlhdr->cmd);
	if (WARN_ON_ONCE(!*hdr)) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

/**
 * rmap_nl_answer_scoped() - begin a single answer, and check the request's
 * scope
 * @skb: the request's message
 * @info: the request
 * @all_netns: number of the flag for all network namespaces
 * @all: set to whether the request has the flag
 * @hdr: set to the header of the message
 *
 * Context: process context, sleeps.
 * Return: the message; -EPERM or -ENOMEM.
 */
struct sk_buff *rmap_nl_answer_scoped(struct sk_buff *skb,
				      struct genl_info *info,
				      int all_netns, bool *all, void **hdr)
{
	struct sk_buff *msg;
	int err;

	err = rmap_nl_scope(skb, info->attrs[all_netns], all, info->extack);
	if (err)
		return ERR_PTR(err);
	msg = rmap_nl_answer(info, GENLMSG_DEFAULT_SIZE, hdr);
	return msg ?: ERR_PTR(-ENOMEM);
}

/**
 * rmap_nl_reply() - send an answer
 * @msg: the message; consumed
 * @info: the request
 * @hdr: the message's header
 * @err: 0 when the message is complete, or the error that the request gets
 *
 * Context: process context.
 * Return: the value for the request's handler to return.
 */
int rmap_nl_reply(struct sk_buff *msg, struct genl_info *info, void *hdr,
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

/**
 * rmap_nl_dump_start() - begin a dump, and check its request
 * @cb: the dump
 * @id: number of the attribute with an id, which a dump must not have
 * @all_netns: number of the flag for all network namespaces
 *
 * Context: process context.
 * Return: 0, -EINVAL or -EPERM.
 */
int rmap_nl_dump_start(struct netlink_callback *cb, int id, int all_netns)
{
	struct nlattr **attrs = compat_dump_attrs(cb);
	struct nl_walk *walk = (void *)cb->ctx;

	BUILD_BUG_ON(sizeof(*walk) > sizeof(cb->ctx));

	if (attrs[id]) {
		NL_SET_ERR_MSG_ATTR(cb->extack, attrs[id],
				    "A dump lists all objects, and takes no id");
		return -EINVAL;
	}
	walk->next = 0;
	return rmap_nl_scope(cb->skb, attrs[all_netns], &walk->all,
			     cb->extack);
}

/**
 * rmap_nl_dump_put() - begin a message of a dump
 * @skb: the buffer for messages
 * @cb: the dump
 * @cmd: the message's command
 *
 * Context: process context.
 * Return: the message's header; NULL when the buffer is full.
 */
void *rmap_nl_dump_put(struct sk_buff *skb, struct netlink_callback *cb, u8 cmd)
{
	return genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			   &rmap_nl_family, NLM_F_MULTI, cmd);
}

/**
 * rmap_nl_dump_end() - end a message of a dump, or cancel it
 * @skb: the buffer for messages
 * @cb: the dump; cb->seq is the generation of the objects that are dumped
 * @hdr: the message's header
 * @err: 0, or -EMSGSIZE when the message did not fit
 *
 * Context: process context.
 * Return: false when the message was cancelled.
 */
bool rmap_nl_dump_end(struct sk_buff *skb, struct netlink_callback *cb,
		      void *hdr, int err)
{
	if (err) {
		genlmsg_cancel(skb, hdr);
		return false;
	}
	/* Sets NLM_F_DUMP_INTR if objects were added or removed. */
	genl_dump_check_consistent(cb, hdr);
	genlmsg_end(skb, hdr);
	return true;
}

/**
 * rmap_nl_dump_result() - the return value of a dump
 * @skb: the buffer for messages
 * @full: a message did not fit
 *
 * Context: any.
 * Return: number of bytes in the buffer, and core calls the dump again; 0 at
 * the end; -EMSGSIZE when a message does not fit into an empty buffer.
 */
int rmap_nl_dump_result(const struct sk_buff *skb, bool full)
{
	return full && !skb->len ? -EMSGSIZE : skb->len;
}
