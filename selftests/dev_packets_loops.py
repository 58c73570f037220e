#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Devices that lead back to the map: a frame goes round until the program drops
it, as long as on the kernel's own map. Each round is counted, and the stack
does not grow. (tc cannot lead back: the kernel runs no generic XDP on packets
that tc has redirected.)"""
import contextlib
import ctypes
import os
import pathlib
import re
import struct

import testlib
from commandlib import target
from probelib import TRACING, kprobe
from testlib import (OUTPUT, add_veth, becomes, checked, equal, expedited, frame_to, frames_of,
                     ifindex, libbpf, listen, open_pinned, run, sh, test, update)

PIN = "/sys/fs/bpf/redirmap-loops"
QDISC = pathlib.Path("/sys/module/redirmap/parameters/qdisc")
ROUNDS = 10000
# Bytes. The calls of one round, through a bridge or a macvlan, are up to 500
# bytes apart; nested rounds would be as far apart as they are many.
STACK = 16384
SPREAD = 2048


def map_count(key, value=None):
    """Set a number of the programs, or return it."""
    fd = open_pinned(f"{PIN}/m/counts")
    key, old = struct.pack("I", key), ctypes.create_string_buffer(8)
    if value is None:
        checked(libbpf.bpf_map_lookup_elem(fd, key, old))
    else:
        checked(libbpf.bpf_map_update_elem(fd, key, struct.pack("Q", value), ctypes.c_uint64(0)))
    os.close(fd)
    return struct.unpack("Q", old.raw)[0]


def seen():
    return map_count(0)


def lead(name, *devices):
    fd = open_pinned(f"{PIN}/m/{name}")
    for key, device in enumerate(devices):
        update(fd, key, ifindex(device))
    os.close(fd)


def attach(device, name):
    sh(f"ip -force link set {device} xdpdrv pinned {PIN}/p/to_{name}")


@contextlib.contextmanager
def stack_of(function):
    """The stack pointers at the beginning of a function, as a list that is
    complete afterwards."""
    found = []
    sh(f"mountpoint -q {TRACING} || mount -t tracefs tracefs {TRACING}")
    with kprobe(f"redirmap_{function.strip('_')}", f"{function} sp=%sp") as event:
        (event / "trigger").write_text("hist:keys=sp.hex:size=4096\n")
        try:
            yield found
            found += [int(sp, 16) for sp in re.findall(r"\{ sp: *(?:0x)?([0-9a-f]+) \}",
                                                       (event / "hist").read_text())]
        finally:
            (event / "trigger").write_text("!hist:keys=sp.hex:size=4096\n")


def goes_round(device, rounds=ROUNDS):
    """Let a frame go round, from p0 to the program, and from there to p0."""
    map_count(0, 0)
    map_count(1, rounds)
    with stack_of("__dev_queue_xmit") as pointers:
        testlib.send("p0", frame_to(1, 100), 1)
        assert becomes(lambda: seen() > rounds), f"{seen()} of {rounds} rounds"
    equal(seen(), rounds + 1)
    by_stack = {}
    for pointer in pointers:
        by_stack.setdefault(pointer // STACK, []).append(pointer)
    spreads = [max(some) - min(some) for some in by_stack.values()]
    print(f"# {device}: {len(pointers)} stack pointers, in {len(spreads)} stacks, "
          f"up to {max(spreads)} bytes apart")
    assert max(spreads) < SPREAD, spreads


def counted(device, rounds=ROUNDS):
    """Wait for all rounds of a frame; returns how many left as packets."""
    assert becomes(lambda: target(device)["stats"]["packets"] >= rounds), target(device)
    stats = target(device)["stats"]
    equal((stats["packets"], stats["bytes"], stats["drops"]), (rounds, 100 * rounds, {}))
    return stats["as_packets"]


@contextlib.contextmanager
def devices(*commands):
    """The program's frames come by p1; those that leave by p0 arrive there."""
    try:
        add_veth("p0", "p1")
        sh("; ".join(["set -e", *commands]))
        yield
    finally:
        sh("for i in p0 br0 q0; do ip link del $i 2>/dev/null || :; done")


@test("a veth: frames, on the kernel's own map and on a claimed one")
def _():
    with devices():
        for name in ("st_loop", "rm_loop"):
            lead(name, "p0")
            attach("p1", name)
            goes_round("p0")
        equal(counted("p0"), 0)


@test("a veth: packets")
def _():
    with devices():
        lead("rm_queued", "p0")
        attach("p1", "rm_queued")
        goes_round("p0")
        equal(counted("p0"), ROUNDS)


@test("a veth with a queue")
def _():
    with devices("tc qdisc add dev p0 root pfifo limit 100"):
        lead("rm_queued", "p0")
        attach("p1", "rm_queued")
        goes_round("p0")
        equal(counted("p0"), ROUNDS)


@test("a bridge")
def _():
    with devices("ip link add br0 type bridge", "ip link set p0 master br0",
                 "ip link set br0 up"):
        lead("rm_loop", "br0")
        attach("p1", "rm_loop")
        goes_round("br0")
        equal(counted("br0"), ROUNDS)


@test("a macvlan")
def _():
    with devices("ip link add link p0 name m0 type macvlan mode bridge", "ip link set m0 up"):
        lead("rm_loop", "m0")
        attach("p1", "rm_loop")
        goes_round("m0")
        equal(counted("m0"), ROUNDS)


@test("a broadcast does not return by a bridge above the port that it came by")
def _():
    rounds = 50
    with devices("ip link add br0 type bridge", "ip link set p0 master br0",
                 "ip link set br0 up", "ip link add q0 type dummy", "ip link set q0 up"):
        lead("rm_loop", "br0", "p0", "q0")
        attach("p0", "all")
        map_count(0, 0)
        map_count(1, 1 << 40)
        with listen("p1") as back:
            testlib.send("p1", frame_to(1, 100), rounds)
            assert becomes(lambda: target("q0")["stats"]["packets"] >= rounds), target("q0")
            for frame in frames_of(back):
                assert frame[:12] != frame_to(1, 100)[:12], "a frame has come back"
        equal(seen(), rounds)
        equal(counted("q0", rounds), rounds)
        equal((counted("br0", 0), counted("p0", 0)), (0, 0))


def load():
    """The policy of a map is decided when the map is made."""
    former = QDISC.read_text()
    QDISC.write_text("rm_queued\n")
    try:
        sh(f"rm -rf {PIN}; mkdir -p {PIN}; "
           f"bpftool prog loadall {OUTPUT}/packets_loops.bpf.o {PIN}/p pinmaps {PIN}/m")
    finally:
        QDISC.write_text(former)


with expedited():
    try:
        load()
        run()
    finally:
        sh(f"rm -rf {PIN}")
