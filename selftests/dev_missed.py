#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Frames without a target: lookups without an entry, by the action that the
program got, and redirects without a target, per network namespace. Each is
counted as one of these only."""
import os
import sys

from testlib import (OUTPUT, add_veth, becomes, delete, equal, ifindex, in_a_net, map_id,
                     open_pinned, run, sh, test, update)

in_a_net()

import loadlib  # noqa: E402
from loadlib import map_stats as stats, state  # noqa: E402
from redirmap_netlink import Family  # noqa: E402

PIN = "/sys/fs/bpf/redirmap-missed"
FRAMES = 100
ACTIONS = ("aborted", "drop", "pass", "tx")


def through(name, times=FRAMES):
    loadlib.through(f"{PIN}/p/{name}", times)


sh(f"rm -rf {PIN}; mkdir -p {PIN}; "
   f"bpftool prog loadall {OUTPUT}/missed.bpf.o {PIN}/p pinmaps {PIN}/m")
add_veth("out", "outp")
sh("ethtool -K outp gro on")
maps = {kind: open_pinned(f"{PIN}/m/rm_{kind}") for kind in ("array", "hash")}

for kind, fd in maps.items():
    @test(f"{kind}: lookups by their actions, and no frame is lost by them")
    def _(kind=kind, number=map_id(fd)):
        for count, action in enumerate(ACTIONS, 1):
            through(f"{action}_{kind}", count)
        equal(stats(number)["missed"], {"aborted": 1, "drop": 2, "pass": 3, "tx": 4})
        equal(stats(number)["drops"], {})

    @test(f"{kind}: unknown flags cause no lookup")
    def _(kind=kind, number=map_id(fd)):
        before = stats(number)["missed"]
        through(f"unknown_{kind}")
        equal((stats(number)["missed"], stats(number)["drops"]), (before, {}))

    @test(f"{kind}: a broadcast without members is lost, before the first entry and later")
    def _(kind=kind, fd=fd):
        before = stats(map_id(fd))
        through(f"nobody_{kind}")
        equal(stats(map_id(fd))["drops"], {"no_member": FRAMES})
        update(fd, 1, ifindex("out"))
        delete(fd, 1)
        through(f"nobody_{kind}")
        equal(stats(map_id(fd))["drops"], {"no_member": 2 * FRAMES})
        equal(stats(map_id(fd))["missed"], before["missed"])
        update(fd, 1, ifindex("out"))


@test("a program that returns another action than the one in its flags")
def _():
    before = stats(map_id(maps["array"]))
    through("tests_array")
    after = stats(map_id(maps["array"]))
    equal(after["missed"]["aborted"] - before["missed"]["aborted"], FRAMES)
    equal(after["drops"], before["drops"])


@test("two maps in turn: one frame sent, one missed, none lost")
def _():
    with Family() as family:
        target, = family.targets()
    delete(maps["hash"], 1)
    missed = stats(map_id(maps["hash"]))["missed"]["aborted"]
    through("in_turn")

    def sent():
        with Family() as family:
            return family.targets(target["id"])[0]["stats"]["packets"]

    assert becomes(lambda: sent() - target["stats"]["packets"] == FRAMES), sent()
    equal(stats(map_id(maps["hash"]))["missed"]["aborted"] - missed, FRAMES)


@test("redirects without a target: counted once per namespace")
def _():
    equal(state()["lost"]["drops"], {})
    through("no_helper", 5)
    equal(state()["lost"]["drops"], {"no_target": 5})
    through("no_device", 7)
    equal(state()["lost"]["drops"], {"no_target": 12})
    through("aborted_stock")
    through("aborted_array")
    equal(state()["lost"]["drops"], {"no_target": 12})


@test("the misses of a removed map are kept")
def _():
    missed = {}
    for fd in maps.values():
        for action, count in stats(map_id(fd))["missed"].items():
            missed[action] = missed.get(action, 0) + count
        os.close(fd)
    sh(f"rm -rf {PIN}")
    becomes(lambda: state()["gone"]["missed"] == missed)
    equal(state()["gone"]["missed"], missed)


try:
    run()
finally:
    sh(f"rm -rf {PIN}; ip link del out 2>/dev/null || true")
    sys.stdout.flush()
