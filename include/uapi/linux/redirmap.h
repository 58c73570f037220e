/* SPDX-License-Identifier: GPL-2.0-only WITH Linux-syscall-note */
/*
 * Interface of redirmap.ko for user space and XDP programs: the reasons for
 * lost frames and refused redirects, map values with counters, and the generic
 * netlink family "redirmap". Documentation/netlink/specs/redirmap.yaml
 * specifies this family.
 */
#ifndef _UAPI_LINUX_REDIRMAP_H
#define _UAPI_LINUX_REDIRMAP_H

#include <linux/bpf.h>
#include <linux/types.h>

/**
 * enum redirmap_drop - reasons for lost frames, with the cures
 * @REDIRMAP_DROP_DEV_DOWN: The device was down. Set it up.
 * @REDIRMAP_DROP_TOO_LARGE: The frame was larger than the device's MTU allows.
 *	Raise the MTU, or lower the MTU of the senders.
 * @REDIRMAP_DROP_NO_XMIT: The device cannot transmit such XDP frames, and the
 *	map's frames may not leave as packets (the module's parameter packets
 *	allows that); or the device transmits only IPv4 and IPv6. For a veth,
 *	its peer needs an XDP program or GRO. igb, ixgbe, i40e, ice, virtio_net
 *	and other drivers need an XDP program on the device itself; one that
 *	returns XDP_PASS is sufficient. Other devices may need more queues, or a
 *	driver with ndo_xdp_xmit; frames of several buffers need a driver that
 *	takes those. Generic XDP works with all devices.
 * @REDIRMAP_DROP_RING_FULL: The driver took fewer frames than it was offered,
 *	mostly because its ring was full. Enlarge the ring, or make the receiver
 *	faster. A veth also refuses frames that are longer than the MTU of its
 *	peer.
 * @REDIRMAP_DROP_DRIVER_ERROR: The driver refused the frame with an error; the
 *	last error is kept. ENXIO, EINVAL: the device was not ready for XDP; it
 *	needs an XDP program, or a queue for each CPU; the peer of a veth needs
 *	an XDP program or GRO. ENETDOWN: the driver had stopped the device,
 *	often only to reset it. EBUSY, EIO: the ring was full or stopped.
 *	ENODEV: the device was broken. EPERM: a frame could not be mapped for
 *	DMA.
 * @REDIRMAP_DROP_PROG_DROP: The entry's egress program returned XDP_DROP. If
 *	this is not intended, correct the program.
 * @REDIRMAP_DROP_PROG_ABORTED: The entry's egress program returned
 *	XDP_ABORTED, which the tracepoint xdp:xdp_exception reports; or it could
 *	not run on a packet of a broadcast in generic XDP, because the entry was
 *	new.
 * @REDIRMAP_DROP_PROG_INVALID: The entry's egress program returned an action
 *	that egress programs must not return. Let it return XDP_PASS or
 *	XDP_DROP.
 * @REDIRMAP_DROP_NO_MEMORY: There was no memory for a copy of the frame, or for
 *	a packet. Free memory, or raise vm.min_free_kbytes.
 * @REDIRMAP_DROP_NO_HEADROOM: The frame had no headroom for the kernel's struct
 *	xdp_frame. Let programs leave 40 bytes of headroom.
 * @REDIRMAP_DROP_NO_TARGET: An XDP program returned XDP_REDIRECT with nothing
 *	to redirect to: it had called no helper, or the helper had found no
 *	entry, or no such device. Let it return the helper's return value.
 * @REDIRMAP_DROP_NO_MEMBER: A broadcast had no destination. Add an entry for a
 *	device other than the ingress.
 * @REDIRMAP_DROP_GENERIC: In generic XDP the device's transmit queue was
 *	stopped, or its driver was busy. Use a longer queue, or native XDP.
 * @REDIRMAP_DROP_XMIT_DROP: In generic XDP, or where frames leave as packets,
 *	the device's queueing discipline or driver, or a queue of a device below
 *	it, dropped the packet. Compare their statistics: ip -s link, tc -s
 *	qdisc. For a veth, check that its peer is up.
 * @REDIRMAP_DROP_COUNT: number of reasons
 * @REDIRMAP_DROP_ROOM: number of reasons that struct redirmap_stats has room
 *	for
 *
 * Network namespaces count REDIRMAP_DROP_NO_TARGET. Maps count
 * REDIRMAP_DROP_NO_MEMBER, and REDIRMAP_DROP_NO_HEADROOM of broadcasts. Targets
 * count all other reasons.
 *
 * No reason counts a bpf_redirect_map() that finds no entry, because the
 * program decides about the frame. A map counts such lookups by the action
 * that they have returned: see REDIRMAP_A_STATS_MISSED.
 */
