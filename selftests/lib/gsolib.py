# SPDX-License-Identifier: GPL-2.0-only
"""Maps that redirect packets of generic XDP that are not segmented yet, or have
no final checksum (offloadlib.py): for dev_packets_gso*.py.

Packets come by a tap, with the notes for segmentation that a virtual machine
gives them. They leave by taps, which transmit no unsegmented packets, or by
veths, which do."""
import contextlib
import fcntl
import json
import os
import select
import struct
from pathlib import Path

from offloadlib import MSS, UDP, UDP_NOTES, Packet
from testlib import OUTPUT, becomes, equal, ifindex, in_a_net, open_pinned, run, sh, update

in_a_net()

from redirmap_netlink import Family  # noqa: E402

PIN = "/sys/fs/bpf/redirmap-gso"
TRACING = Path("/sys/kernel/tracing")
PARAMETER = Path("/sys/module/redirmap/parameters/packets")
TUNSETIFF, IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x400454ca, 2, 0x1000, 0x4000
# The longest frame that a device with an MTU of 1500 takes: with a VLAN tag
LIMIT = 1518
# No packet of a test is longer, so it is not marked for segmentation.
WHOLE = 1 << 15

sh(f"rm -rf {PIN}; mkdir -p {PIN}; modprobe tun; modprobe 8021q")


# --- taps -------------------------------------------------------------------


def tap_of(name, flags=0, kind=IFF_TAP):
    """The descriptor of a new tap, which exists while this is open."""
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), kind | IFF_NO_PI | flags))
    sh(f"ip link set {name} up")
    return fd


def frames_of(tap, count):
    """The given number of frames that have left through a tap."""
    frames = []
    while len(frames) < count and select.select([tap], [], [], 60)[0]:
        frames.append(os.read(tap, 1 << 16))
    return frames


def nothing_left(*taps):
    equal([tap for tap in taps if select.select([tap], [], [], 0)[0]], [])


# --- redirects --------------------------------------------------------------


class Refused:
    """The kernel's tracepoint for frames that were too large."""

    folder = TRACING / "instances/redirmap-gso"

    def __enter__(self):
        self.folder.mkdir()
        (self.folder / "events/xdp/xdp_redirect_err/enable").write_text("1")
        return self

    def __exit__(self, *_):
        self.folder.rmdir()

    def count(self):
        return (self.folder / "trace").read_text().count("err=-90")


def targets_of(device):
    with Family() as family:
        return [one for one in family.targets() if one["ifname"] == device]


def stats_of(device):
    return targets_of(device)[0]["stats"]


def counts(device):
    """The counters of a target: packets, bytes, losses, and the unsegmented
    part of the losses."""
    stats = stats_of(device)
    return (stats["packets"], stats["bytes"], stats["drops"], stats["unsegmented"])


def transmitted(device):
    """The packets that a device counts."""
    return json.loads(sh(f"ip -json -stats link show {device}"))[0]["stats64"]["tx"]["packets"]


class Lab:
    """tap "from", a program that redirects its packets, taps "to1", "to2"."""

    def __init__(self, name, packets="*"):
        self.name = name
        PARAMETER.write_text(packets + "\n")
        sh(f"bpftool prog loadall {OUTPUT}/segments.bpf.o {PIN}/p pinmaps {PIN}/m")
        PARAMETER.write_text("*\n")
        self.map = open_pinned(f"{PIN}/m/{name}")
        self.tap = tap_of("from", IFF_VNET_HDR)
        self.to = [tap_of("to1"), tap_of("to2")]
        # A tap with IFF_VNET_HDR takes packets of any length.
        self.program(f"to_{name}")
        self.point("to1")

    def program(self, name, mode="xdpgeneric"):
        sh(f"ip link set from xdpgeneric off; ip link set from xdp off; "
           f"bpftool net attach {mode} pinned {PIN}/p/{name} dev from")

    def point(self, device, key=1, egress=None):
        prog = open_pinned(f"{PIN}/p/{egress}") if egress else -1
        update(self.map, key, ifindex(device), prog)
        if egress:
            os.close(prog)
        if self.name.startswith("rm"):
            # The former target with this device has gone.
            assert becomes(lambda: len(targets_of(device)) == 1)

    def send(self, *packets):
        for packet in packets:
            packet.write(self.tap)
        return packets[0]

    def close(self):
        for fd in (self.map, self.tap, *self.to):
            os.close(fd)
        sh(f"rm -rf {PIN}/p {PIN}/m")


@contextlib.contextmanager
def lab(*args):
    one = Lab(*args)
    try:
        yield one
    finally:
        one.close()


def first(one):
    """A short packet, after which the target takes unsegmented ones."""
    packet = one.send(Packet(100))
    packet.check(frames_of(one.to[0], 1))
    return packet


def others():
    """Packets of each kind that is segmented."""
    udp = [Packet(3 * MSS, UDP), Packet(2500, UDP, v6=True)] if UDP_NOTES else []
    return [Packet(20 * MSS), Packet(20 * MSS + 1), Packet(60 * MSS), Packet(3 * MSS, v6=True),
            Packet(3 * MSS, tags=(5,)), Packet(3 * MSS, tags=(5, 6)), Packet(1300, gso=1200), *udp]


def run_all():
    """Run all tests, and leave nothing of them."""
    try:
        run()
    finally:
        PARAMETER.write_text("*\n")
        sh(f"rm -rf {PIN}")
