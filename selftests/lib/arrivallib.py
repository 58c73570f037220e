# SPDX-License-Identifier: GPL-2.0-only
"""Frames of several protocols that a map leads to a device t0, and the packets
that leave by it, byte for byte, for tests in Python.

    in1, in0 == frames ==> program, map ==> t0 ==> receiver

A receiver has a function take(), which returns the next packet, or None.
"""
import contextlib
import os
import socket
import struct

import testlib
from commandlib import target
from testlib import (OUTPUT, becomes, frame_to, ifindex, open_pinned, seen_by_program, sh, update)

PIN = "/sys/fs/bpf/redirmap-arrival"
# hosts.bpf.c finds host 2 in IPv4 and ARP, and none in other frames.
KEYS = (0, 2)
MAC = 14
IPV4, IPV6, ARP, OTHER = "IPv4", "IPv6", "ARP", "other"
# Destination and source
MACS = bytes([2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2])


def frame(protocol, number):
    """A frame whose length and bytes depend on its number."""
    data = bytes((number + at) % 256 for at in range(20 + 100 * number))
    if protocol == IPV4:
        return frame_to(2, MAC + 20 + len(data))[:MAC + 20] + data
    if protocol == IPV6:
        head = struct.pack("!IHBB", 6 << 28, len(data), 59, 64)
        return MACS + b"\x86\xdd" + head + socket.inet_pton(socket.AF_INET6, "fd00::1") + \
            socket.inet_pton(socket.AF_INET6, "fd00::2") + data
    if protocol == ARP:
        return MACS + b"\x08\x06" + struct.pack("!HHBBH", 1, 0x800, 6, 4, 1) + MACS[6:] + \
            bytes([10, 9, 0, 1]) + bytes(6) + bytes([10, 9, 0, 2]) + bytes(18)
    return MACS + b"\x88\xcc" + data


# Frames whose data end at the Ethernet header, or within the header behind it.
SHORT = [frame(IPV4, 0)[:MAC], frame(IPV4, 0)[:MAC + 19],
         frame(IPV6, 0)[:MAC], frame(IPV6, 0)[:MAC + 39]]


class Reader:
    """A receiver of packets that a process reads from the descriptor fd."""

    def take(self):
        with contextlib.suppress(BlockingIOError):
            return os.read(self.fd, 1 << 16)
        return None

    def close(self):
        os.close(self.fd)


@contextlib.contextmanager
def feed():
    """The veth in0, in1, and the programs. Afterwards no pin is left."""
    try:
        sh(f"rm -rf {PIN}; mkdir -p {PIN}; "
           f"bpftool prog loadall {OUTPUT}/hosts.bpf.o {PIN}/p pinmaps {PIN}/m")
        testlib.add_veth("in0", "in1")
        yield
    finally:
        sh(f"rm -rf {PIN}")


def lead(kind):
    """Frames go to t0 through this map."""
    fd = open_pinned(f"{PIN}/m/{kind}")
    for key in KEYS:
        update(fd, key, ifindex("t0"))
    os.close(fd)
    sh(f"ip -force link set in0 xdpdrv pinned {PIN}/p/to_{kind}")


def send(frames):
    """Send frames, and wait until the program has seen all of them."""
    before = seen_by_program("in0")
    for one in frames:
        testlib.send("in1", one, 1)
    assert becomes(lambda: seen_by_program("in0") >= before + len(frames))


def received(receiver, count):
    """The next packets: at least so many, if they arrive."""
    packets = []
    becomes(lambda: packets.extend(iter(receiver.take, None)) or len(packets) >= count)
    return packets


def counted():
    stats = target("t0")["stats"]
    return stats["packets"], stats["bytes"], stats["as_packets"], stats["drops"]