enum redirmap_drop {
	REDIRMAP_DROP_DEV_DOWN,
	REDIRMAP_DROP_TOO_LARGE,
	REDIRMAP_DROP_NO_XMIT,
	REDIRMAP_DROP_RING_FULL,
	REDIRMAP_DROP_DRIVER_ERROR,
	REDIRMAP_DROP_PROG_DROP,
	REDIRMAP_DROP_PROG_ABORTED,
	REDIRMAP_DROP_PROG_INVALID,
	REDIRMAP_DROP_NO_MEMORY,
	REDIRMAP_DROP_NO_HEADROOM,
	REDIRMAP_DROP_NO_TARGET,
	REDIRMAP_DROP_NO_MEMBER,
	REDIRMAP_DROP_GENERIC,
	REDIRMAP_DROP_XMIT_DROP,
	REDIRMAP_DROP_COUNT,

	REDIRMAP_DROP_ROOM = 16,
};

/**
 * enum redirmap_sock_refusal - reasons for refused redirects to sockets, with
 * the cures
 * @REDIRMAP_SOCK_REFUSAL_NO_SOCKET: The map had no socket at the key. Insert
 *	one; a socket that is closed leaves the map.
 * @REDIRMAP_SOCK_REFUSAL_KEY: The key was not smaller than max_entries. Use a
 *	smaller key, or create a larger map.
 * @REDIRMAP_SOCK_REFUSAL_STATE: The socket was listening, or not connected.
 *	Insert sockets that are connected.
 * @REDIRMAP_SOCK_REFUSAL_FLAGS: The program passed an unknown flag. Pass 0 or
 *	BPF_F_INGRESS.
 * @REDIRMAP_SOCK_REFUSAL_DIRECTION: The kernel does not support this direction
 *	for the family of the socket. Messages go to sockets other than TCP with
 *	BPF_F_INGRESS only; vsock sockets take packets (sk_skb) without it.
 * @REDIRMAP_SOCK_REFUSAL_OTHER: The kernel refused for a reason that this
 *	version of the module does not know, or the entry changed meanwhile.
 *	Update the module if the number grows.
 * @REDIRMAP_SOCK_REFUSAL_COUNT: number of reasons
 *
 * The helper of the program has returned SK_DROP in all these cases. If the
 * program returns that, the sender of a message gets EACCES, and a packet is
 * lost.
 */
enum redirmap_sock_refusal {
	REDIRMAP_SOCK_REFUSAL_NO_SOCKET,
	REDIRMAP_SOCK_REFUSAL_KEY,
	REDIRMAP_SOCK_REFUSAL_STATE,
	REDIRMAP_SOCK_REFUSAL_FLAGS,
	REDIRMAP_SOCK_REFUSAL_DIRECTION,
	REDIRMAP_SOCK_REFUSAL_OTHER,
	REDIRMAP_SOCK_REFUSAL_COUNT,
};

/**
 * enum redirmap_packets - whether frames of a map may leave as packets
 * @REDIRMAP_PACKETS_NEVER: Never, as with the built-in: frames for a device
 *	that cannot transmit XDP frames are lost.
 * @REDIRMAP_PACKETS_FALLBACK: Frames that the device's driver does not take.
 * @REDIRMAP_PACKETS_ALWAYS: All frames, so that they pass the device's queueing
 *	discipline.
 *
 * The module's parameters packets and qdisc determine this when a map is made.
 */
enum redirmap_packets {
	REDIRMAP_PACKETS_NEVER,
	REDIRMAP_PACKETS_FALLBACK,
	REDIRMAP_PACKETS_ALWAYS,
};

