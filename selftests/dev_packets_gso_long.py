#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Frames of native XDP to targets that take packets which are not segmented
yet: frames that are too long are lost, as before. See gsolib.py and
dev_packets_gso.py."""
import os
import select

from gsolib import (LIMIT, PIN, Refused, counts, first, frames_of, lab, nothing_left, run_all,
                    stats_of)
from loadlib import offer
from offloadlib import Packet
from testlib import add_faulty, becomes, equal, knob, open_pinned, sh, test


def natively(program, length, times):
    """Frames of native XDP."""
    prog = open_pinned(f"{PIN}/p/{program}")
    offer(prog, bytes(length), times)
    os.close(prog)


for egress in (None, "segment"):
    @test("native XDP through the same target, "
          f"{'with' if egress else 'without'} a program: frames that are too long are lost")
    def _(egress=egress):
        with lab("rm_array") as one:
            one.point("to1", egress=egress)
            first(one)
            for length, times in ((1518, 40), (1519, 40), (60, 3), (2000, 1)):
                natively("to_rm_array", length, times)
            equal([len(frame) for frame in frames_of(one.to[0], 43)], [1518] * 40 + [60] * 3)
            equal(stats_of("to1")["drops"], {"too_large": 41})
            # Both in each batch, in each order
            for number, times in enumerate((1, 2, 3, 4, 16, 17, 18, 33, 100)):
                before = stats_of("to1")
                natively("mixed_rm_array", 1519, times)
                now = stats_of("to1")
                arrived = now["packets"] - before["packets"]
                lost = now["drops"]["too_large"] - before["drops"]["too_large"]
                equal(arrived + lost, times)
                assert times // 3 <= lost <= -(-times // 3), (number, lost)
                equal({len(frame) for frame in frames_of(one.to[0], arrived)},
                      {1500} if arrived else set())
            nothing_left(*one.to)


@test("long frames, others, and a full ring in one flush: each is counted, and freed, once")
def _():
    with lab("rm_array") as one:
        # With a program, a frame is kept back between the calls of a poll.
        one.point("to1", egress="segment")
        first(one)
        sh("ip link set to1 txqueuelen 20")
        sent = 0
        for times in range(1, 120):
            natively("mixed_rm_array", 1519, times)
            sent += times
            stats = stats_of("to1")
            equal(stats["packets"] - 1 + sum(stats["drops"].values()), sent)
            while times % 7 == 0 and select.select([one.to[0]], [], [], 0)[0]:
                os.read(one.to[0], 1 << 16)
        equal(sorted(stats_of("to1")["drops"]), ["ring_full", "too_large"])


for egress, driver in ((None, ("3", "3", "0")), ("segment", ("4", "1", "0"))):
    @test("the last frames of a poll are too long: others do not wait in the driver, "
          f"{'with' if egress else 'without'} a program")
    def _(egress=egress, driver=driver):
        with lab("rm_array") as one:
            add_faulty("f0")
            one.point("f0", egress=egress)
            one.send(Packet(100))
            assert becomes(lambda: stats_of("f0")["packets"] == 1), counts("f0")
            for name in ("calls", "flushes", "waiting"):
                knob("f0", name, 0)
            # One poll: three batches, and one without a frame for the driver
            natively("late_rm_array", LIMIT + 1, 64)
            equal((counts("f0")[0], counts("f0")[2]), (1 + 48, {"too_large": 16}))
            # With a program a frame is kept back for the call with the flag.
            equal(tuple(knob("f0", name) for name in ("calls", "flushes", "waiting")), driver)
            sh("ip link del f0")


@test("native broadcasts: a member that takes unsegmented packets loses long frames")
def _():
    with lab("rm_array") as one:
        first(one)
        one.point("to2", 2)
        sh("ip link set to2 mtu 9000")
        natively("all_rm_array", 1519, 20)
        natively("all_rm_array", 1000, 20)
        equal([len(frame) for frame in frames_of(one.to[1], 40)], [1519] * 20 + [1000] * 20)
        equal([len(frame) for frame in frames_of(one.to[0], 20)], [1000] * 20)
        equal((stats_of("to1")["drops"], stats_of("to2")["drops"]), ({"too_large": 20}, {}))
        nothing_left(*one.to)


for kind in ("st_array", "rm_array"):
    for egress, becomes_long in (("grow", LIMIT + 4), ("shrink", 1000)):
        @test(f"{kind}: an egress program ({egress}) changes the length of frames, before and "
              "after a packet whose checksum is left to the device")
        def _(kind=kind, egress=egress, becomes_long=becomes_long):
            with lab(kind) as one, Refused() as refused:
                one.point("to1", egress=egress)
                sent, lost = 0, 0
                for raised in (False, True):
                    if raised:
                        one.send(Packet(100))
                        equal(len(frames_of(one.to[0], 1)), 1)
                        sent += 1
                    # More and fewer than a batch has
                    for times in (1, 15, 16, 17, 40):
                        before = refused.count()
                        natively(f"to_{kind}", LIMIT, times)
                        equal([len(frame) for frame in frames_of(one.to[0], times)],
                              [becomes_long] * times)
                        natively(f"to_{kind}", LIMIT + 1, times)
                        nothing_left(*one.to)
                        # The kernel tests the length, or the port does.
                        equal(refused.count() - before,
                              0 if raised and kind == "rm_array" else times)
                        sent += times
                        lost += times
                if kind == "rm_array":
                    equal((counts("to1")[0], counts("to1")[2]), (sent, {"too_large": lost}))


run_all()
