#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Netlink dumps of several messages, while maps and targets are added and
removed: each permanent one is reported once."""
import os
import subprocess
import sys
import tempfile
import threading

import testlib
from testlib import (SPEC, becomes, equal, ifindex, longer, make_map, map_id, need_module,
                     need_modules, refcnt, run, sh, test, update)

need_module()
need_modules("yaml", "jsonschema")

from redirmap_netlink import MAP_GET, NLM_F_DUMP_INTR, TARGET_GET, Family  # noqa: E402
from nllib import answer  # noqa: E402

sys.path.insert(0, str(testlib.kernel_source() / "tools/net/ynl"))
from lib import YnlFamily  # noqa: E402

DEVICES = [f"rmdum{number}" for number in range(300)]
# With the smallest buffer, a message is passed on when it has 4000 bytes.
families = [YnlFamily(str(SPEC), "", recv_size=size) for size in (4000, 0)]


def devices(what, more=""):
    with tempfile.NamedTemporaryFile("w") as file:
        file.writelines(f"link {what} {name} {more}\n" for name in DEVICES)
        file.flush()
        subprocess.run(["ip", "-force", "-batch", file.name], check=False)


@test("500 maps")
def _():
    fds = [make_map(f"rm_{number}") for number in range(500)]
    want = [map_id(fd) for fd in fds]
    for family in families:
        equal([one["id"] for one in family.dump("map-get", {})], want)
    for fd in fds:
        os.close(fd)


@test("300 targets")
def _():
    devices("add", "type dummy")
    fd = make_map(entries=300)
    for key, name in enumerate(DEVICES):
        update(fd, key, ifindex(name))
    for family in families:
        told = [one["ifname"] for one in family.dump("target-get", {})]
        equal(sorted(told), sorted(DEVICES))
    equal(families[0].do("map-get", {"id": map_id(fd)})["members"], 300)
    os.close(fd)


def seen_once(command, name, want, come_and_go):
    """Dumps during changes report each permanent object once."""
    least = longer(5, 20)
    rounds, dumps = 0, 0
    stop = threading.Event()

    def loop():
        nonlocal rounds
        while not stop.is_set():
            come_and_go()
            rounds += 1

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        while dumps < least or (rounds < least and thread.is_alive()):
            for family in families:
                told = [one[name] for one in family.dump(command, {})]
                equal(sorted(one for one in told if one in want), sorted(want))
            dumps += 1
    finally:
        stop.set()
        thread.join()
    assert rounds >= least, rounds


@test("maps are added and removed")
def _():
    # Permanent maps lie between maps that are removed.
    fds, between = [], []
    for _ in range(100):
        between.append(make_map("rm_goes"))
        fds.append(make_map("rm_stays"))

    def come_and_go():
        # The oldest ones first, so that the positions of all others change.
        for fd in between[:10] + [make_map("rm_goes") for _ in range(20)]:
            os.close(fd)
        del between[:10]

    seen_once("map-get", "id", {map_id(fd) for fd in fds}, come_and_go)
    for fd in fds:
        os.close(fd)


@test("targets are added and removed")
def _():
    staying, going = DEVICES[::2], DEVICES[1::2]
    fds = [make_map(entries=300), make_map(entries=300)]
    for key, name in enumerate(staying):
        update(fds[0], key, ifindex(name))

    def come_and_go():
        for key, name in enumerate(going):
            update(fds[1], key, ifindex(name))
        os.close(fds[1])
        fds[1] = make_map(entries=300)

    seen_once("target-get", "ifname", set(staying), come_and_go)
    for fd in fds:
        os.close(fd)


@test("devices are added and removed")
def _():
    fd = make_map(entries=300)
    for key, name in enumerate(DEVICES[:200]):
        update(fd, key, ifindex(name))
    command = "; ".join(f"ip link del {name}; ip link add {name} type dummy"
                        for name in DEVICES[200:205])

    def come_and_go():
        for key, name in enumerate(DEVICES[200:]):
            update(fd, 200 + key, ifindex(name))
        sh(command)

    seen_once("target-get", "ifname", set(DEVICES[:200]), come_and_go)
    os.close(fd)


def flags_of_dump(command, between):
    """NLM_F_DUMP_INTR, or 0; between() runs after the first messages."""
    flags, parts = 0, 0
    for part in answer(command, size=8192):
        for _, flag, _ in part:
            flags |= flag
        parts += 1
        if parts == 1:
            between()
    # The second part was ready when the first one was taken.
    assert parts >= 4, parts
    return flags & NLM_F_DUMP_INTR


def nothing_is_left():
    """Objects that earlier tests have closed are removed a moment later."""
    assert becomes(lambda: not refcnt())
    assert becomes(lambda: not families[1].dump("target-get", {}))


@test("a dump of maps reports that one was added, or removed, meanwhile")
def _():
    nothing_is_left()
    fds = [make_map(f"rm_{number}") for number in range(500)]
    equal(flags_of_dump(MAP_GET, lambda: None), 0)
    equal(flags_of_dump(MAP_GET, lambda: fds.append(make_map("rm_new"))), NLM_F_DUMP_INTR)
    equal(flags_of_dump(MAP_GET, lambda: None), 0)

    def close_last():
        before = refcnt()
        os.close(fds.pop())
        assert becomes(lambda: refcnt() < before)

    equal(flags_of_dump(MAP_GET, close_last), NLM_F_DUMP_INTR)
    # Changes of entries do not matter.
    equal(flags_of_dump(MAP_GET, lambda: update(fds[0], 0, 1)), 0)
    for fd in fds:
        os.close(fd)


@test("a dump of targets reports that one was added, or removed, meanwhile")
def _():
    nothing_is_left()
    fd = make_map(entries=300)
    for key, name in enumerate(DEVICES[:299]):
        update(fd, key, ifindex(name))
    equal(flags_of_dump(TARGET_GET, lambda: None), 0)
    equal(flags_of_dump(TARGET_GET, lambda: update(fd, 299, ifindex(DEVICES[299]))),
          NLM_F_DUMP_INTR)
    equal(flags_of_dump(TARGET_GET, lambda: None), 0)
    equal(flags_of_dump(TARGET_GET, lambda: sh(f"ip link del {DEVICES[299]}")), NLM_F_DUMP_INTR)
    sh(f"ip link add {DEVICES[299]} type dummy")
    os.close(fd)


@test("the command repeats a dump during which objects were added or removed")
def _():
    fds = [make_map(f"rm_{number}") for number in range(500)]
    want = {map_id(fd) for fd in fds}
    stop = threading.Event()

    def come_and_go():
        while not stop.is_set():
            os.close(make_map("rm_goes"))

    thread = threading.Thread(target=come_and_go)
    thread.start()
    try:
        with Family() as family:
            for _ in range(100):
                if family.interrupted:
                    break
                told = [one["id"] for one in family.maps()]
                equal(sorted(one for one in told if one in want), sorted(want))
            assert family.interrupted
    finally:
        stop.set()
        thread.join()
    for fd in fds:
        os.close(fd)


@test("a dump without a reader prevents rmmod, until its socket is closed")
def _():
    fds = [make_map(f"rm_{number}") for number in range(500)]
    family = Family()
    family.request(MAP_GET, dump=True)
    for fd in fds:
        os.close(fd)
    assert becomes(lambda: refcnt() == 1), refcnt()
    assert subprocess.run(["rmmod", "redirmap"], capture_output=True, check=False).returncode
    family.close()
    testlib.unload()
    testlib.load()


try:
    run()
finally:
    devices("del")