/**
 * struct redirmap_stats - counters of frames
 * @packets: frames that the driver, or the queueing discipline, has taken
 * @bytes: bytes of these frames, before the driver pads them or adds headers
 * @drops: lost frames, by enum redirmap_drop
 * @error: the driver's last error, a positive errno, or 0
 * @reserved: 0
 */
struct redirmap_stats {
	__u64 packets;
	__u64 bytes;
	__u64 drops[REDIRMAP_DROP_ROOM];
	__u32 error;
	__u32 reserved;
};

/**
 * struct redirmap_val - value of a claimed map whose entries have counters
 * @entry: device and egress program, as in any device map
 * @stats: counters since the last update of the entry; ignored in updates
 *
 * Create the map with value_size = sizeof(struct redirmap_val).
 */
struct redirmap_val {
	struct bpf_devmap_val entry;
	struct redirmap_stats stats;
};

/* The generic netlink family: see Documentation/netlink/specs/redirmap.yaml */
#define REDIRMAP_FAMILY_NAME	"redirmap"
#define REDIRMAP_FAMILY_VERSION	1

/* Commands; all need CAP_NET_ADMIN in the network namespace's user namespace */
enum {
	REDIRMAP_CMD_STATE_GET = 1,	/* do */
	REDIRMAP_CMD_MAP_GET,		/* do by id, dump */
	REDIRMAP_CMD_TARGET_GET,	/* do by id, dump */
	REDIRMAP_CMD_SOCKET_GET,	/* dump by map; needs CAP_BPF as well */

	__REDIRMAP_CMD_MAX,
	REDIRMAP_CMD_MAX = (__REDIRMAP_CMD_MAX - 1)
};

/* Lost frames of one reason, nested */
enum {
	REDIRMAP_A_DROP_REASON = 1,	/* u32, enum redirmap_drop */
	REDIRMAP_A_DROP_PACKETS,	/* u64 */
	REDIRMAP_A_DROP_PAD,
	REDIRMAP_A_DROP_AGE,		/* u64, ms since the last lost frame */
	/* u64, too large packets that were probably not segmented yet */
	REDIRMAP_A_DROP_UNSEGMENTED,

	__REDIRMAP_A_DROP_MAX,
	REDIRMAP_A_DROP_MAX = (__REDIRMAP_A_DROP_MAX - 1)
};

/* Lookups that found no entry and returned one action, nested */
enum {
	REDIRMAP_A_MISS_ACTION = 1,	/* u32, enum xdp_action, up to XDP_TX */
	REDIRMAP_A_MISS_LOOKUPS,	/* u64 */
	REDIRMAP_A_MISS_PAD,
	/* u64, ms since the last lookup; for XDP_ABORTED and XDP_DROP only */
	REDIRMAP_A_MISS_AGE,

	__REDIRMAP_A_MISS_MAX,
	REDIRMAP_A_MISS_MAX = (__REDIRMAP_A_MISS_MAX - 1)
};

/* struct redirmap_stats, nested */
enum {
	REDIRMAP_A_STATS_PACKETS = 1,	/* u64 */
	REDIRMAP_A_STATS_BYTES,		/* u64 */
	REDIRMAP_A_STATS_DROP,		/* nest, multi: reasons with drops */
	REDIRMAP_A_STATS_ERROR,		/* u32, last errno; absent if none */
	REDIRMAP_A_STATS_PAD,
	REDIRMAP_A_STATS_MISSED,	/* nest, multi: actions with lookups */
	/* u64, the sent frames that left as packets; absent if none */
	REDIRMAP_A_STATS_AS_PACKETS,

	__REDIRMAP_A_STATS_MAX,
	REDIRMAP_A_STATS_MAX = (__REDIRMAP_A_STATS_MAX - 1)
};

/* Refused redirects to sockets, of one reason, nested */
enum {
	REDIRMAP_A_REFUSED_REASON = 1,	/* u32, enum redirmap_sock_refusal */
	REDIRMAP_A_REFUSED_REDIRECTS,	/* u64 */
	REDIRMAP_A_REFUSED_PAD,
	REDIRMAP_A_REFUSED_AGE,		/* u64, ms since the last redirect */

