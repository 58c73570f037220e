# SPDX-License-Identifier: GPL-2.0-only
"""Why frames were lost, and what to do about it.

The texts are those of enum redirmap_drop in include/uapi/linux/redirmap.h, in
its order; selftests/spec.py compares them.
"""


class Reason:
    """A reason, by its name in --json; the text says first what happened, then
    what helps. No namedtuple: to import that takes as long as all of this."""

    def __init__(self, name, text):
        self.name, self.text = name, text


REASONS = (
    Reason("dev_down", "The device was down. Set it up."),
    Reason(
        "too_large",
        "The frame was larger than the device's MTU allows. Raise that, or lower "
        "the MTU of where the frames come from.",
    ),
    Reason(
        "no_xmit",
        "The device cannot transmit such XDP frames. For a veth, its peer needs an "
        "XDP program or GRO; other devices may need more queues, or a driver with "
        "ndo_xdp_xmit; frames of several buffers need one that takes those. "
        "Generic XDP works with all devices.",
    ),
    Reason(
        "ring_full",
        "The driver took fewer frames than it was offered, mostly because its ring "
        "was full. Enlarge the ring, or make the receiver faster.",
    ),
    Reason(
        "driver_error",
        "The driver refused with an error, of which the last one is told. ENXIO: "
        "it is not ready for XDP; for a veth, the peer needs an XDP program or GRO.",
    ),
    Reason(
        "prog_drop",
        "The entry's egress program returned XDP_DROP. If that was not meant, look "
        "at the program.",
    ),
    Reason(
        "prog_aborted",
        "The entry's egress program returned XDP_ABORTED. The tracepoint "
        "xdp:xdp_exception shows when.",
    ),
    Reason(
        "prog_invalid",
        "The entry's egress program returned what is no verdict for one. Let it "
        "return XDP_PASS or XDP_DROP.",
    ),
    Reason(
        "no_memory",
        "There was no memory for a copy of the frame. Look what takes it, or raise "
        "vm.min_free_kbytes.",
    ),
    Reason(
        "no_headroom",
        "The frame had no room for the kernel's description of it. Let programs "
        "leave 40 bytes of headroom.",
    ),
    Reason(
        "no_target",
        "An XDP program returned XDP_REDIRECT with nothing to redirect to: it had "
        "called no helper, or the helper had found no entry, or no such device. "
        "Let it return what the helper returns.",
    ),
    Reason(
        "no_member",
        "A broadcast had nobody to go to. Make an entry for another device than "
        "the ingress.",
    ),
    Reason(
        "generic",
        "In generic XDP the device's transmit queue was stopped, or its driver "
        "busy. Use a longer queue, or native XDP.",
    ),
    Reason(
        "xmit_drop",
        "In generic XDP the device's driver, or a queue of a device below it, "
        "dropped the packet. The statistics of both tell which: ip -s link, "
        "tc -s qdisc. For a veth, see that its peer is up.",
    ),
)
