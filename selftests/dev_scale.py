#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Huge maps, many maps, many devices: they are refused like stock ones, or all
of them work and are reported, and claimed ones leave no memory in use.

10000 maps and 4096 devices; fewer on slow kernels (REDIRMAP_SLOW)."""
import contextlib
import ctypes
import os
import resource
import socket
import struct
import subprocess
import sys
import time
from errno import EINVAL, ENOENT, ENOMEM
from pathlib import Path

import testlib
from placelib import CLONE_NEWNET, ip, libc
from testlib import (DEVMAP, DEVMAP_HASH, OUTPUT, becomes, checked, equal, ifindex, in_a_net,
                     libbpf, make_map, no_ipv6, refcnt, run, sh, test, update)

in_a_net()

from nllib import attributes, number_of, told  # noqa: E402
from redirmap_netlink import MAP_GET, TARGET_GET, map_msg, stats, target_msg  # noqa: E402

SLOW = int(os.environ.get("REDIRMAP_SLOW", "1"))
MAPS = 10000 // SLOW
DEVICES = 4096 // SLOW
FRAMES = 3
# The share of a round's memory that may stay in use, and the number of rounds
# that may keep more: caches of the kernel keep memory, and so does a leak.
TOLERANCE = 0.02
ROUNDS = 8

# These kernels report leaks themselves, and keep freed memory for a while.
KMEMLEAK = os.path.exists("/sys/kernel/debug/kmemleak")

PIN = "/sys/fs/bpf/redirmap-limits"
OTHER = "rmlimits"
KINDS = (DEVMAP, DEVMAP_HASH)

own_net = open("/proc/self/ns/net", encoding="ascii")


class Clock:
    """Print the time of each step. There is no limit."""

    def __init__(self):
        self.at = time.monotonic()

    def __call__(self, what):
        now = time.monotonic()
        print(f"# {what}: {now - self.at:.1f} s", flush=True)
        self.at = now


def kernel_memory():
    """The kernel's memory: slabs, per-CPU and vmalloc areas, without the stacks
    of threads; in KiB."""
    lines = dict(line.split(":") for line in Path("/proc/meminfo").read_text().splitlines())
    slab, percpu, vmalloc, stacks = (int(lines[name].split()[0]) for name in (
        "SUnreclaim", "Percpu", "VmallocUsed", "KernelStack"))
    return slab + percpu + vmalloc - stacks


def settled():
    """The same, after it has not decreased for a while: work items free
    memory."""
    least, seen = kernel_memory(), 0
    while seen < 100:
        now = kernel_memory()
        seen = 0 if now < least else seen + 1
        least = min(least, now)
        time.sleep(0.01)
    return least


def leaves_nothing(one_round):
    """After equal rounds, as much memory is in use as before the last of them.

    The first rounds may keep some for the others: for example, hundreds of
    kernel threads wait for the end of grace periods, with maps to free. A leak
    loses memory in each round. A round returns the memory in use at its
    peak."""
    if KMEMLEAK:
        one_round()
        return
    one_round()
    before = settled()
    for number in range(1, ROUNDS + 1):
        taken = one_round() - before
        now = [kernel_memory()]
        back = becomes(lambda: now.append(kernel_memory()) or
                       now[-1] - before <= taken * TOLERANCE, 500)
        print(f"# round {number}: {taken} KiB taken, {now[-1] - before} kept", flush=True)
        if back:
            return
        before = min(now)
    raise AssertionError("each round kept some")


def lookup(fd, key):
    """The ifindex, or None without such a device."""
    value = ctypes.create_string_buffer(8)
    err = libbpf.bpf_map_lookup_elem(fd, struct.pack("I", key), value)
    if err == -ENOENT:
        return None
    checked(err)
    return struct.unpack_from("I", value)[0]


@contextlib.contextmanager
def closing(fds):
    """Close descriptors at the end, and wait until their maps are freed."""
    try:
        yield fds
    finally:
        for fd in fds:
            os.close(fd)
    assert becomes(lambda: not refcnt(), 60000), refcnt()


# --- huge maps --------------------------------------------------------------


def creation(*args):
    """The errno, or 0."""
    try:
        os.close(make_map(*args))
    except OSError as error:
        return error.errno
    return 0


@test("maps of up to 2^32 - 1 entries: as the kernel's own, nothing is left of them")
def _():
    before = kernel_memory()
    for kind in KINDS:
        for entries in (0, 1, (1 << 31) - 1, 1 << 31, (1 << 31) + 1, (1 << 32) - 1):
            for size in (4, 8):
                stock = creation("st_huge", kind, entries, size)
                claimed = creation("rm_huge", kind, entries, size)
                # Some machines have the 16 GiB and more that it takes.
                assert claimed == stock or {claimed, stock} == {0, ENOMEM}, \
                    (kind, entries, size, claimed, stock)
            # Intended: only claimed maps have such values.
            equal(creation("st_huge", kind, entries, 160), EINVAL)
            equal(creation("rm_huge", kind, entries, 160), claimed)
    assert becomes(lambda: not refcnt())
    assert KMEMLEAK or becomes(lambda: kernel_memory() < before + 4096), \
        (before, kernel_memory())


# --- many maps --------------------------------------------------------------


@contextlib.contextmanager
def descriptors(count):
    """Allow this number of descriptors."""
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 1000, max(count + 1000, old[1])))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, old)


def make_maps(fds, prefix, count, indexes):
    """Arrays and hashes in turn, each with an entry for each device."""
    for number in range(count):
        fds.append(make_map(f"{prefix}{number}", KINDS[number % 2], 4))
        for key, index in enumerate(indexes):
            update(fds[-1], key, index)


def round_of_maps(prefix):
    """Run all steps. Returns the memory that was in use."""
    claimed = prefix == "rm_"
    sh(f"ip link add {prefix}stays type dummy && ip link add {prefix}goes type dummy")
    indexes = [ifindex(f"{prefix}stays"), ifindex(f"{prefix}goes")]
    clock = Clock()
    with closing([]) as fds:
        make_maps(fds, prefix, MAPS, indexes)
        clock("made")
        peak = kernel_memory()
        equal(refcnt(), MAPS if claimed else 0)
        if claimed:
            names = ("NAME", "USED", "MEMBERS")
            equal(told(MAP_GET, map_msg, *names),
                  [[f"rm_{number}\0".encode(), struct.pack("I", 2), struct.pack("I", 2)]
                   for number in range(MAPS)])
            clock("reported")

        sh(f"ip link del {prefix}goes")
        clock("device deleted")
        for fd in fds:
            equal((lookup(fd, 0), lookup(fd, 1)), (indexes[0], None))
        clock("looked up")
    sh(f"ip link del {prefix}stays")
    clock("freed")
    return peak


@test(f"{MAPS} stock maps, a device of all of them deleted, all closed")
def _():
    with descriptors(MAPS):
        round_of_maps("st_")


@test(f"{MAPS} claimed maps, a device of all of them deleted, all closed, again and again")
def _():
    with descriptors(MAPS):
        leaves_nothing(lambda: round_of_maps("rm_"))


@contextlib.contextmanager
def alone_on_a_cpu():
    """No other work runs there, such as an earlier work item."""
    limit = Path("/proc/sys/kernel/sched_rt_runtime_us")
    cpus, old = os.sched_getaffinity(0), limit.read_text()
    limit.write_text("-1")
    os.sched_setaffinity(0, {max(cpus)})
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
        os.sched_setaffinity(0, cpus)
        limit.write_text(old)


@test("maps are filled faster than work items run: no update lacks memory")
def _():
    with descriptors(500), closing([]) as fds, alone_on_a_cpu():
        make_maps(fds, "rm_", 500, [ifindex("lo")])


# --- many devices -----------------------------------------------------------


def enter(net):
    checked(libc.setns(net.fileno(), CLONE_NEWNET))


def transmitted():
    """An entry for each of the devices."""
    lines = Path("/proc/net/dev").read_text().splitlines()
    words = [line.replace(":", " ").split() for line in lines[2:]]
    return {one[0]: int(one[10]) for one in words if one[0].startswith("many")}


def broadcast(name):
    """Frames, in generic XDP, which each of the devices transmits. Dummies
    transmit no other frames."""
    sh(f"bpftool net attach xdpgeneric pinned {PIN}/p/all_{name} dev in0")
    before = transmitted()
    testlib.send("in1", testlib.frame_to(1, 100), FRAMES)
    want = {device: count + FRAMES for device, count in before.items()}
    assert becomes(lambda: transmitted() == want), (name, transmitted())
    sh("bpftool net detach xdpgeneric dev in0")


def many_devices(maps):
    """Run in the other namespace."""
    clock = Clock()
    ip(*(f"link add many{number} up type dummy" for number in range(DEVICES)))
    clock("devices made")
    indexes = [index for index, name in socket.if_nameindex() if name.startswith("many")]
    equal(len(indexes), DEVICES)
    for fd in maps.values():
        for key, index in enumerate(indexes):
            update(fd, key, index, -1)
    clock("entries made")
    peak = kernel_memory()
    names = [name.encode() + b"\0" for _, name in socket.if_nameindex() if name.startswith("many")]
    equal(sorted(one for one, in told(TARGET_GET, target_msg, "IFNAME")), sorted(names))
    equal({one for one, in told(TARGET_GET, target_msg, "REFS")}, {struct.pack("I", 2)})
    clock("reported")

    testlib.add_veth("in0", "in1")
    for name in maps:
        broadcast(name)
    clock("broadcasts")
    # The devices have transmitted all frames that the targets of claimed maps
    # have counted as sent.
    # targets'.
    packets = [attributes(one) for one, in told(TARGET_GET, target_msg, "STATS")]
    equal({one[number_of(stats, "PACKETS")] for one in packets}, {struct.pack("Q", 2 * FRAMES)})

    key_of_it = indexes.index(ifindex("many7"))
    sh("ip link del many7")
    for fd in maps.values():
        equal([key for key in range(DEVICES) if not lookup(fd, key)], [key_of_it])
    clock("one deleted")
    equal(len(told(TARGET_GET, target_msg, "ID")), DEVICES - 1)
    return peak


def round_of_devices(prefixes):
    """Run all steps. Returns the memory that was in use."""
    sh(f"rm -rf {PIN} && mkdir -p {PIN}/m && ip netns add {OTHER}")
    with closing([]) as fds:
        maps = {}
        for name, kind in (("array", DEVMAP), ("hash", DEVMAP_HASH)):
            for prefix in prefixes:
                fd = make_map(f"{prefix}_{name}", kind, DEVICES, 8)
                fds.append(fd)
                maps[f"{prefix}_{name}"] = fd
                checked(libbpf.bpf_obj_pin(fd, f"{PIN}/m/{prefix}_{name}".encode()))
        sh(f"bpftool prog loadall {OUTPUT}/tools.bpf.o {PIN}/p " +
           " ".join(f"map name {name} pinned {PIN}/m/{name}" for name in maps))
        with open(f"/run/netns/{OTHER}", encoding="ascii") as net:
            enter(net)
        try:
            no_ipv6()
            peak = many_devices(maps)
        finally:
            enter(own_net)
            clock = Clock()
            sh(f"ip netns del {OTHER} && rm -r {PIN}")
        assert becomes(lambda: not any(lookup(fd, key) for fd in fds
                                       for key in range(DEVICES)), 30000)
        clock("out of the maps")
    clock("freed")
    return peak


@test(f"{DEVICES} devices in each of two stock and two claimed maps, deleted with their namespace")
def _():
    round_of_devices(("rm", "st"))


@test(f"{DEVICES} devices in each of two claimed maps, again and again")
def _():
    leaves_nothing(lambda: round_of_devices(("rm",)))


try:
    run()
finally:
    subprocess.run(["ip", "netns", "del", OTHER], capture_output=True, check=False)
    subprocess.run(["rm", "-rf", PIN], check=False)
    sys.stdout.flush()