	__REDIRMAP_A_REFUSED_MAX,
	REDIRMAP_A_REFUSED_MAX = (__REDIRMAP_A_REFUSED_MAX - 1)
};

/* Updates of socket maps that failed with one errno, nested */
enum {
	REDIRMAP_A_FAILED_ERRNO = 1,	/* u32; 0: errnos without a counter */
	REDIRMAP_A_FAILED_UPDATES,	/* u64 */
	REDIRMAP_A_FAILED_PAD,

	__REDIRMAP_A_FAILED_MAX,
	REDIRMAP_A_FAILED_MAX = (__REDIRMAP_A_FAILED_MAX - 1)
};

/*
 * Counters of a socket map, nested. Redirects are counted when the helper
 * returns: messages (sk_msg) and packets (sk_skb), by direction. An accepted
 * redirect also counts as closing if the kernel then drops the message or
 * packet: its target had left all maps; or could not transmit any more, except
 * for messages to its egress; or, for packets, had begun to close.
 *
 * The number of sockets that have left the map without a delete, because they
 * were closed or replaced, is inserts - deletes - present.
 */
enum {
	REDIRMAP_A_SOCK_MSG_EGRESS = 1,	/* u64, accepted redirects */
	REDIRMAP_A_SOCK_MSG_INGRESS,	/* u64 */
	REDIRMAP_A_SOCK_SKB_EGRESS,	/* u64 */
	REDIRMAP_A_SOCK_SKB_INGRESS,	/* u64 */
	REDIRMAP_A_SOCK_MSG_CLOSING,	/* u64, included in the accepted */
	REDIRMAP_A_SOCK_SKB_CLOSING,	/* u64 */
	REDIRMAP_A_SOCK_PAD,
	REDIRMAP_A_SOCK_REFUSED,	/* nest, multi: by reason */
	REDIRMAP_A_SOCK_INSERTS,	/* u64, updates that succeeded */
	REDIRMAP_A_SOCK_DELETES,	/* u64, deletes that succeeded */
	REDIRMAP_A_SOCK_FAILED,		/* nest, multi: errnos with updates */
	/* u32, sockets in the map; absent for large maps, and in sums */
	REDIRMAP_A_SOCK_PRESENT,

	__REDIRMAP_A_SOCK_MAX,
	REDIRMAP_A_SOCK_MAX = (__REDIRMAP_A_SOCK_MAX - 1)
};

enum {
	REDIRMAP_A_MAP_ID = 1,		/* u32, id of the BPF map */
	REDIRMAP_A_MAP_NAME,		/* string */
	REDIRMAP_A_MAP_TYPE,		/* u32, enum bpf_map_type */
	REDIRMAP_A_MAP_VALUE_SIZE,	/* u32, bytes */
	REDIRMAP_A_MAP_CAPACITY,	/* u32, max_entries */
	REDIRMAP_A_MAP_USED,		/* u32, entries */
	REDIRMAP_A_MAP_MEMBERS,		/* u32, targets that broadcasts go to */
	REDIRMAP_A_MAP_NETNS,		/* u64, inode of the creator's netns */
	REDIRMAP_A_MAP_MEMORY,		/* u64, bytes */
	REDIRMAP_A_MAP_STATS,		/* nest: counters without a target */
	REDIRMAP_A_MAP_ALL_NETNS,	/* flag, in requests: all namespaces */
	REDIRMAP_A_MAP_PAD,
	REDIRMAP_A_MAP_ELSEWHERE,	/* u32, members in other namespaces */
	REDIRMAP_A_MAP_SOCK,		/* nest: counters of a socket map */
	REDIRMAP_A_MAP_PACKETS,		/* u32, enum redirmap_packets */
	REDIRMAP_A_MAP_USERS,		/* u32, references to the map */

	__REDIRMAP_A_MAP_MAX,
	REDIRMAP_A_MAP_MAX = (__REDIRMAP_A_MAP_MAX - 1)
};

