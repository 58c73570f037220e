#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Frames that leave as packets, as netlink and the command redirmap report them: of
the sent frames those that took this way, whether a map's frames may, what to do about
it, and the parameters."""
import os
from pathlib import Path

import testlib
from commandlib import columns, forward, make_switch, said, target, told
from testlib import DEVMAP, becomes, equal, ifindex, make_map, map_id, run, sh, test, update

PIN = "/sys/fs/bpf/redirmap-packets"
PARAMETERS = Path("/sys/module/redirmap/parameters")
switch = make_switch(PIN)


def gone():
    """Frames that left as packets, of targets that are gone."""
    return told("state")["gone"]["as_packets"]


def slow():
    """The sentences about frames that left as packets."""
    return [line for line in said("drops").splitlines() if "as packets" in line]


@test("frames that the driver takes are no packets")
def _():
    forward(1, times=20)
    equal(target("out1")["stats"]["as_packets"], 0)
    equal((target("out1")["packets"], slow()), ("fallback", []))
    equal({row["DEVICE"]: row["AS-PACKETS"] for row in columns(said(), "TARGET")}["out1"], "0")


@test("a veth without a program behind it: the counter, the hint and its cure")
def _():
    forward(3, times=5)
    stats = target("out3")["stats"]
    equal((stats["packets"], stats["bytes"], stats["as_packets"], stats["drops"]),
          (5, 500, 5, {}))
    equal({row["DEVICE"]: row["AS-PACKETS"] for row in columns(said(), "TARGET")}["out3"], "5")
    equal(slow(), ["out3 sent 5 of 5 frames as packets. The device takes packets, not XDP "
                   "frames, which is slower. Its peer peer3 needs an XDP program or GRO: ethtool "
                   "-K peer3 gro on."])
    one, = told("drops")["as_packets"]
    equal((one["target"], one["packets"], one["sent"]), (target("out3")["id"], 5, 5))

    # The cure works, and the counter stays.
    sh("ethtool -K peer3 gro on")
    forward(3, times=4)
    stats = target("out3")["stats"]
    equal((stats["packets"], stats["as_packets"]), (9, 5))
    sh("ethtool -K peer3 gro off")


@test("a device that takes nothing but packets has no cure")
def _():
    before, former = gone(), target("out3")["stats"]["as_packets"]
    sh("ip link add du type dummy; ip link set du up")
    update(switch, 3, ifindex("du"))
    testlib.send("in1", testlib.frame_to(3, 100), 3)
    assert becomes(lambda: target("du")["stats"]["as_packets"] == 3), target("du")
    assert ("du sent 3 of 3 frames as packets. The device takes packets, not XDP frames, which "
            "is slower.") in slow(), slow()
    update(switch, 3, ifindex("out3"))
    sh("ip link del du")
    # The former target of out3 and that of du are gone after grace periods.
    assert becomes(lambda: gone() == before + former + 3), told("state")


@test("sums over removed targets have it as well")
def _():
    sh("ip link add du type dummy; ip link set du up")
    before, former = gone(), target("out3")["stats"]["as_packets"]
    update(switch, 3, ifindex("du"))
    testlib.send("in1", testlib.frame_to(3, 100), 6)
    assert becomes(lambda: target("du")["stats"]["as_packets"] == 6), target("du")
    sh("ip link del du")
    assert becomes(lambda: gone() == before + former + 6), told("state")
    update(switch, 3, ifindex("out3"))


@test("a map's policy is decided when the map is made, and each has its own target")
def _():
    try:
        (PARAMETERS / "qdisc").write_text("rm_al*\n")
        always = make_map("rm_always", DEVMAP)
        (PARAMETERS / "packets").write_text("rm_other\n")
        never = make_map("rm_never", DEVMAP)
        state = told("state")
        equal((state["packets"], state["qdisc"]), ("rm_other", "rm_al*"))
        text = said("state")
        assert "\nFrames may leave as packets: maps named rm_other.\n" in text, text
        assert "\nFrames always leave as packets: maps named rm_al*.\n" in text, text
    finally:
        (PARAMETERS / "packets").write_text("*\n")
        (PARAMETERS / "qdisc").write_text("\n")
    for fd in (always, never):
        update(fd, 0, ifindex("out1"))
    maps = {one["id"]: one["packets"] for one in told()["maps"]}
    equal((maps[map_id(always)], maps[map_id(never)]), ("always", "never"))
    equal(sorted(one["packets"] for one in told()["targets"] if one["ifname"] == "out1"),
          ["always", "fallback", "never"])
    os.close(always)
    os.close(never)
    assert becomes(lambda: sum(one["ifname"] == "out1" for one in told()["targets"]) == 1)


try:
    run()
finally:
    os.close(switch)
    sh(f"rm -rf {PIN}")
