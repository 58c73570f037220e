#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Each allocation fails once: those for a packet of generic XDP that is
segmented or completed, and those for frames that leave as packets. Each packet
or frame is sent whole, or counted as lost, or its sender gets the error. There
is one exception: the kernel drops a packet silently if it cannot make it linear
for the program. The tests use claimed maps only, because the kernel's own maps
do none of this work. They need a kernel with fault injection: see
Documentation/testing.rst.
"""
import os

from faultlib import Fault, can_fail
from gsolib import (MSS, UDP, UDP_NOTES, Packet, counts, first, frames_of, lab, nothing_left,
                    run_all, transmitted)
from loadlib import offer
from testlib import equal, open_pinned, sh, test

PIN = "/sys/fs/bpf/redirmap-gso"
# More allocations than any way makes
MANY = 300
# Allocations of the kernel before the program of generic XDP runs: headroom,
# linear data
SILENT_AT_MOST = 4
FRAMES = 16

can_fail()


def with_faults(act):
    """Act, with a fault at the first allocation, at the second one, and so on,
    until none is left. Yields each time after the act whether it met the fault,
    and whether it returned an error. Tap and program run in this task, so all
    is counted when the call returns."""
    for number in range(1, MANY):
        error = False
        with Fault(number) as fault:
            try:
                act()
            except OSError:
                error = True
        assert not (fault.left and error)
        yield not fault.left, error
        if fault.left:
            break
    else:
        raise AssertionError(f"more than {MANY} allocations")


def lost(device):
    """Packets of a target, and those that it has lost for want of memory."""
    packets, _, drops, _ = counts(device)
    equal(set(drops) - {"no_memory"}, set())
    return packets, drops.get("no_memory", 0)


def each_is_whole(one, packet, taps):
    """All packets that were counted as sent have arrived, with all segments,
    and no other packet has."""
    number = -(-len(packet.payload) // packet.gso) if packet.gso else 1
    before, faults, short, silent = {tap: lost(tap) for tap in taps}, 0, 0, 0
    for hurt, error in with_faults(lambda: packet.write(one.tap)):
        faults += hurt
        told = 0
        for tap, fd in taps.items():
            now = lost(tap)
            sent, dropped = (after - was for after, was in zip(now, before[tap], strict=True))
            before[tap] = now
            assert sent + dropped <= 1, (sent, dropped)
            assert sent or hurt
            told += sent + dropped
            short += dropped
            if sent:
                packet.check(frames_of(fd, number))
            nothing_left(fd)
        # All members count a packet, or none does.
        assert told in (0, len(taps)), told
        # The kernel's own allocations come first.
        assert told or error or not short
        silent += not told and not error
    print(f"# {faults} faults, {short} counted, {silent} before the program ran")
    assert silent <= SILENT_AT_MOST, silent
    return short


PACKETS = {
    "a packet with an offloaded checksum": lambda: Packet(100),
    "TCP in 20 segments": lambda: Packet(20 * MSS),
    "TCP in IPv6, in 3 segments": lambda: Packet(3 * MSS, v6=True),
    "TCP with two VLAN tags": lambda: Packet(3 * MSS, tags=(5, 6)),
    **({"UDP in 3 segments": lambda: Packet(3 * MSS, UDP)} if UDP_NOTES else {}),
}

for title, make in PACKETS.items():
    @test(f"{title}: each allocation on the way fails once")
    def _(make=make):
        with lab("rm_array") as one:
            first(one)
            packet = make()
            short = each_is_whole(one, packet, {"to1": one.to[0]})
            # Segments need memory of their own.
            assert short or not packet.gso

    @test(f"{title}, in a broadcast")
    def _(make=make):
        with lab("rm_array") as one:
            first(one)
            one.point("to2", 2)
            one.program("all_rm_array")
            packet = make()
            short = each_is_whole(one, packet, {"to1": one.to[0], "to2": one.to[1]})
            assert short or not packet.gso


@test("an egress program of a broadcast's member, with a copy of its own")
def _():
    with lab("rm_array") as one:
        first(one)
        one.point("to2", 2, "whole")
        one.program("all_rm_array")
        assert each_is_whole(one, Packet(20 * MSS), {"to1": one.to[0], "to2": one.to[1]})


@test("frames that leave as packets: each is sent or counted, when there are no skbs")
def _():
    with lab("rm_array") as one:
        sh("ip link add du type dummy; ip link set du up")
        one.point("du")
        prog = open_pinned(f"{PIN}/p/to_rm_array")
        frame = Packet(100, partial=False).data
        before, short = (0, 0), 0
        for hurt, error in with_faults(lambda: offer(prog, frame, FRAMES)):
            now = lost("du")
            sent, dropped = (after - was for after, was in zip(now, before, strict=True))
            before = now
            assert sent + dropped == FRAMES or (error and sent + dropped < FRAMES), \
                (sent, dropped, error)
            assert sent == FRAMES or hurt
            short += dropped
            # The driver has got the packets that were counted as sent.
            equal(transmitted("du"), now[0])
        os.close(prog)
        sh("ip link del du")
        assert short


run_all()