enum {
	REDIRMAP_A_TARGET_ID = 1,	/* u32 */
	REDIRMAP_A_TARGET_IFINDEX,	/* u32 */
	REDIRMAP_A_TARGET_IFNAME,	/* string */
	REDIRMAP_A_TARGET_PROG_ID,	/* u32, only with an egress program */
	REDIRMAP_A_TARGET_REFS,		/* u32, maps that hold the target */
	REDIRMAP_A_TARGET_NETNS,	/* u64, inode of the device's netns */
	REDIRMAP_A_TARGET_ENTRY,	/* flag: only one entry uses it */
	REDIRMAP_A_TARGET_STATS,	/* nest */
	REDIRMAP_A_TARGET_ALL_NETNS,	/* flag, in requests: all namespaces */
	REDIRMAP_A_TARGET_PAD,
	REDIRMAP_A_TARGET_PACKETS,	/* u32, enum redirmap_packets */

	__REDIRMAP_A_TARGET_MAX,
	REDIRMAP_A_TARGET_MAX = (__REDIRMAP_A_TARGET_MAX - 1)
};

/* An address of a socket, nested */
enum {
	REDIRMAP_A_ADDRESS_IP = 1,	/* binary, 4 or 16 bytes */
	REDIRMAP_A_ADDRESS_PORT,	/* u32, in the byte order of the host */
	REDIRMAP_A_ADDRESS_NAME,	/* binary, AF_UNIX: sun_path */

	__REDIRMAP_A_ADDRESS_MAX,
	REDIRMAP_A_ADDRESS_MAX = (__REDIRMAP_A_ADDRESS_MAX - 1)
};

/* A program that a socket runs, nested */
enum {
	REDIRMAP_A_PROGRAM_TYPE = 1,	/* u32, enum bpf_attach_type */
	REDIRMAP_A_PROGRAM_ID,		/* u32, 0 while it is being freed */

	__REDIRMAP_A_PROGRAM_MAX,
	REDIRMAP_A_PROGRAM_MAX = (__REDIRMAP_A_PROGRAM_MAX - 1)
};

/*
 * An entry of a socket map. The numbers may change while they are read, so they
 * may belong to different moments.
 */
enum {
	REDIRMAP_A_SOCKET_MAP = 1,	/* u32, in requests: id of the map */
	REDIRMAP_A_SOCKET_ALL_NETNS,	/* flag, in requests: all namespaces */
	REDIRMAP_A_SOCKET_KEY,		/* binary */
	REDIRMAP_A_SOCKET_COOKIE,	/* u64, as of SO_COOKIE */
	REDIRMAP_A_SOCKET_PAD,
	REDIRMAP_A_SOCKET_INODE,	/* u64; 0 for none */
	REDIRMAP_A_SOCKET_NETNS,	/* u64, inode of the socket's netns */
	REDIRMAP_A_SOCKET_FAMILY,	/* u32, AF_... */
	REDIRMAP_A_SOCKET_TYPE,		/* u32, SOCK_... */
	REDIRMAP_A_SOCKET_PROTOCOL,	/* u32, IPPROTO_... */
	REDIRMAP_A_SOCKET_STATE,	/* u32, TCP_..., of all families */
	REDIRMAP_A_SOCKET_SHUTDOWN,	/* u32: 1 receive, 2 send, 3 both */
	/*
	 * nests: address. Absent if there is none, for vsock, and for a socket
	 * of another network namespace unless the request is for all
	 */
	REDIRMAP_A_SOCKET_LOCAL,
	REDIRMAP_A_SOCKET_REMOTE,
	REDIRMAP_A_SOCKET_PROGRAM,	/* nest, multi: running programs */
	REDIRMAP_A_SOCKET_INGRESS,	/* u64, bytes in the ingress queue */
	REDIRMAP_A_SOCKET_INGRESS_MORE,	/* flag: and more than these */
	REDIRMAP_A_SOCKET_BACKLOG,	/* u32, packets in the backlog */
	/* flag: the first packet of the backlog has found no room */
	REDIRMAP_A_SOCKET_BACKLOG_WAITS,
	/* u32, corked bytes; absent while another task uses the socket */
	REDIRMAP_A_SOCKET_CORK,
	REDIRMAP_A_SOCKET_APPLY,	/* u32, bytes left of apply_bytes */
	REDIRMAP_A_SOCKET_DROPS,	/* u32, dropped packets: sk_drops */
	REDIRMAP_A_SOCKET_ERROR,	/* u32, pending errno; absent if none */
	/* flag: transmit disabled, so the kernel drops all data for it */
	REDIRMAP_A_SOCKET_STOPPED,

