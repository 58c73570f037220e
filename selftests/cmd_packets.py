#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Frames that leave as packets, as netlink and the command redirmap report
them: the number of frames that left as packets, whether a map permits that, the
advice of the command, and the parameters."""
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


def lost(device):
    """The sentence about the frames that a device has lost."""
    line, = [line for line in said("drops").splitlines() if line.startswith(f"{device} lost ")]
    return line


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
    # The former target of out3 is gone after a grace period; until then an
    # entry for out3 would get it again.
    assert becomes(lambda: gone() == before + former), told("state")
    update(switch, 3, ifindex("out3"))
    sh("ip link del du")
    assert becomes(lambda: gone() == before + former + 3), told("state")


@test("lo takes packets only from maps that the parameter qdisc selects, and the advice says so")
def _():
    sh("ip link set lo up")
    update(switch, 3, ifindex("lo"))
    testlib.send("in1", testlib.frame_to(3, 100), 3)
    assert becomes(lambda: target("lo")["stats"]["drops"] == {"no_xmit": 3}), target("lo")
    parameter = PARAMETERS / "qdisc"
    equal(lost("lo"), "lo lost 3 of 3 frames. A packet to lo counts as one of this machine. So "
                      "frames leave by lo only if the module's parameter qdisc has selected the "
                      f"map when it was made: add its name to the list in {parameter}, and make "
                      "the map again. Select only maps whose frames you trust.")
    update(switch, 3, ifindex("out3"))

    # A map of that name may.
    parameter.write_text("rm_again\n")
    again = make_map("rm_again", DEVMAP)
    parameter.write_text("\n")
    update(again, 0, ifindex("lo"))
    assert becomes(lambda: target("lo")["packets"] == "always"), told()["targets"]
    os.close(again)


@test("a device without a MAC header takes only IPv4 and IPv6, and the advice says so")
def _():
    sh("modprobe tun 2>/dev/null; ip tuntap add tu mode tun; ip link set tu up")
    update(switch, 3, ifindex("tu"))
    arp = testlib.frame_to(3, 60)[:12] + b"\x08\x06" + bytes(24) + bytes([10, 9, 0, 3]) + bytes(18)
    testlib.send("in1", arp, 4)
    assert becomes(lambda: target("tu")["stats"]["drops"] == {"no_xmit": 4}), target("tu")
    equal(lost("tu"),
          "tu lost 4 of 4 frames. The device tu has no MAC header, and takes only IPv4 and IPv6. "
          "The frames were of another protocol, such as ARP: let the program answer or drop them.")
    update(switch, 3, ifindex("out3"))
    sh("ip link del tu")


@test("sums over removed targets have it as well")
def _():
    sh("ip link add du type dummy; ip link set du up")
    before, former = gone(), target("out3")["stats"]["as_packets"]
    update(switch, 3, ifindex("du"))
    testlib.send("in1", testlib.frame_to(3, 100), 6)
    assert becomes(lambda: target("du")["stats"]["as_packets"] == 6), target("du")
    sh("ip link del du")
    assert becomes(lambda: gone() == before + former + 6), told("state")
    assert f" bytes; {gone()} as packets), missed " in said(), said()
    equal(told()["gone"]["as_packets"], gone())
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
