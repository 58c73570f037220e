#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The sums over existing and removed objects never decrease, and count nothing
twice, while maps and targets with counters are removed."""
import atexit
import os
import sys
import threading

from testlib import (OUTPUT, becomes, delete, equal, held, ifindex, in_a_net, open_pinned, refcnt,
                     run, sh, test, update)

in_a_net()

from loadlib import all_stats, offer  # noqa: E402
from redirmap_netlink import Family  # noqa: E402

PIN = "/sys/fs/bpf/redirmap-sums"
DEVICES = [f"d{number}" for number in range(8)]
# How often the sums are read after each event, and the number of events.
READS, ROUNDS = 20, 20


def load(name):
    sh(f"mkdir -p {PIN}; bpftool prog loadall {OUTPUT}/{name}.bpf.o {PIN}/{name} "
       f"pinmaps {PIN}/{name}")


def through(name):
    prog = open_pinned(f"{PIN}/{name}")
    try:
        offer(prog, bytes(64), 1)
    finally:
        os.close(prog)


def state():
    with Family() as family:
        return family.state()


def sums():
    total = {}
    for one in all_stats():
        for kind in ("drops", "missed"):
            for name, number in one[kind].items():
                total[name] = total.get(name, 0) + number
    return total


def stays(before):
    for _ in range(READS):
        equal(sums(), before)


def make_devices():
    sh("".join(f"ip link add {name} type dummy; ip link set {name} up; " for name in DEVICES))


@atexit.register
def clean():
    sys.stdout.flush()
    sh(f"rm -rf {PIN}; rmmod holdup 2>/dev/null; "
       f"for n in {' '.join(DEVICES)} du; do ip link del $n 2>/dev/null; done; true")


load("tools")
tools = open_pinned(f"{PIN}/tools/rm_array")
TOOLS = refcnt()


def lose_at_all():
    """One frame at each device, by targets that are made for it."""
    for key, name in enumerate(DEVICES):
        update(tools, key, ifindex(name), -1)
    through("tools/all_rm_array")


@test("a map that is closed, but not freed yet")
def _():
    load("missed")
    through("missed/nobody_array")
    through("missed/aborted_array")
    before, maps = sums(), refcnt()
    equal((before["no_member"], before["aborted"]), (1, 1))
    with held("rmap_record_close") as is_held:
        sh(f"rm -r {PIN}/missed")
        assert is_held()
        stays(before)
    assert becomes(lambda: refcnt() < maps)
    stays(before)


# While the map is closed, but has not been unlisted; and right after that.
for function in "rmap_record_close", "rmap_bulkq_reserve_exit":
    @test(f"a single map that is closed, but not freed yet: {function}()")
    def _(function=function):
        assert becomes(lambda: refcnt() == TOOLS)
        load("missed")
        through("missed/nobody_array")
        # Only this program is left, which keeps its map.
        sh(f"cd {PIN}/missed; for name in *; do [ $name = nobody_array ] || rm $name; done")
        assert becomes(lambda: refcnt() == TOOLS + 1)
        before, count = sums(), state()["gone_count"]
        with held(function) as is_held:
            sh(f"rm -r {PIN}/missed")
            assert is_held()
            equal(state()["gone_count"], count + 1)
            stays(before)
        assert becomes(lambda: refcnt() == TOOLS)
        stays(before)


@test("a target whose device was deleted, and that is not freed yet")
def _():
    sh("ip link add du type dummy; ip link set du up")
    index = ifindex("du")
    update(tools, 1, index, -1)
    through("tools/to_rm_array")
    before, count = sums(), state()["gone_count"]
    equal(before["no_xmit"], 1)
    with held("target_free_work") as is_held:
        sh("ip link del du")
        assert is_held()
        stays(before)
        now = state()
        equal(now["gone_count"], count + 1)
        equal([(one["ifname"], one["ifindex"], one["stats"]["drops"])
               for one in now["gone_devices"]], [("du", index, {"no_xmit": 1})])
    stays(before)
    equal(state()["gone_count"], count + 1)


@test("a target that is made twice at once counts once")
def _():
    sh("ip link add du type dummy; ip link set du up")
    index, count = ifindex("du"), state()["gone_count"]
    with held("rmap_target_table_get_id", "spin=1") as is_held:
        # The caller has found no target, makes one, and is overtaken.
        slow = threading.Thread(target=update, args=(tools, 1, index, -1))
        slow.start()
        assert is_held()
        update(tools, 2, index, -1)
    slow.join()
    equal(state()["gone_count"], count)
    sh("ip link del du")
    equal(state()["gone_count"], count + 1)


@test("targets that are freed when no map has them: by device, each is counted once")
def _():
    def by_device():
        """The number of removed targets; their frames, all and by device."""
        now = state()
        lost = [one["stats"]["drops"]["no_xmit"] for one in now["gone_devices"]
                if one["ifname"] in DEVICES]
        names = [one["ifname"] for one in now["gone_devices"]]
        equal(len(names), len(set(names)))
        return now["gone"]["drops"]["no_xmit"], sum(lost)

    make_devices()
    before, others = sums()["no_xmit"], None
    for number in range(1, ROUNDS + 1):
        lose_at_all()
        before += len(DEVICES)
        for key in range(len(DEVICES)):
            delete(tools, key)
        # After all have been removed once, each has a record.
        gone = 0
        while gone < before:
            gone, of_these = by_device()
            if others is not None:
                equal(gone - of_these, others)
        others = gone - len(DEVICES) * number
        equal(sums()["no_xmit"], before)


@test("targets whose devices are deleted")
def _():
    for _ in range(ROUNDS // 5):
        lose_at_all()
        before = sums()
        for name in DEVICES:
            sh(f"ip link del {name}")
            stays(before)
        make_devices()


@test("maps that are closed")
def _():
    for _ in range(ROUNDS // 5):
        load("missed")
        for kind in ("array", "hash"):
            for what in ("nobody", "aborted", "pass"):
                through(f"missed/{what}_{kind}")
        before = sums()
        sh(f"rm -r {PIN}/missed")
        stays(before)


run()