	__REDIRMAP_A_SOCKET_MAX,
	REDIRMAP_A_SOCKET_MAX = (__REDIRMAP_A_SOCKET_MAX - 1)
};

/**
 * enum redirmap_hook - kind of a hook on a function of the kernel
 * @REDIRMAP_HOOK_OBSERVE: The module observes the calls.
 * @REDIRMAP_HOOK_REPLACE: The module replaces some of the calls.
 * @REDIRMAP_HOOK_RETURN: The module observes the returns.
 */
enum redirmap_hook {
	REDIRMAP_HOOK_OBSERVE,
	REDIRMAP_HOOK_REPLACE,
	REDIRMAP_HOOK_RETURN,
};

/* A hooked function of the kernel, nested */
enum {
	REDIRMAP_A_HOOK_NAME = 1,	/* string */
	REDIRMAP_A_HOOK_KIND,		/* u32, enum redirmap_hook */

	__REDIRMAP_A_HOOK_MAX,
	REDIRMAP_A_HOOK_MAX = (__REDIRMAP_A_HOOK_MAX - 1)
};

/* A private structure of the kernel that the module depends on, nested */
enum {
	REDIRMAP_A_LAYOUT_TYPE = 1,	/* string, the structure's name */
	REDIRMAP_A_LAYOUT_MEMBER,	/* string; absent for the size */
	REDIRMAP_A_LAYOUT_WHERE,	/* u32, offset or size in bytes */

	__REDIRMAP_A_LAYOUT_MAX,
	REDIRMAP_A_LAYOUT_MAX = (__REDIRMAP_A_LAYOUT_MAX - 1)
};

/* A device with removed targets that have lost frames, nested */
enum {
	REDIRMAP_A_GONE_IFINDEX = 1,	/* u32 */
	REDIRMAP_A_GONE_IFNAME,		/* string, the device's last name */
	REDIRMAP_A_GONE_STATS,		/* nest, sums of the removed targets */

	__REDIRMAP_A_GONE_MAX,
	REDIRMAP_A_GONE_MAX = (__REDIRMAP_A_GONE_MAX - 1)
};

enum {
	REDIRMAP_A_STATE_VERSION = 1,	/* string, of the module */
	REDIRMAP_A_STATE_CLAIM,		/* string, the claim policy */
	REDIRMAP_A_STATE_HOOK,		/* nest, multi */
	REDIRMAP_A_STATE_LAYOUT,	/* nest, multi */
	/* nest, stats: sums of the namespace's removed maps and targets */
	REDIRMAP_A_STATE_GONE,
	/* nest, multi: the parts of single devices in the sums, latest first */
	REDIRMAP_A_STATE_GONE_DEVICE,
	/* nest, stats: the namespace's lost frames without map and target */
	REDIRMAP_A_STATE_LOST,
	REDIRMAP_A_STATE_COPY_MEMORY,	/* u64, bytes kept for broadcasts */
	REDIRMAP_A_STATE_PAD,
	/* u64, number of the namespace's removed maps and targets */
	REDIRMAP_A_STATE_GONE_COUNT,
	REDIRMAP_A_STATE_SOCK_GONE,	/* nest, sock: removed socket maps */
	REDIRMAP_A_STATE_PACKETS,	/* string, the parameter packets */
	REDIRMAP_A_STATE_QDISC,		/* string, the parameter qdisc */
	/* u64, ns from boot to insmod, the clock of bpf_prog_info.load_time */
	REDIRMAP_A_STATE_LOADED,
	REDIRMAP_A_STATE_EARLY,		/* string, the parameter early */

	__REDIRMAP_A_STATE_MAX,
	REDIRMAP_A_STATE_MAX = (__REDIRMAP_A_STATE_MAX - 1)
};

#endif /* _UAPI_LINUX_REDIRMAP_H */
