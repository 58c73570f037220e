#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Frames for devices of Ethernet that need more than ip(8): team and macvtap.
All frames arrive, byte for byte, also those that end within a header. On the
kernel's own maps nothing arrives. (dev_packets.c tests the other devices of
Ethernet.) The last test compares the packets' type, as tc sees it."""
import contextlib
import fcntl
import os
import socket
import struct

from arrivallib import (ARP, IPV4, IPV6, MACS, OTHER, SHORT, Reader, counted, feed, frame, lead,
                        received, send)
from linklib import add_team, set_active_port
from testlib import (Skip, add_veth, becomes, equal, frames_of, ifindex, listen, run, sh, test,
                     until_up)

FRAMES = [frame(protocol, number) for number in range(4)
          for protocol in (IPV4, IPV6, ARP, OTHER)] + SHORT


class Wire:
    """The far end of a veth."""

    def __init__(self, device):
        self.sock = listen(device)

    def take(self):
        return next((one for one in frames_of(self.sock) if one.startswith(MACS)), None)

    def close(self):
        self.sock.close()


class Macvtap(Reader):
    """The file of a macvtap that has the frames' destination as its address."""

    def __init__(self, device):
        self.fd = os.open(f"/dev/tap{ifindex(device)}", os.O_RDWR | os.O_NONBLOCK)
        # TUNSETIFF; IFF_TAP | IFF_NO_PI: no header in front of frames
        fcntl.ioctl(self.fd, 0x400454ca, struct.pack("16sH22x", b"", 0x1002))


@contextlib.contextmanager
def network():
    """Two veths, whose near ends are down. Afterwards nothing is left."""
    try:
        for name in "wx":
            add_veth(f"{name}0", f"{name}1")
            sh(f"ip link set {name}0 down")
        yield
    finally:
        sh("for i in t1 t0 w0 x0; do ip link del $i 2>/dev/null || :; done")


def stock_sends():
    """Frames that arrived by the kernel's map would be in front of the other
    frames."""
    until_up("t0")
    lead("st_array")
    send([frame(IPV4, number) for number in range(4, 10)])
    lead("rm_array")


def send_counted(frames):
    """Send frames, all of which count as sent."""
    packets, size, as_packets, _ = counted()
    send(frames)
    want = (packets + len(frames), size + sum(map(len, frames)), as_packets + len(frames), {})
    assert becomes(lambda: counted() == want), (counted(), want)


@test("a team takes its ports in turn")
def _():
    with network():
        add_team("t0", "roundrobin", "w0", "x0")
        with contextlib.closing(Wire("w1")) as one, contextlib.closing(Wire("x1")) as other:
            stock_sends()
            send_counted(FRAMES)
            half = len(FRAMES) // 2
            equal(sorted([received(one, half), received(other, half)]),
                  sorted([FRAMES[::2], FRAMES[1::2]]))


@test("a team changes its active port")
def _():
    with network():
        add_team("t0", "activebackup", "w0", "x0")
        with contextlib.closing(Wire("w1")) as one, contextlib.closing(Wire("x1")) as other:
            stock_sends()
            # A frame that leaves by the other port is in front of the next ones
            # there.
            for port, active in (("w0", one), ("x0", other), ("w0", one)):
                set_active_port("t0", port)
                send_counted(FRAMES)
                equal(received(active, len(FRAMES)), FRAMES)


def add_macvtap(name, address=""):
    told = sh(f"ip link add link w0 name {name} {address} type macvtap mode bridge 2>&1 || :")
    if "Unknown device type" in told or "Operation not supported" in told:
        raise Skip(f"the kernel has no macvtap: {told.strip()}")
    equal(told, "")
    sh(f"ip link set {name} up")


@test("a macvtap: to the device below")
def _():
    with network():
        sh("ip link set w0 up")
        add_macvtap("t0")
        with contextlib.closing(Wire("w1")) as wire:
            stock_sends()
            send_counted(FRAMES)
            equal(received(wire, len(FRAMES)), FRAMES)


@test("a macvtap: to another one, whose file is read")
def _():
    with network():
        sh("ip link set w0 up")
        add_macvtap("t0")
        add_macvtap("t1", "address 02:00:00:00:00:01")
        with contextlib.closing(Macvtap("t1")) as tap:
            stock_sends()
            send_counted(FRAMES)
            equal(received(tap, len(FRAMES)), FRAMES)


def udp_frame(data):
    """IPv4 and UDP to 10.9.0.2, port 7000. The MAC address is nobody's."""
    udp = struct.pack("!HHHH", 7000, 7000, 8 + len(data), 0) + data
    ip = bytearray(struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0,
                               bytes([10, 9, 0, 9]), bytes([10, 9, 0, 2])))
    total = sum(struct.unpack("!10H", ip))
    total = (total & 0xffff) + (total >> 16)
    ip[10:12] = struct.pack("!H", 0xffff - total)
    return MACS + b"\x08\x00" + bytes(ip) + udp


class Port:
    """A port of UDP."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.sock.bind(("10.9.0.2", 7000))

    def take(self):
        with contextlib.suppress(BlockingIOError):
            return self.sock.recv(1 << 16)
        return None

    def close(self):
        self.sock.close()


@test("packets count as addressed to this machine, where tc passes them to it")
def _():
    data = [f"packet {number}".encode() for number in range(10)]
    with network():
        sh("ip link add t0 type dummy; ip link set t0 up; ip link add t1 type dummy; "
           "ip addr add 10.9.0.2/24 dev t1; ip link set t1 up; "
           "sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.t1.rp_filter=0; "
           "tc qdisc add dev t0 clsact; "
           "tc filter add dev t0 egress matchall action mirred ingress redirect dev t1")
        lead("rm_array")
        with contextlib.closing(Port()) as port:
            send_counted([udp_frame(one) for one in data])
            equal(received(port, len(data)), data)


with feed():
    run()
