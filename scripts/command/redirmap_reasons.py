# SPDX-License-Identifier: GPL-2.0-only
"""The reasons for which frames are lost and redirects to sockets are refused,
and the cures.

The texts and their order are those of enum redirmap_drop and enum
redirmap_sock_refusal in include/uapi/linux/redirmap.h;
selftests/helpers/netlink_spec.py compares them.
"""


class Reason:
    """A reason: its name in --json, a text with the cause and the cure, and the
    objects that count lost frames for it: a "target", only a target with an
    egress program ("program"), a "map", a "netns". This is no namedtuple,
    because its import takes as long as this whole module."""

    def __init__(self, name, text, by=("target",)):
        self.name, self.text, self.by = name, text, by


REASONS = (
    Reason("dev_down", "The device was down. Set it up."),
    Reason(
        "too_large",
        "The frame was larger than the device's MTU allows. Raise the MTU, or lower "
        "the MTU of the senders.",
    ),
    Reason(
        "no_xmit",
        "The device cannot transmit such XDP frames, and the map's frames may "
        "not leave as packets (the module's parameter packets allows that); "
        "or the device transmits only IPv4 and IPv6. For a veth, its peer "
        "needs an XDP program or GRO. igb, ixgbe, i40e, ice, virtio_net and "
        "other drivers need an XDP program on the device itself; one that "
        "returns XDP_PASS is sufficient. Other devices may need more queues, "
        "or a driver with ndo_xdp_xmit; frames of several buffers need a "
        "driver that takes those. Generic XDP works with all devices.",
    ),
    Reason(
        "ring_full",
        "The driver took fewer frames than it was offered, mostly because its ring "
        "was full. Enlarge the ring, or make the receiver faster. A veth also "
        "refuses frames that are longer than the MTU of its peer.",
    ),
    Reason(
        "driver_error",
        "The driver refused the frame with an error; the last error is kept. "
        "ENXIO, EINVAL: the device was not ready for XDP; it needs an XDP "
        "program, or a queue for each CPU; the peer of a veth needs an XDP "
        "program or GRO. ENETDOWN: the driver had stopped the device, often "
        "only to reset it. EBUSY, EIO: the ring was full or stopped. ENODEV: "
        "the device was broken. EPERM: a frame could not be mapped for DMA.",
    ),
    Reason(
        "prog_drop",
        "The entry's egress program returned XDP_DROP. If this is not intended, "
        "correct the program.",
        ("program",),
    ),
    Reason(
        "prog_aborted",
        "The entry's egress program returned XDP_ABORTED, which the tracepoint "
        "xdp:xdp_exception reports; or it could not run on a packet of a broadcast in generic "
        "XDP, because the entry was new.",
        ("program",),
    ),
    Reason(
        "prog_invalid",
        "The entry's egress program returned an action that egress programs must "
        "not return. Let it return XDP_PASS or XDP_DROP.",
        ("program",),
    ),
    Reason(
        "no_memory",
        "There was no memory for a copy of the frame, or for a packet. Free memory, "
        "or raise vm.min_free_kbytes.",
    ),
    Reason(
        "no_headroom",
        "The frame had no headroom for the kernel's struct xdp_frame. Let programs "
        "leave 40 bytes of headroom.",
        ("map", "target"),
    ),
    Reason(
        "no_target",
        "An XDP program returned XDP_REDIRECT with nothing to redirect to: it had "
        "called no helper, or the helper had found no entry, or no such device. "
        "Let it return the helper's return value.",
        ("netns",),
    ),
    Reason(
        "no_member",
        "A broadcast had no destination. Add an entry for a device other than the "
        "ingress.",
        ("map",),
    ),
    Reason(
        "generic",
        "In generic XDP the device's transmit queue was stopped, or its driver "
        "was busy. Use a longer queue, or native XDP.",
    ),
    Reason(
        "xmit_drop",
        "In generic XDP, or where frames leave as packets, the device's queueing "
        "discipline or driver, or a queue of a device below it, dropped the packet. "
        "Compare their statistics: ip -s link, tc -s qdisc. For a veth, check that "
        "its peer is up.",
    ),
)

