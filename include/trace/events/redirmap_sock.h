/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints redirmap:* for redirects to sockets of claimed maps that the
 * kernel refuses, or will not deliver.
 *
 * The tracepoints read cookies, and do not make them: a socket without a cookie
 * has 0. A socket gets its cookie from the first request for it: by SO_COOKIE,
 * ss(8), a lookup by bpf(2), or a BPF helper. The lookup of the target of a
 * refused redirect is such a request, whether it is traced or not, if the map's
 * values have 8 bytes: see sock_map_lookup().
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM redirmap

#if !defined(_TRACE_REDIRMAP_SOCK_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_REDIRMAP_SOCK_H

#include <linux/atomic.h>
#include <linux/bpf.h>
#include <linux/tracepoint.h>
#include <net/sock.h>
#include <uapi/linux/redirmap.h>

#define REDIRMAP_SOCK_REFUSALS					\
	EM(REDIRMAP_SOCK_REFUSAL_NO_SOCKET, "no_socket")	\
	EM(REDIRMAP_SOCK_REFUSAL_KEY, "key")			\
	EM(REDIRMAP_SOCK_REFUSAL_STATE, "state")		\
	EM(REDIRMAP_SOCK_REFUSAL_FLAGS, "flags")		\
	EM(REDIRMAP_SOCK_REFUSAL_DIRECTION, "direction")	\
	EMe(REDIRMAP_SOCK_REFUSAL_OTHER, "other")

/* Export the values for readers of the format; then define a table of names. */
#undef EM
#undef EMe
#define EM(value, name)		TRACE_DEFINE_ENUM(value);
#define EMe(value, name)	TRACE_DEFINE_ENUM(value);

REDIRMAP_SOCK_REFUSALS

#undef EM
#undef EMe
#define EM(value, name)		{ value, name },
#define EMe(value, name)	{ value, name }

/*
 * The kernel has refused a redirect. @sk is the socket that sends the message;
 * for a packet, the socket that has received it or, with AF_UNIX, the socket
 * that has sent it (skb->sk). @target is the socket at the key, or NULL.
 */
TRACE_EVENT(redirmap_sock_refused,
	TP_PROTO(const struct bpf_map *map, bool is_skb, u64 flags,
		 const struct sock *sk, const struct sock *target, u32 reason),
	TP_ARGS(map, is_skb, flags, sk, target, reason),
	TP_STRUCT__entry(
		__field(u64, flags)
		__field(u64, cookie)
		__field(u64, target)
		__field(u32, map_id)
		__field(u32, reason)
		__field(bool, is_skb)
	),
	TP_fast_assign(
		__entry->flags = flags;
		__entry->cookie = sk ? atomic64_read(&sk->sk_cookie) : 0;
		__entry->target = target ? atomic64_read(&target->sk_cookie) : 0;
		__entry->map_id = map->id;
		__entry->reason = reason;
		__entry->is_skb = is_skb;
	),
	TP_printk("map_id=%u data=%s flags=0x%llx cookie=%llu target=%llu reason=%s",
		  __entry->map_id, __entry->is_skb ? "skb" : "msg",
		  __entry->flags, __entry->cookie, __entry->target,
		  __print_symbolic(__entry->reason, REDIRMAP_SOCK_REFUSALS))
);

/*
 * The kernel has accepted a redirect, and will drop the data, because the
 * target has left all maps, or does not take packets any more. @sk is as above.
 */
TRACE_EVENT(redirmap_sock_closing,
	TP_PROTO(const struct bpf_map *map, bool is_skb, u64 flags,
		 const struct sock *sk, const struct sock *target),
	TP_ARGS(map, is_skb, flags, sk, target),
	TP_STRUCT__entry(
		__field(u64, flags)
		__field(u64, cookie)
		__field(u64, target)
		__field(u32, map_id)
		__field(bool, is_skb)
	),
	TP_fast_assign(
		__entry->flags = flags;
		__entry->cookie = sk ? atomic64_read(&sk->sk_cookie) : 0;
		__entry->target = atomic64_read(&target->sk_cookie);
		__entry->map_id = map->id;
		__entry->is_skb = is_skb;
	),
	TP_printk("map_id=%u data=%s flags=0x%llx cookie=%llu target=%llu",
		  __entry->map_id, __entry->is_skb ? "skb" : "msg",
		  __entry->flags, __entry->cookie, __entry->target)
);

#endif /* _TRACE_REDIRMAP_SOCK_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH trace/events
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE redirmap_sock
#include <trace/define_trace.h>
