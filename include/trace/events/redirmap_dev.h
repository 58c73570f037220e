/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints redirmap:* for the entries of claimed device maps, and for frames
 * that these maps redirect.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM redirmap

#if !defined(_TRACE_REDIRMAP_DEV_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_REDIRMAP_DEV_H

#include <linux/bpf.h>
#include <linux/netdevice.h>
#include <linux/tracepoint.h>
#include <uapi/linux/redirmap.h>

#ifndef _TRACE_REDIRMAP_CAUSE
#define _TRACE_REDIRMAP_CAUSE
/* The cause of the addition or removal of an entry. */
enum redirmap_cause {
	REDIRMAP_CAUSE_UPDATE,
	REDIRMAP_CAUSE_DELETE,
	REDIRMAP_CAUSE_UNREGISTER,
	REDIRMAP_CAUSE_NETNS_MOVE,
};
#endif

#define REDIRMAP_CAUSES				\
	EM(REDIRMAP_CAUSE_UPDATE, "update")		\
	EM(REDIRMAP_CAUSE_DELETE, "delete")		\
	EM(REDIRMAP_CAUSE_UNREGISTER, "unregister")	\
	EMe(REDIRMAP_CAUSE_NETNS_MOVE, "netns_move")

#define REDIRMAP_REASONS				\
	EM(REDIRMAP_DROP_DEV_DOWN, "dev_down")		\
	EM(REDIRMAP_DROP_TOO_LARGE, "too_large")	\
	EM(REDIRMAP_DROP_NO_XMIT, "no_xmit")		\
	EM(REDIRMAP_DROP_RING_FULL, "ring_full")	\
	EM(REDIRMAP_DROP_DRIVER_ERROR, "driver_error")	\
	EM(REDIRMAP_DROP_PROG_DROP, "prog_drop")	\
	EM(REDIRMAP_DROP_PROG_ABORTED, "prog_aborted")	\
	EM(REDIRMAP_DROP_PROG_INVALID, "prog_invalid")	\
	EM(REDIRMAP_DROP_NO_MEMORY, "no_memory")	\
	EM(REDIRMAP_DROP_NO_HEADROOM, "no_headroom")	\
	EM(REDIRMAP_DROP_NO_TARGET, "no_target")	\
	EM(REDIRMAP_DROP_NO_MEMBER, "no_member")	\
	EM(REDIRMAP_DROP_GENERIC, "generic")		\
	EMe(REDIRMAP_DROP_XMIT_DROP, "xmit_drop")

#define REDIRMAP_ACTIONS			\
	EM(XDP_ABORTED, "aborted")		\
	EM(XDP_DROP, "drop")			\
	EM(XDP_PASS, "pass")			\
	EMe(XDP_TX, "tx")

/* Export the values for readers of the formats; then define tables of names. */
#undef EM
#undef EMe
#define EM(value, name)		TRACE_DEFINE_ENUM(value);
#define EMe(value, name)	TRACE_DEFINE_ENUM(value);

REDIRMAP_CAUSES
REDIRMAP_REASONS
REDIRMAP_ACTIONS

#undef EM
#undef EMe
#define EM(value, name)		{ value, name },
#define EMe(value, name)	{ value, name }

DECLARE_EVENT_CLASS(redirmap_entry,
	TP_PROTO(const struct bpf_map *map, u32 key,
		 const struct bpf_devmap_val *val, enum redirmap_cause cause),
	TP_ARGS(map, key, val, cause),
	TP_STRUCT__entry(
		__field(u32, map_id)
		__field(u32, key)
		__field(u32, ifindex)
		__field(u32, prog_id)
		__field(u32, cause)
	),
	TP_fast_assign(
		__entry->map_id = map->id;
		__entry->key = key;
		__entry->ifindex = val->ifindex;
		__entry->prog_id = val->bpf_prog.id;
		__entry->cause = cause;
	),
	TP_printk("map_id=%u key=%u ifindex=%u prog_id=%u cause=%s",
		  __entry->map_id, __entry->key, __entry->ifindex,
		  __entry->prog_id,
		  __print_symbolic(__entry->cause, REDIRMAP_CAUSES))
);

/* An entry has got a target. */
DEFINE_EVENT(redirmap_entry, redirmap_target_add,
	TP_PROTO(const struct bpf_map *map, u32 key,
		 const struct bpf_devmap_val *val, enum redirmap_cause cause),
	TP_ARGS(map, key, val, cause)
);

