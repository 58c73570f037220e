#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""A second family of maps, which the kernel allocates: cpumaps, in a build of the
module that has it besides (src/test/second.c). They are claimed by name, listed,
counted, and freed; device maps are there as before."""
import json
import os

from testlib import (CLAIM, KO, OUTPUT, becomes, equal, fdinfo, in_a_net, make_map, map_id,
                     open_pinned, redirmap, refcnt, run, sh, test, unload)

CPUMAP = 16
RELEASE = os.uname().release
SECOND = f"{OUTPUT}/../{RELEASE}-selftests/second/redirmap.ko"
PIN = "/sys/fs/bpf/redirmap-second"

in_a_net()

import redirmap_main as command  # noqa: E402

unload()
sh(f"insmod {SECOND} claim='{CLAIM}'; rm -rf {PIN}; mkdir -p {PIN}")


def maps():
    status, out, err = redirmap(command, "--json")
    equal((status, err), (0, ""))
    return json.loads(out)["maps"]


def listed(number):
    return next((one for one in maps() if one["id"] == number), None)


@test("a cpumap is claimed by its name, listed, and its misses are counted")
def counted():
    sh(f"bpftool prog loadall {OUTPUT}/second_family.bpf.o {PIN}/p pinmaps {PIN}/m; "
       f"dd if=/dev/zero of=/tmp/second bs=64 count=1 status=none")
    claimed, stock = open_pinned(f"{PIN}/m/rm_cpu"), open_pinned(f"{PIN}/m/st_cpu")
    try:
        equal(listed(map_id(stock)), None)
        one = listed(map_id(claimed))
        equal((one["name"], one["capacity"]), ("rm_cpu", 4))
        # With the record: the map's 32 bytes, and counters of each CPU behind them.
        assert one["memory"] > 32 + 64 * os.cpu_count(), one["memory"]
        if not RELEASE.startswith("6.1."):
            equal(one["memory"], int(fdinfo(claimed, "memlock")))
        equal(one["stats"]["missed"], {})
        for program in ("claimed", "stock"):
            sh(f"bpftool prog run pinned {PIN}/p/{program} data_in /tmp/second repeat 5 "
               "> /dev/null")
        equal(listed(map_id(claimed))["stats"]["missed"], {"pass": 5})
        # As text, too.
        status, out, err = redirmap(command)
        equal((status, err, "rm_cpu" in out, "st_cpu" in out), (0, "", True, False))
    finally:
        os.close(claimed)
        os.close(stock)
        sh(f"rm -rf {PIN}")


@test("what a cpumap has counted is kept when it is freed")
def kept():
    equal(becomes(lambda: maps() == []), True)
    status, out, err = redirmap(command, "--json", "state")
    equal((status, err), (0, ""))
    equal(json.loads(out)["gone"]["missed"], {"pass": 5})


@test("more cpumaps than there are records at hand, and device maps beside them")
def many():
    fds = []
    try:
        for i in range(100):
            fds.append(make_map(f"rm_{i}", CPUMAP))
        fds.append(make_map("rm_dev"))
        names = {one["name"] for one in maps()}
        # One by one there is time to get more.
        equal(names, {f"rm_{i}" for i in range(100)} | {"rm_dev"})
        equal(refcnt(), 101)
    finally:
        for fd in fds:
            os.close(fd)
    equal(becomes(lambda: refcnt() == 0), True)


@test("the module goes when they have gone, and comes again without them")
def unloaded():
    unload()
    sh(f"insmod {KO} claim='{CLAIM}'")
    fd = make_map("rm_cpu", CPUMAP)
    equal((refcnt(), maps()), (0, []))
    os.close(fd)


run()
