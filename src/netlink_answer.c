// SPDX-License-Identifier: GPL-2.0-only
/*
 * How requests of the generic netlink family are answered.
 *
 * Owns the family, who gets to see what, and the shape of answers and dumps; for
 * netlink.c, and for map families that answer requests of their own.
 *
 * Everybody needs CAP_NET_ADMIN over the network namespace of the socket, and
 * sees what is in that namespace. Who has CAP_NET_ADMIN in the initial user
 * namespace may ask for all of them.
 *
 * A dump is resumed by the last number that was told. So what is there all the
 * time is told exactly once, whatever else comes and goes. When something did,
 * the dump says so (NLM_F_DUMP_INTR): taken together, what it tells of may never
 * have been there at one time.
 *
 * In the process context of who asks, in parallel. All nl_put_*() return 0, or
 * -EMSGSIZE: then who calls cancels the message.
 */
#include <linux/capability.h>
#include <linux/module.h>
#include <net/genetlink.h>
#include <net/netlink.h>
#include <uapi/linux/redirmap.h>

#include "compat.h"
#include "netlink_answer.h"

/* No alias: asking for the family must not load the module. */
struct genl_family rmap_nl_family __ro_after_init = {
	.name = REDIRMAP_FAMILY_NAME,
	.version = REDIRMAP_FAMILY_VERSION,
	.netnsok = true,
	.parallel_ops = true,
	.module = THIS_MODULE,
};

#define NO_SCOPE \
	"Other network namespaces take CAP_NET_ADMIN in the initial user namespace"

/**
 * rmap_nl_check_all_netns() - policy of the flag that asks for all namespaces
 * @attr: the flag
 * @extack: gets the words
 *
 * Here as well as in nl_scope(), for when a dump begins 6.1 takes no words.
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

/**
 * rmap_nl_answer() - begin a single answer
 * @info: the request
 * @size: room for it
 * @hdr: set to its header
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
 * rmap_nl_answer_scoped() - begin a single answer about something in a
 * namespace
 * @skb: the request
 * @info: the request
 * @all_netns: number of the flag that asks for all namespaces
 * @all: set to whether it does
 * @hdr: set to the answer's header
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

	err = nl_scope(skb, info->attrs[all_netns], all, info->extack);
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
 * @err: 0 when it is complete, or why it is none
 *
 * Context: process context.
 * Return: what the request's handler returns.
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
 * rmap_nl_dump_start() - begin a dump: a request for all, of a scope, without
 * an id
 * @cb: the dump
 * @id: number of the attribute with an id
 * @all_netns: number of the flag that asks for all namespaces
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
				    "A dump tells of all, not of one id");
		return -EINVAL;
	}
	walk->next = 0;
	return nl_scope(cb->skb, attrs[all_netns], &walk->all, cb->extack);
}

/**
 * rmap_nl_dump_put() - begin a message of a dump
 * @skb: what it goes into
 * @cb: the dump
 * @cmd: its command
 *
 * Context: process context.
 * Return: the message's header; NULL where there is no more room.
 */
void *rmap_nl_dump_put(struct sk_buff *skb, struct netlink_callback *cb, u8 cmd)
{
	return genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			   &rmap_nl_family, NLM_F_MULTI, cmd);
}

/**
 * rmap_nl_dump_end() - end it, or take it back where there was no room for all
 * of it
 * @skb: what it is in
 * @cb: the dump; cb->seq is the generation of what is told of
 * @hdr: the message's header
 * @err: 0, or -EMSGSIZE
 *
 * Context: process context.
 * Return: false when it was taken back.
 */
bool rmap_nl_dump_end(struct sk_buff *skb, struct netlink_callback *cb,
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

/**
 * rmap_nl_dump_result() - what a dump returns
 * @skb: what messages were put into
 * @full: not all of them
 *
 * Context: any.
 * Return: go on, or that was all; -EMSGSIZE when something never fits.
 */
int rmap_nl_dump_result(const struct sk_buff *skb, bool full)
{
	return full && !skb->len ? -EMSGSIZE : skb->len;
}
