#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Frames for devices without a MAC header: IPv4 and IPv6 arrive without theirs,
byte for byte; all other frames are counted as no_xmit. On the kernel's own maps
nothing arrives."""
import contextlib
import fcntl
import os
import struct

from arrivallib import (ARP, IPV4, IPV6, MAC, OTHER, SHORT, Reader, counted, feed, frame, lead,
                        received, send)
from testlib import Skip, add_veth, becomes, equal, frames_of, listen, run, sh, test

COUNT = 5
OUTER_MAC = bytes([2, 0, 0, 0, 0, 2])


class Tun(Reader):
    """Packets that leave by a tun, for a process that has it open."""
    below = 0

    def __init__(self):
        sh("modprobe tun 2>/dev/null || :")
        if not os.path.exists("/dev/net/tun"):
            raise Skip("the kernel has no tun")
        self.fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        # TUNSETIFF; IFF_TUN | IFF_NO_PI
        fcntl.ioctl(self.fd, 0x400454ca, struct.pack("16sH22x", b"t0", 0x1001))


class Ppp(Reader):
    """Packets that leave by a PPP unit that has no channel: the process that
    has made the unit reads them, as for dialling on demand, with PPP's number
    of the protocol in front."""
    below = 2

    def __init__(self):
        sh("modprobe ppp_generic 2>/dev/null || :")
        if not os.path.exists("/dev/ppp"):
            raise Skip("the kernel has no PPP")
        self.fd = os.open("/dev/ppp", os.O_RDWR | os.O_NONBLOCK)
        # PPPIOCNEWUNIT; PPPIOCSFLAGS, SC_LOOP_TRAFFIC
        unit, = struct.unpack("i", fcntl.ioctl(self.fd, 0xc004743e, struct.pack("i", -1)))
        fcntl.ioctl(self.fd, 0x40047459, struct.pack("i", 0x200))
        sh(f"ip link set ppp{unit} name t0")

    def take(self):
        packet = super().take()
        if packet is None:
            return None
        equal(packet[:self.below], {4: b"\x00\x21", 6: b"\x00\x57"}[packet[2] >> 4])
        return packet[self.below:]


class Tunnel:
    """Packets that leave by a tunnel, inside of its outer headers."""

    def __init__(self, args, below):
        """@below is the length of the outer headers."""
        self.below = MAC + below
        told = sh(f"ip link add t0 type {args} 2>&1 || :")
        if "Unknown device type" in told or "Operation not supported" in told:
            raise Skip(f"the kernel has no {args.split()[0]}: {told.strip()}")
        equal(told, "")
        self.sock = listen("w1")

    def take(self):
        for packet in frames_of(self.sock):
            if packet.startswith(OUTER_MAC):
                return packet[self.below:]
        return None

    def close(self):
        self.sock.close()


def outer(version, args, below):
    if version == 4:
        return Tunnel(f"{args} local 10.8.0.1 remote 10.8.0.2", 20 + below)
    if not os.path.isdir("/proc/sys/net/ipv6"):
        raise Skip("the kernel has no IPv6")
    return Tunnel(f"{args} local fd08::1 remote fd08::2", 40 + below)


# A function that makes the device, and the protocols that the device itself
# takes
DEVICES = {
    "tun": (Tun, {IPV4, IPV6}),
    "PPP": (Ppp, {IPV4, IPV6}),
    "ipip": (lambda: outer(4, "ipip", 0), {IPV4}),
    "gre": (lambda: outer(4, "gre", 4), {IPV4, IPV6}),
    "sit": (lambda: outer(4, "sit mode any", 0), {IPV4, IPV6}),
    "ip6tnl": (lambda: outer(6, "ip6tnl mode any encaplimit none", 0), {IPV4, IPV6}),
    "ip6gre": (lambda: outer(6, "ip6gre encaplimit none", 4), {IPV4, IPV6}),
}


@contextlib.contextmanager
def made(name):
    """A device t0 for packets, and a receiver of its packets."""
    make, takes = DEVICES[name]
    receiver = make()
    try:
        sh("ip link set t0 mtu 1400 up")
        yield receiver, takes
    finally:
        receiver.close()
        sh("ip link del t0 2>/dev/null || :")


for name in DEVICES:
    @test(f"{name}: IPv4 and IPv6 without the Ethernet header, and nothing else")
    def _(name=name):
        with made(name) as (receiver, takes):
            lead("st_array")
            send([frame(IPV4, number) for number in range(COUNT, 2 * COUNT)])

            # These would be behind those of the kernel's map.
            lead("rm_array")
            sent = size = 0
            for protocol in (IPV4, IPV6):
                frames = [frame(protocol, number) for number in range(COUNT)]
                send(frames)
                want = [one[MAC:] for one in frames] if protocol in takes else []
                equal(received(receiver, len(want)), want)
                # A device that does not take a protocol drops it as its own.
                sent, size = sent + COUNT, size + sum(map(len, frames))
                assert becomes(lambda: counted() == (sent, size, sent, {})), counted()

            # Nor is there an empty packet, or one that ends in its header.
            send(SHORT)
            send([frame(protocol, number) for number in range(COUNT) for protocol in (ARP, OTHER)])
            lost = {"no_xmit": 2 * COUNT + len(SHORT)}
            assert becomes(lambda: counted() == (sent, size, sent, lost)), counted()
            # The next packet is the next that is sent.
            last = frame(IPV4, COUNT)
            send([last])
            equal(received(receiver, 1), [last[MAC:]])


add_veth("w0", "w1")
# Nobody answers on w1, so the outer addresses are known.
sh("ip addr add 10.8.0.1/24 dev w0; ip neigh add 10.8.0.2 lladdr 02:00:00:00:00:02 dev w0")
if os.path.isdir("/proc/sys/net/ipv6"):
    sh("sysctl -qw net.ipv6.conf.w0.disable_ipv6=0; ip addr add fd08::1/64 dev w0 nodad; "
       "ip neigh add fd08::2 lladdr 02:00:00:00:00:02 dev w0")
with feed():
    run()