REFUSALS = (
    Reason(
        "no_socket",
        "The map had no socket at the key. Insert one; a socket that is closed leaves "
        "the map.",
    ),
    Reason(
        "key",
        "The key was not smaller than max_entries. Use a smaller key, or create a "
        "larger map.",
    ),
    Reason(
        "state",
        "The socket was listening, or not connected. Insert sockets that are "
        "connected.",
    ),
    Reason(
        "flags",
        "The program passed an unknown flag. Pass 0 or BPF_F_INGRESS.",
    ),
    Reason(
        "direction",
        "The kernel does not support this direction for the family of the socket. "
        "Messages go to sockets other than TCP with BPF_F_INGRESS only; vsock sockets "
        "take packets (sk_skb) without it.",
    ),
    Reason(
        "other",
        "The kernel refused for a reason that this version of the module does not "
        "know, or the entry changed meanwhile. Update the module if the number grows.",
    ),
)

UNKNOWN = "This version of the command does not know the reason."

# Accepted redirects to a closing socket
CLOSING = (
    "The socket had begun to close, or had left all maps: the kernel drops the redirected data. "
    "Delete sockets from the map before they are closed."
)

# Failed updates of socket maps, by errno: see Documentation/map_sockmap.rst.
FAILURES = {
    "EINVAL": (
        "The flags were unknown, the descriptor was larger than INT_MAX, or the socket had a ULP "
        "such as kTLS. Insert sockets before they get a ULP."
    ),
    "E2BIG": (
        "The key was beyond the array, or the hash was full. Delete sockets, or create a larger "
        "map."
    ),
    "EEXIST": (
        "BPF_NOEXIST was given, and there was a socket at the key. Delete it first, or pass "
        "BPF_ANY."
    ),
    "ENOENT": (
        "BPF_EXIST was given, and there was no socket at the key; or a program that is attached "
        "to the map was being freed. Pass BPF_ANY, or attach a program again."
    ),
    "EBUSY": (
        "The socket already had a program of a kind for which the map has a program, or other "
        "code of the kernel used the socket. Insert it in one map with such a program only. If it "
        "is in this map already, and the program of the map was replaced, wait until redirmap "
        "sockets shows 0 for INGRESS, BACKLOG and CORK, and delete it from all maps first."
    ),
    "EOPNOTSUPP": (
        "The family or the state of the socket does not allow the update. Insert TCP sockets that "
        "are connected or listening, UDP sockets that have an address, connected streams of "
        "AF_UNIX (and on 6.12 of vsock), or datagram sockets of AF_UNIX; no MPTCP. A map with a "
        "stream_parser and a stream_verdict takes TCP sockets only. Programs of type sock_ops "
        "insert TCP sockets in the callbacks for these states."
    ),
    "ENOMEM": (
        "There was no memory for the entry or its socket. Free memory, or raise the limit of the "
        "memory cgroup."
    ),
    "EBADF": "There was no such descriptor. Pass the descriptor of a socket as the value.",
    "ENOTSOCK": (
        "The descriptor was not that of a socket. Pass the descriptor of a socket as the value."
    ),
}
OTHER_FAILURE = "The module has no counter of its own for this errno."

# Texts of driver_error by the last errno: see the table in
# Documentation/drivers.rst. If the kind and the state of the device explain
# more, the text of redirmap_advice.py is used instead.
REFUSED = "The driver refused with an error."
ERRORS = {
    "ENXIO": (
        "The device was not ready for XDP frames. Many drivers need an XDP program on the "
        "device itself, or a channel for each CPU (ethtool -L). The peer of a veth has to be "
        "up, and needs an XDP program or GRO. Some drivers return this errno while they are "
        "reconfigured, which takes a short time."
    ),
    "ENETDOWN": (
        "The driver had stopped the device, usually to reset or reconfigure it, even if ip link "
        "shows UP. This takes a short time. If the loss goes on, check the carrier (ip link) "
        "and the kernel log."
    ),
    "EINVAL": (
        "The device was not ready for XDP frames. bnxt_en and gve need an XDP program on the "
        "device itself, and sfc needs a transmit queue for each CPU. vmxnet3 returns this errno "
        "during a reset, which takes a short time."
    ),
    "EIO": (
        "The transmit ring was full or stopped. Enlarge the ring, or make the receiver "
        "faster."
    ),
    "EBUSY": (
        "The transmit ring was full. Enlarge the ring, or make the receiver faster."
    ),
    "ENODEV": "The device is broken, or was removed: see the kernel log.",
    "EPERM": "The driver could not map a frame for DMA; ionic returns a wrong number then.",
}
OTHER_ERROR = (
    "Documentation/drivers.rst in the module's sources lists no driver with this errno: see "
    "the sources of the driver."
)
