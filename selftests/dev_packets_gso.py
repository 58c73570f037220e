#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Packets of generic XDP that are not segmented yet, or have no final checksum:
segments, checksums and counters, byte for byte. See gsolib.py."""
import contextlib
import socket

from gsolib import (LIMIT, WHOLE, Refused, counts, first, frames_of, lab, nothing_left, others,
                    run_all, stats_of, transmitted)
from offloadlib import MSS, TCP, UDP, UDP_NOTES, Packet
from probelib import kprobe
from testlib import add_faulty, becomes, equal, sh, test

ETH_P_ALL = 3
# The tag and the length of the outer header that egress programs put in front
TAG, OUTER = b"\x81\0\0\5", 20


def without_tag(frame):
    equal(frame[12:16], TAG)
    return frame[:12] + frame[16:]


def without_outer(frame):
    return frame[:14] + frame[14 + OUTER:]


for kind in ("rm_array", "rm_hash"):
    @test(f"{kind}: segments and checksums, for a device that can do neither")
    def _(kind=kind):
        with lab(kind) as one, Refused() as refused:
            bytes_sent = len(first(one).data)
            packets = others()
            for packet in packets:
                one.send(packet)
                packet.check(frames_of(one.to[0], -(-len(packet.payload) // packet.gso)))
                bytes_sent += len(packet.data)
            # A packet counts once, before it is segmented.
            equal(counts("to1"), (1 + len(packets), bytes_sent, {}, 0))
            nothing_left(*one.to)
            equal(refused.count(), 0)


for kind, policy in (("st_array", "*"), ("st_hash", "*"), ("rm_array", ""), ("rm_hash", "")):
    @test(f"{kind}, packets='{policy}': unsegmented packets are lost, checksums are not final")
    def _(kind=kind, policy=policy):
        with lab(kind, policy) as one, Refused() as refused:
            short = one.send(Packet(100))
            frame, = frames_of(one.to[0], 1)
            equal(frame, short.data)
            packets = [packet for packet in others() if len(packet.data) > 1518]
            one.send(*packets)
            # The tap's packets take one queue, so the last one shows the
            # others.
            last = one.send(Packet(100))
            equal(frames_of(one.to[0], 1), [last.data])
            nothing_left(*one.to)
            equal(refused.count(), len(packets))
            if kind.startswith("rm"):
                equal(counts("to1"), (2, len(short.data) + len(last.data),
                                      {"too_large": len(packets)}, len(packets)))


@test("the first packet of a target must not be unsegmented; then others may be")
def _():
    with lab("rm_array") as one, Refused() as refused:
        # Refused by the kernel, like those of its own maps.
        one.send(Packet(3 * MSS))
        assert becomes(lambda: stats_of("to1")["drops"])
        equal((counts("to1"), refused.count()), ((0, 0, {"too_large": 1}, 1), 1))
        one.send(packet := Packet(3 * MSS))
        packet.check(frames_of(one.to[0], 3))
        equal((counts("to1"), refused.count()),
              ((1, len(packet.data), {"too_large": 1}, 1), 1))


@test("the same, if the ingress has a larger MTU, as a NIC with GRO may have")
def _():
    with lab("rm_array") as one:
        sh("ip link set from mtu 9000")
        one.send(Packet(3 * MSS))
        assert becomes(lambda: stats_of("to1")["drops"])
        # Its length is no sign that it was not segmented.
        equal(counts("to1"), (0, 0, {"too_large": 1}, 0))
        one.send(packet := Packet(3 * MSS))
        packet.check(frames_of(one.to[0], 3))
        equal(counts("to1"), (1, len(packet.data), {"too_large": 1}, 0))


@test("packets without an offloaded checksum keep the kernel's limit, and its event until one "
      "is too large")
def _():
    with lab("rm_array") as one, Refused() as refused:
        sh("ip link set from mtu 9000")
        plain = one.send(Packet(100, partial=False))
        equal(frames_of(one.to[0], 1), [plain.data])
        one.send(*(Packet(3000, gso=1 << 15, partial=False) for _ in range(5)))
        assert becomes(lambda: stats_of("to1")["drops"] == {"too_large": 5}), counts("to1")
        equal((counts("to1"), refused.count()), ((1, len(plain.data), {"too_large": 5}, 0), 1))


@test("segments that do not fit, and packets that are not segmented")
def _():
    with lab("rm_array") as one, Refused() as refused:
        sent = first(one)
        sh("ip link set to1 mtu 900")
        one.send(Packet(5 * MSS), Packet(5 * MSS, UDP if UDP_NOTES else TCP))
        assert becomes(lambda: stats_of("to1")["drops"] == {"too_large": 2}), counts("to1")
        # The MTU is the cure, not the sender's offloads.
        equal(counts("to1"), (1, len(sent.data), {"too_large": 2}, 0))
        # The largest segment that fits, with room for a tag, and one byte more
        one.send(fits := Packet(3 * 864, gso=864), Packet(3 * 865, gso=865))
        fits.check(frames_of(one.to[0], 3))
        assert becomes(lambda: stats_of("to1")["drops"] == {"too_large": 3}), counts("to1")

        sh("ip link set to1 mtu 1500")
        one.send(Packet(3 * MSS), Packet(3000, gso=1 << 15))
        frames_of(one.to[0], 3)
        assert becomes(lambda: stats_of("to1")["drops"] == {"too_large": 4}), counts("to1")
        equal(stats_of("to1")["unsegmented"], 0)
        # Three tags, and an extension header
        one.send(Packet(3 * MSS, tags=(5, 6, 7)), Packet(3 * MSS, v6=True, options=True))
        assert becomes(lambda: stats_of("to1")["drops"] == {"too_large": 6}), counts("to1")
        equal(stats_of("to1")["unsegmented"], 2)
        nothing_left(*one.to)
        equal(refused.count(), 0)


@test("programs that shorten packets: checksums and segments stay consistent")
def _():
    with lab("rm_array") as one:
        first(one)
        one.program("less_rm_array")
        one.send(packet := Packet(10 * MSS))
        frames = frames_of(one.to[0], 8)
        equal([len(frame) - packet.headers for frame in frames], [MSS] * 7 + [500])
        equal(b"".join(frame[packet.headers:] for frame in frames), packet.payload[:7500])
        # Less than a segment is left, in a broadcast as well.
        one.point("to2", 2)
        for program, taps in (("cut_rm_array", one.to[:1]), ("cut_all_rm_array", one.to)):
            one.program(program)
            one.send(packet := Packet(10 * MSS))
            for tap in taps:
                equal(frames_of(tap, 1), [packet.completed(554)])
        # The noted checksum is cut off. The packet leaves as it is, as from
        # the kernel's maps.
        one.program("behead_rm_array")
        one.send(packet := Packet(600))
        equal(frames_of(one.to[0], 1), [packet.data[100:]])
        one.send(packet := Packet(10 * MSS))
        assert becomes(lambda: stats_of("to1")["drops"] == {"too_large": 1}), counts("to1")
        nothing_left(*one.to)


@test("an egress program sees a packet before it is segmented")
def _():
    with lab("rm_array") as one:
        first(one)
        one.point("to1", egress="whole")
        one.send(Packet(100))
        assert becomes(lambda: stats_of("to1")["drops"] == {"prog_drop": 1}), counts("to1")
        one.send(packet := Packet(20 * MSS))
        packet.check(frames_of(one.to[0], 20))
        equal(counts("to1"), (1, len(packet.data), {"prog_drop": 1}, 0))

        one.point("to1", egress="segment")
        one.send(short := Packet(100), Packet(20 * MSS))
        short.check(frames_of(one.to[0], 1))
        assert becomes(lambda: stats_of("to1")["drops"] == {"prog_drop": 1}), counts("to1")
        # It may make a packet that cannot be segmented.
        one.point("to1", egress="confuse")
        one.send(short := Packet(100), Packet(20 * MSS))
        equal(len(frames_of(one.to[0], 1)[0]), len(short.data))
        assert becomes(lambda: stats_of("to1")["drops"] == {"too_large": 1}), counts("to1")
        equal(stats_of("to1")["unsegmented"], 1)
        nothing_left(*one.to)


@test("broadcasts: each member gets segments that fit it, with final checksums")
def _():
    with lab("rm_array") as one:
        one.program("all_rm_array")
        one.point("to2", 2)
        sh("ip link add du type dummy; ip link set du up; ip link set to2 mtu 900")
        one.point("du", 3)
        # Not even the first packet is lost.
        one.send(packet := Packet(20 * MSS))
        packet.check(frames_of(one.to[0], 20))
        equal(counts("to1"), (1, len(packet.data), {}, 0))
        equal(counts("to2"), (0, 0, {"too_large": 1}, 0))
        # A dummy segments: it gets the packet.
        equal(counts("du"), (1, len(packet.data), {}, 0))
        equal(transmitted("du"), 1)

        sh("ip link set to2 mtu 1500")
        for one_more in (Packet(3 * MSS), Packet(100), Packet(2500, v6=True)):
            one.send(one_more)
            for tap in one.to:
                one_more.check(frames_of(tap, max(1, -(-len(one_more.payload) // MSS))))
        # With an egress program, on a copy of its own
        one.point("to2", 2, "whole")
        one.send(packet := Packet(20 * MSS))
        for tap in one.to:
            packet.check(frames_of(tap, 20))
        nothing_left(*one.to)
        sh("ip link del du")


@test("devices that segment get the packet; without offloads they get segments")
def _():
    with lab("rm_array") as one:
        sh("ip link add du type dummy; ip link set du up; "
           "ip link add link to2 name to2.5 type vlan id 5; ip link set to2.5 up")
        for device in ("du", "to2.5"):
            one.point(device)
            one.send(Packet(100))
            assert becomes(lambda device=device: stats_of(device)["packets"] == 1)
        equal(len(frames_of(one.to[1], 1)), 1)
        # A VLAN of a device that segments nothing
        one.send(packet := Packet(3 * MSS))
        frames = frames_of(one.to[1], 3)
        equal({frame[12:18] for frame in frames}, {b"\x81\0\0\5\x08\0"})
        packet.check([frame[:12] + frame[16:] for frame in frames])

        one.point("du")
        one.send(Packet(100))
        for offload, segments in (("on", 1), ("off", 20)):
            sh(f"ethtool -K du tx {offload}")
            before = transmitted("du")
            want = stats_of("du")["packets"] + 1
            one.send(Packet(20 * MSS))
            assert becomes(lambda want=want: stats_of("du")["packets"] == want)
            equal(transmitted("du") - before, segments)
        nothing_left(*one.to)
        sh("ip link del du; ip link del to2.5")


@test("a full queue: a packet counts as lost, once, even if some of its segments have left")
def _():
    with lab("rm_array") as one:
        sent = first(one)
        sh("ip link set to1 txqueuelen 30")
        one.send(*(Packet(20 * MSS) for _ in range(5)))
        assert becomes(lambda: sum(stats_of("to1")["drops"].values()) == 4), counts("to1")
        equal(counts("to1")[:2], (2, len(sent.data) + 20 * MSS + 54))
        assert len(frames_of(one.to[0], 30)) == 30
        nothing_left(*one.to)


for kind in ("st_array", "rm_array"):
    @test(f"{kind}: packets of the full length, which an egress program makes longer, before "
          "and after the first one whose checksum is left to the device")
    def _(kind=kind):
        with lab(kind) as one, Refused() as refused:
            one.point("to1", egress="grow")
            for raised in (False, True):
                if raised:
                    packet = one.send(Packet(LIMIT - 54, gso=WHOLE))
                    frame, = frames_of(one.to[0], 1)
                    equal(len(frame), LIMIT + len(TAG))
                    if kind == "rm_array":
                        packet.check([without_tag(frame)])
                    else:
                        equal(without_tag(frame), packet.data)
                before = refused.count()
                packet = one.send(Packet(LIMIT - 54, gso=WHOLE, partial=False))
                frame, = frames_of(one.to[0], 1)
                equal((len(frame), without_tag(frame)), (LIMIT + len(TAG), packet.data))
                one.send(Packet(LIMIT - 53, gso=WHOLE, partial=False))
                by_port = raised and kind == "rm_array"
                if by_port:
                    assert becomes(lambda: stats_of("to1")["drops"] == {"too_large": 2})
                else:
                    assert becomes(lambda before=before: refused.count() > before)
                equal(refused.count() - before, not by_port)
                nothing_left(*one.to)


@test("an egress program makes segments of the full length longer")
def _():
    with lab("rm_array") as one:
        one.point("to1", egress="grow")
        packet = one.send(Packet(100))
        packet.check([without_tag(frame) for frame in frames_of(one.to[0], 1)])
        packet = one.send(Packet(3 * (LIMIT - 54), gso=LIMIT - 54))
        frames = frames_of(one.to[0], 3)
        equal([len(frame) for frame in frames], [LIMIT + len(TAG)] * 3)
        packet.check([without_tag(frame) for frame in frames])
        # The segments were too long before the program ran.
        one.send(Packet(3 * (LIMIT - 53), gso=LIMIT - 53))
        assert becomes(lambda: stats_of("to1")["drops"] == {"too_large": 1}), counts("to1")
        equal(stats_of("to1")["unsegmented"], 0)
        nothing_left(*one.to)


@test("an egress program puts an outer header in front: short packets leave, with the inner "
      "checksum; long ones cannot be segmented")
def _():
    with lab("rm_array") as one:
        one.point("to1", egress="tunnel")
        packet = one.send(Packet(LIMIT - 54, gso=WHOLE))
        frame, = frames_of(one.to[0], 1)
        equal(len(frame), LIMIT + OUTER)
        packet.check([without_outer(frame)])
        # Two segments, which fit as one packet: as from the kernel's maps
        packet = one.send(Packet(LIMIT - 54, gso=1200))
        frame, = frames_of(one.to[0], 1)
        equal((len(frame), without_outer(frame)), (LIMIT + OUTER, packet.data))
        one.send(Packet(20 * MSS))
        assert becomes(lambda: stats_of("to1")["drops"] == {"too_large": 1}), counts("to1")
        equal(stats_of("to1")["unsegmented"], 1)
        nothing_left(*one.to)


@test("a device that computes checksums behind one IP header: the module computes that behind "
      "an outer header")
def _():
    with lab("rm_array") as one, \
            socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL)) as tap:
        # It receives its own packets, and computes no checksum.
        add_faulty("f0")
        sh("ethtool -K f0 tx-checksum-ipv4 on")
        tap.bind(("f0", ETH_P_ALL))
        tap.settimeout(10)
        one.point("f0")
        packet = one.send(Packet(100))
        equal(tap.recv(2000), packet.data)
        one.point("f0", egress="tunnel")
        packet = one.send(Packet(100))
        frame = tap.recv(2000)
        equal(len(frame), len(packet.data) + OUTER)
        packet.check([without_outer(frame)])
        sh("ip link del f0")


@contextlib.contextmanager
def mirrors(refused):
    """A function that returns how often a port has mirrored its device."""
    name = "redirmap_gso_mirror"
    with kprobe(name, "redirmap:rmap_port_mirror", refused.folder) as event:
        (event / "enable").write_text("1")
        yield lambda: (refused.folder / "trace").read_text().count(f" {name}: ")


@test("refused packets: the port mirrors its device once, when it changes")
def _():
    with lab("rm_array") as one, Refused() as refused, mirrors(refused) as mirrored:
        before = mirrored()
        one.send(*(Packet(3 * MSS) for _ in range(20)))
        equal(len(frames_of(one.to[0], 3 * 19)), 3 * 19)
        equal((refused.count(), mirrored() - before), (1, 1))


for policy, device in (("", "to1"), ("*", "tun1")):
    @test(f"packets='{policy}', to {device}: a port that may not segment is not mirrored")
    def _(policy=policy, device=device):
        with lab("rm_array", policy) as one, Refused() as refused, mirrors(refused) as mirrored:
            if device == "tun1":
                # No Ethernet header
                sh("ip tuntap add tun1 mode tun; ip link set tun1 up")
            one.point(device)
            before = mirrored()
            one.send(*(Packet(3 * MSS) for _ in range(20)), *(Packet(100) for _ in range(20)))
            assert becomes(lambda: refused.count() == 20), refused.count()
            if device == "to1":
                equal(len(frames_of(one.to[0], 20)), 20)
            equal(mirrored() - before, 0)
            equal(stats_of(device)["unsegmented"], 20)
            sh("ip link del tun1 2>/dev/null || :")


run_all()