/* An entry has lost its target; if the device has left, a short time later. */
DEFINE_EVENT(redirmap_entry, redirmap_target_remove,
	TP_PROTO(const struct bpf_map *map, u32 key,
		 const struct bpf_devmap_val *val, enum redirmap_cause cause),
	TP_ARGS(map, key, val, cause)
);

/* Frames were lost. If a map counts them, ifindex is 0; if not, map_id is 0. */
TRACE_EVENT(redirmap_drop,
	TP_PROTO(const struct net_device *dev, u32 map_id, u32 reason,
		 u32 packets),
	TP_ARGS(dev, map_id, reason, packets),
	TP_STRUCT__entry(
		__field(u32, ifindex)
		__array(char, dev, IFNAMSIZ)
		__field(u32, map_id)
		__field(u32, reason)
		__field(u32, packets)
	),
	TP_fast_assign(
		__entry->ifindex = dev ? dev->ifindex : 0;
		strscpy(__entry->dev, dev ? dev->name : "", IFNAMSIZ);
		__entry->map_id = map_id;
		__entry->reason = reason;
		__entry->packets = packets;
	),
	TP_printk("ifindex=%u dev=%s map_id=%u reason=%s packets=%u",
		  __entry->ifindex, __entry->dev, __entry->map_id,
		  __print_symbolic(__entry->reason, REDIRMAP_REASONS),
		  __entry->packets)
);

/* A lookup found no entry; the helper returned the action in its flags. */
TRACE_EVENT(redirmap_miss,
	TP_PROTO(u32 map_id, u32 action),
	TP_ARGS(map_id, action),
	TP_STRUCT__entry(
		__field(u32, map_id)
		__field(u32, action)
	),
	TP_fast_assign(
		__entry->map_id = map_id;
		__entry->action = action;
	),
	TP_printk("map_id=%u action=%s", __entry->map_id,
		  __print_symbolic(__entry->action, REDIRMAP_ACTIONS))
);

/* Frames were flushed: run through the egress program, handed to the driver. */
TRACE_EVENT(redirmap_flush,
	TP_PROTO(const struct net_device *dev, u32 prog_id, u32 frames,
		 const struct redirmap_stats *did, u32 as_packets),
	TP_ARGS(dev, prog_id, frames, did, as_packets),
	TP_STRUCT__entry(
		__field(u32, ifindex)
		__array(char, dev, IFNAMSIZ)
		__field(u32, prog_id)
		__field(u32, frames)
		__field(u32, sent)
		__field(u32, ring_full)
		__field(u32, driver_error)
		__field(u32, error)
		__field(u32, prog_drop)
		__field(u32, prog_aborted)
		__field(u32, prog_invalid)
		__field(u32, no_headroom)
		__field(u32, as_packets)
		__field(u32, xmit_drop)
		__field(u32, no_memory)
	),
	TP_fast_assign(
		__entry->ifindex = dev->ifindex;
		strscpy(__entry->dev, dev->name, IFNAMSIZ);
		__entry->prog_id = prog_id;
		__entry->frames = frames;
		__entry->sent = did->packets;
		__entry->ring_full = did->drops[REDIRMAP_DROP_RING_FULL];
		__entry->driver_error = did->drops[REDIRMAP_DROP_DRIVER_ERROR];
		__entry->error = did->error;
		__entry->prog_drop = did->drops[REDIRMAP_DROP_PROG_DROP];
		__entry->prog_aborted = did->drops[REDIRMAP_DROP_PROG_ABORTED];
		__entry->prog_invalid = did->drops[REDIRMAP_DROP_PROG_INVALID];
		__entry->no_headroom = did->drops[REDIRMAP_DROP_NO_HEADROOM];
		__entry->as_packets = as_packets;
		__entry->xmit_drop = did->drops[REDIRMAP_DROP_XMIT_DROP];
		__entry->no_memory = did->drops[REDIRMAP_DROP_NO_MEMORY];
	),
	TP_printk("ifindex=%u dev=%s prog_id=%u frames=%u sent=%u ring_full=%u driver_error=%u error=%u prog_drop=%u prog_aborted=%u prog_invalid=%u no_headroom=%u as_packets=%u xmit_drop=%u no_memory=%u",
		  __entry->ifindex, __entry->dev, __entry->prog_id,
		  __entry->frames, __entry->sent, __entry->ring_full,
		  __entry->driver_error, __entry->error, __entry->prog_drop,
		  __entry->prog_aborted, __entry->prog_invalid,
		  __entry->no_headroom, __entry->as_packets,
		  __entry->xmit_drop, __entry->no_memory)
);

#endif /* _TRACE_REDIRMAP_DEV_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH trace/events
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE redirmap_dev
#include <trace/define_trace.h>
