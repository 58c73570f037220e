#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The memory that is kept for copies of broadcasts: its growth, its limit, and
its return. Stock maps keep none."""
import os
import socket
import struct

from testlib import (OUTPUT, add_veth, becomes, frame_to, ifindex, in_a_net, open_pinned, run,
                     sh, test, update)

in_a_net()

from loadlib import offer  # noqa: E402
from redirmap_netlink import Family  # noqa: E402

PIN = "/sys/fs/bpf/redirmap-copies"
# The last member gets the originals.
DEVICES = ("out1", "out2", "out3")
FRAME = frame_to(1, 64)
FRAMES = 20000
MIB = 1 << 20
# Limits of all CPUs, and of a CPU, in whole blocks. If there are several CPUs,
# one gets at most three quarters.
BLOCK = 8192
BLOCKS = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGESIZE") // 256 // BLOCK
SHARE = BLOCKS * BLOCK
LIMIT = min(8 * MIB, SHARE if os.sysconf("SC_NPROCESSORS_CONF") == 1 else
            (BLOCKS - BLOCKS // 4) * BLOCK)
# A socket of the default size keeps this number of short packets.
SLOW_ROOM, SLOW_PACKETS = 212992 // 2, 208
SO_RCVBUFFORCE = 33
SOL_PACKET, PACKET_STATISTICS = 263, 6

sh(f"rm -rf {PIN}; mkdir -p {PIN}; "
   f"bpftool prog loadall {OUTPUT}/tools.bpf.o {PIN}/p pinmaps {PIN}/m")
for key, device in enumerate(DEVICES):
    add_veth(device, f"{device}p")
    sh(f"ethtool -K {device}p gro on")
    update(open_pinned(f"{PIN}/m/rm_array"), key, ifindex(device))
broadcast = open_pinned(f"{PIN}/p/all_rm_array")
sh(f"rm -rf {PIN}")
cpus = sorted(os.sched_getaffinity(0))
# Each CPU has memory of its own.
os.sched_setaffinity(0, {cpus[0]})


def kept():
    with Family() as family:
        return family.state()["copy_memory"]


class Unread:
    """Sockets at the devices' peers, which no process reads."""

    def __init__(self, room):
        self.sockets = []
        for name in DEVICES:
            one = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            one.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, room)
            one.bind((f"{name}p", 0x800))
            self.sockets.append(one)

    def __enter__(self):
        return self

    def packets(self):
        """The numbers of packets that each socket has got, and that it has
        lost."""
        size = struct.calcsize("II")
        return [struct.unpack("II", one.getsockopt(SOL_PACKET, PACKET_STATISTICS, size))
                for one in self.sockets]

    def __exit__(self, *_):
        for one in self.sockets:
            one.close()


def offer_unread(unread, frames):
    """Offer frames. The sockets keep all that reach them; on a slow machine,
    the rings of the veths are often full."""
    offer(broadcast, FRAME, frames)
    for packets, lost in unread.packets():
        assert packets and not lost, (packets, lost)


def goes_back():
    # Half of it in a second, and only while the CPU is awake.
    assert becomes(lambda: not kept(), 12000), kept()


@test("copies that are read at once need the memory of a poll")
def _():
    goes_back()
    offer(broadcast, FRAME, FRAMES)
    # On a slow machine, two veths have up to 256 copies each waiting.
    assert 0 < kept() <= MIB, kept()


@test("memory that is not needed is freed")
def _():
    goes_back()


@test("packets without a reader are passed over")
def _():
    with Unread(100 << 10) as unread:
        offer(broadcast, FRAME, FRAMES)
        (_, lost), *_ = unread.packets()
        assert lost, "the socket has room for all"
        assert 0 < kept() <= MIB, kept()
        # All memory except that of the waiting copies is freed.
        assert becomes(lambda: kept() <= MIB // 2, 12000), kept()
        assert kept()
    goes_back()


@test("packets that are read slowly do not use up the memory")
def _():
    with Unread(100 << 10) as unread:
        reader = unread.sockets[0]
        reader.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, SLOW_ROOM)
        # The packets that the socket keeps are far apart in the end.
        for _ in range(2 * SLOW_PACKETS):
            offer(broadcast, FRAME, 100)
            reader.recv(64)
        (packets, lost), *_ = unread.packets()
        assert packets > 2 * SLOW_PACKETS and lost, (packets, lost)
        assert MIB // 2 < kept() < 3 * MIB, kept()
    goes_back()


@test("memory above the limit is not kept, and not leaked")
def _():
    with Unread(200 * MIB) as unread:
        # A ring grows slowly: it tests all blocks before it adds one.
        while kept() < LIMIT:
            offer_unread(unread, FRAMES // 4)
        offer_unread(unread, FRAMES // 4)
        assert kept() == LIMIT, (kept(), LIMIT)
        if len(cpus) > 1:
            # Another CPU gets memory all the same.
            os.sched_setaffinity(0, {cpus[-1]})
            offer_unread(unread, FRAMES // 4)
            os.sched_setaffinity(0, {cpus[0]})
            assert LIMIT < kept() <= max(SHARE, LIMIT + 8 * MIB), (kept(), SHARE)
    goes_back()


@test("a CPU that goes offline keeps nothing")
def _():
    if len(cpus) < 2:
        print("# one CPU only")
        return
    cpu = cpus[-1]
    with Unread(100 << 10):
        os.sched_setaffinity(0, {cpu})
        offer(broadcast, FRAME, FRAMES)
        os.sched_setaffinity(0, {cpus[0]})
        assert kept(), "no memory is kept"
        sh(f"echo 0 > /sys/devices/system/cpu/cpu{cpu}/online")
        try:
            assert not kept(), kept()
        finally:
            sh(f"echo 1 > /sys/devices/system/cpu/cpu{cpu}/online")
    os.sched_setaffinity(0, {cpu})
    offer(broadcast, FRAME, FRAMES)
    assert kept()
    os.sched_setaffinity(0, {cpus[0]})
    goes_back()


run()
