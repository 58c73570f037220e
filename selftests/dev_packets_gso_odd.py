#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Packets of generic XDP whose notes do not describe them, or of which a busy
device takes a part: nothing that is complete is changed, and each packet counts
once. See gsolib.py."""
import contextlib
import json
import os
import random
import socket
import struct

from gsolib import (LIMIT, WHOLE, Refused, counts, first, frames_of, lab, nothing_left, run_all,
                    stats_of, tap_of, transmitted)
from offloadlib import MSS, PACKET_VNET_HDR, SOL_PACKET, TCP, UDP, Packet
from testlib import add_faulty, becomes, equal, knob, longer, sh, test

IFF_TUN, IFF_VNET_HDR = 1, 0x4000
ICMP, IPIP = 1, 4
ETH_P_ALL = 3
PACKET_AUXDATA = 8
TP_STATUS_VLAN_VALID = 1 << 4


def final(packet):
    """A packet that a program has completed, but that has its sender's
    notes."""
    packet.data = packet.completed()
    return packet


def answer():
    """A program has made an ICMP error of a packet of TCP: where the checksum
    of TCP was, there are other data."""
    packet = Packet(100)
    ip = bytearray(packet.data[14:34])
    ip[9] = ICMP
    packet.data = packet.data[:14] + bytes(ip) + b"\3\4\xfc\xfb" + packet.data[38:]
    return packet


def error():
    """A program has answered with an ICMP error that quotes a packet of TCP,
    whose checksum is not final."""
    quoted = Packet(100)
    ip = bytearray(quoted.data[14:34])
    ip[9] = ICMP
    quoted.data = quoted.data[:14] + bytes(ip) + b"\3\4\xfc\xfb\0\0\5\x78" + quoted.data[14:]
    quoted.start += 28
    return quoted


def in_front(outer, packet):
    """A program has put an outer IPv4 header in front, for IPv4 in IPv4."""
    ip = bytearray(packet.data[14:34])
    ip[9] = outer
    packet.data = packet.data[:14] + bytes(ip) + packet.data[14:]
    packet.start += 20
    return packet


for kind in ("st_array", "rm_array"):
    @test(f"{kind}: a checksum that is final, and data in its place, stay as they are")
    def _(kind=kind):
        with lab(kind) as one:
            for packet in (final(Packet(100)), final(Packet(100, UDP)),
                           final(Packet(100, v6=True)), answer(), error(),
                           in_front(IPIP, final(Packet(100))),
                           final(Packet(100, v6=True, options=True)),
                           final(Packet(LIMIT - 54, gso=WHOLE))):
                one.send(packet)
                equal(frames_of(one.to[0], 1), [packet.data])
            # The others are completed all the same.
            if kind == "rm_array":
                for packet in (Packet(101), Packet(102, UDP), Packet(103, v6=True),
                               Packet(104, UDP, v6=True), Packet(105, tags=(5,)),
                               Packet(106, v6=True, options=True)):
                    one.send(packet)
                    packet.check(frames_of(one.to[0], 1))
                packet = one.send(in_front(IPIP, Packet(107)))
                equal(frames_of(one.to[0], 1), [packet.completed()])


class Forged:
    """A packet with notes that anyone may write to a tap."""

    def __init__(self, chance):
        packet = Packet(chance.choice((1, 100, 1400, 3000, 60000)),
                        chance.choice((TCP, UDP)), v6=chance.random() < 0.3,
                        tags=(5,) * chance.choice((0, 0, 0, 1, 2, 3)))
        data = bytearray(packet.data)
        # The length of TCP's header, of IPv4's, a fragment, another protocol
        for at, value in ((packet.start + 12, chance.randrange(16) << 4),
                          (packet.start - 20, 0x40 + chance.randrange(16)),
                          (packet.start - 14, 0x20), (packet.start - 11, chance.randrange(256)),
                          (packet.start - 14, 0)):
            if chance.random() < 0.15 and at < len(data):
                data[at] = value
        if chance.random() < 0.1:
            data[12:14] = chance.randbytes(2)
        self.data = bytes(data[:chance.choice((20, 60, None, None, None, None))])
        self.notes = struct.pack(
            "=BBHHHH", chance.choice((0, 1, 1, 1, 2, 3)),
            chance.choice((0, 1, 1, 3, 4, 5)) | chance.choice((0, 0, 0x80)),
            chance.choice((packet.headers, packet.headers, 0, 14, 200, 0xffff)),
            chance.choice((0, 1, 8, 100, MSS, MSS, 1460, 0xffff)),
            chance.choice((packet.start, packet.start, packet.start, 0, 13, 14, 34, 70, 1400)),
            chance.choice((packet.offset, packet.offset, 16, 6, 0, 3, 1000, 0xfffe)))

    def write(self, tap):
        os.write(tap, self.notes + self.data)


def accepted(one, packets):
    """The number of packets that the tap takes."""
    count = 0
    for packet in packets:
        with contextlib.suppress(OSError):
            packet.write(one.tap)
            count += 1
    return count


def accounted(device):
    packets, _, drops, _ = counts(device)
    return packets + sum(drops.values())


def forged_to(device, egress):
    with lab("rm_array") as one:
        add_faulty("f0")
        sh("ip link add du type dummy; ip link set du up; ip addr flush dev f0")
        one.point(device, egress=egress)
        one.send(Packet(100))
        chance, sent = random.Random(f"{device} {egress}"), 1
        for _ in range(longer(300, 5000)):
            # The tap's queue is not read meanwhile: it becomes full.
            sent += accepted(one, [Forged(chance)])
        assert becomes(lambda: accounted(device) == sent), (sent, counts(device))
        sh("ip link del du; ip link del f0")


for device in ("to1", "du", "f0"):
    for egress in (None, "grow"):
        @test(f"forged notes, to {device}{', with an egress program' if egress else ''}: each "
              "packet counts once")
        def _(device=device, egress=egress):
            forged_to(device, egress)


@test("a tap with a native program: unsegmented packets run it as generic XDP")
def _():
    with lab("rm_array") as one:
        one.program("to_rm_array", "xdpdrv")
        # A short one is a frame, whose checksum stays as it is, as on stock
        # maps.
        short = one.send(Packet(100))
        equal(frames_of(one.to[0], 1), [short.data])
        one.send(Packet(3 * MSS))
        assert becomes(lambda: stats_of("to1")["drops"])
        equal(counts("to1"), (1, len(short.data), {"too_large": 1}, 1))
        packet = one.send(Packet(3 * MSS))
        packet.check(frames_of(one.to[0], 3))
        equal(counts("to1"), (2, len(short.data) + len(packet.data), {"too_large": 1}, 1))
        # The limit of frames is the device's, all the same.
        one.send(Packet(1500, partial=False))
        assert becomes(lambda: stats_of("to1")["drops"] == {"too_large": 2}), counts("to1")
        nothing_left(*one.to)


@test("a tap with a native program: a plain frame of its MTU changes nothing for the target")
def _():
    with lab("rm_array") as one:
        sh("ip link set from mtu 9000")
        one.program("to_rm_array", "xdpdrv")
        # Each is refused by the kernel: the port shows the device's MTU.
        with Refused() as refused:
            one.send(*[Packet(3000, gso=WHOLE, partial=False)] * 2)
            assert becomes(lambda: stats_of("to1")["drops"] == {"too_large": 2}), counts("to1")
            equal((counts("to1"), refused.count()), ((0, 0, {"too_large": 2}, 0), 2))


@test("more segments than the module makes: a packet of a few bytes per segment is too large")
def _():
    with lab("rm_array") as one:
        first(one)
        sh("ip link set to1 txqueuelen 2000")
        one.send(most := Packet(1024 * 50, gso=50), Packet(1024 * 50 + 1, gso=50))
        most.check(frames_of(one.to[0], 1024))
        assert becomes(lambda: stats_of("to1")["drops"] == {"too_large": 1}), counts("to1")
        equal(stats_of("to1")["unsegmented"], 1)
        nothing_left(*one.to)


@test("packets whose notes point elsewhere are not segmented")
def _():
    with lab("rm_array") as one:
        first(one)
        for shift in (-2, 2):
            packet = Packet(3 * MSS)
            packet.start += shift
            one.send(packet)
        assert becomes(lambda: stats_of("to1")["drops"] == {"too_large": 2}), counts("to1")
        equal(stats_of("to1")["unsegmented"], 2)
        nothing_left(*one.to)


@test("a device that becomes busy: a packet counts once, its segments as dropped")
def _():
    for egress in (None, "grow"):
        with lab("rm_array") as one:
            add_faulty("f0")
            one.point("f0", egress=egress)
            one.send(Packet(100))
            assert becomes(lambda: stats_of("f0")["packets"] == 1), counts("f0")
            for room, drops in ((5, {"generic": 1}), (0, {"generic": 2})):
                before = transmitted("f0")
                knob("f0", "room", room)
                one.send(Packet(20 * MSS))
                assert becomes(lambda drops=drops: stats_of("f0")["drops"] == drops), counts("f0")
                equal((stats_of("f0")["packets"], transmitted("f0") - before), (1, room))
            knob("f0", "room", -1)
            before = transmitted("f0")
            one.send(Packet(20 * MSS))
            assert becomes(lambda: stats_of("f0")["packets"] == 2), counts("f0")
            equal(transmitted("f0") - before, 20)
            sh("ip link del f0")


def is_up(device):
    """Does its queue take packets? The stack notes that some time after the
    device is set up."""
    return json.loads(sh(f"ip -j link show {device}"))[0]["operstate"] == "UP"


def arrivals(wire, count):
    """For each of the next packets: has it a tag beside its data?"""
    tagged = []
    while len(tagged) < count:
        data, notes, _, _ = wire.recvmsg(1 << 16, 1 << 10)
        if data[:6] == b"\2\0\0\0\0\1":
            status, = {struct.unpack_from("=I", value)[0] for level, kind, value in notes
                       if (level, kind) == (SOL_PACKET, PACKET_AUXDATA)}
            tagged.append(bool(status & TP_STATUS_VLAN_VALID))
    return tagged


for kind in ("st_array", "rm_array"):
    @test(f"{kind}: a tag beside the data stays there, also if a checksum is left to the device")
    def _(kind=kind):
        with lab(kind) as one, \
                socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as host:
            add_faulty("f0")
            sh("ip link add v0 type veth peer name v1; ip link add o0 type veth peer name o1; "
               "ip link add link v1 name v1.7 type vlan id 7; "
               "for one in v0 v1 v1.7 o0 o1; do ip link set $one up; done; "
               f"bpftool net attach xdpgeneric pinned /sys/fs/bpf/redirmap-gso/p/to_{kind} dev v0")
            assert becomes(lambda: all(is_up(device) for device in ("v1.7", "v0", "o0", "o1")))
            host.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
            host.bind(("v1.7", 0))
            # A veth hands the tag on; the driver of f0 ignores it.
            for device, arrives_at, tagged in (("o0", "o1", True), ("f0", "f0", False)):
                one.point(device)
                with socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                                   socket.htons(ETH_P_ALL)) as wire:
                    wire.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
                    wire.bind((arrives_at, ETH_P_ALL))
                    wire.settimeout(60)
                    for partial in (True, False):
                        Packet(100, partial=partial).write(host.fileno())
                    equal(arrivals(wire, 2), [tagged] * 2)
            sh("ip link del v0; ip link del o0; ip link del f0")


@test("IP packets, before which a program puts an Ethernet header, leave in segments")
def _():
    with lab("rm_array") as one:
        first(one)
        packet = Packet(20 * MSS)
        tun = tap_of("l3", IFF_VNET_HDR, kind=IFF_TUN)
        sh("bpftool net attach xdpgeneric pinned /sys/fs/bpf/redirmap-gso/p/push_rm_array dev l3")
        packet.write(tun, skip=14)
        packet.check(frames_of(one.to[0], 20))
        os.close(tun)
        nothing_left(*one.to)


run_all()
