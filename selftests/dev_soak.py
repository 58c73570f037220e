#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Random changes under traffic: see Documentation/testing.rst.

A short run, always the same one; make soak runs longer ones.
"""
import os
import random
import statistics
import sys
import time
import zlib

import testlib
from testlib import becomes, in_a_net, refcnt, run, sh, test

in_a_net()

from loadlib import Load, all_stats, counted  # noqa: E402
from memlib import Percpu, in_use, names  # noqa: E402
from offloadlib import Sender  # noqa: E402
from placelib import ONCE, PATIENCE, PIN, TO_MEMBERS, TO_CHANGING  # noqa: E402
from soaklib import KEYS, MEMBERS, World, switch_cpu  # noqa: E402

SEED = int(os.environ.get("REDIRMAP_SOAK_SEED", "1"))
MINUTES = float(os.environ.get("REDIRMAP_SOAK_MINUTES", "0"))
FIRST = int(os.environ.get("REDIRMAP_SOAK_FIRST", "1"))
VERBOSE = "REDIRMAP_SOAK_VERBOSE" in os.environ
# Actions of an episode; after each episode the module is unloaded.
ACTIONS = int(os.environ.get("REDIRMAP_SOAK_ACTIONS", "60"))
# The memory, in KiB, by which episodes may differ; every object of per-CPU
# memory is known. Without a leak the figures vary: freed pages wait on lists of
# CPUs, freed slabs for a grace period.
TOLERANCE = {"kmalloc": 64, "vmalloc": 64, "pages": 512, "percpu": 0}
# KASAN keeps freed memory, and such kernels have kmemleak: see run-tests.
if os.path.exists("/sys/kernel/debug/kmemleak"):
    TOLERANCE = {"percpu": 0}
# Growth that stops is not a leak: so many further episodes distinguish the two.
MORE = 4

testlib.load_faulty()
# The kernel would load these on demand, and keep them.
sh("modprobe -a bridge sch_fq_codel sch_tbf || :")
begin = time.monotonic()
done = {"actions": 0, "packets": 0, "as_packets": 0, "segments": 0, "checksums": 0}
percpu = Percpu()
# The kernel allocates memory when a CPU first comes back online.
switch_cpu(False)
switch_cpu(True)
at_first = len(percpu.callers())
memory = []
finished = []


def tell(text):
    print(f"# {time.monotonic() - begin:.0f} s: {text}", flush=True)


def packets(world):
    return sum(sum(place.offers()) for place in world.places)


class Story:
    """The actions so far; prints a line of progress from time to time."""

    def __init__(self, world, number):
        self.world, self.number = world, number
        self.told, self.last = [], time.monotonic()

    def add(self, what):
        self.told.append(what)
        done["actions"] += 1
        if VERBOSE:
            tell(what)
        if time.monotonic() - self.last > 10:
            self.last = time.monotonic()
            tell(f"episode {self.number}, {done['actions']} actions, "
                 f"{done['packets'] + packets(self.world)} packets")

    def digest(self):
        """A number that is the same for the same seed."""
        return f"{zlib.crc32('|'.join(self.told).encode()):08x}"


def accounts(world):
    """Are all frames counted, once none is on its way?"""
    told = {}

    def balanced():
        for place in world.places:
            offered = place.offers()
            with place:
                sent, lost = counted()
            low = offered[ONCE] + MEMBERS * offered[TO_MEMBERS] + offered[TO_CHANGING]
            high = low + (KEYS - 1) * offered[TO_CHANGING]
            told[place.name] = (low, high, sent, lost)
        return all(low <= sent + lost <= high for low, high, sent, lost in told.values())

    # Each comparison takes a while.
    assert becomes(balanced, 300), \
        f"at least and at most to be counted, sent, lost: {told}"
    for place in world.places:
        with place:
            done["as_packets"] += sum(one["as_packets"] or 0 for one in all_stats())
    return "; ".join(f"{name}: {offered} offered, {sent} sent, {lost} lost"
                     for name, (offered, _, sent, lost) in told.items())


def measure():
    """The memory in use between two episodes."""
    # Namespaces and other objects are freed a while later.
    before = memory[-1]["percpu"] if memory else at_first
    becomes(lambda: len(percpu.callers()) <= before, 1000)
    memory.append({**in_use(), "percpu": len(percpu.callers())})


def growth(kind):
    """The growth from the first half of the episodes to the second half."""
    series = [one[kind] for one in memory]
    half = (len(series) + 1) // 2
    return statistics.median_low(series[half:]) - statistics.median_high(series[:half])


def grows():
    return [kind for kind, tolerance in TOLERANCE.items() if growth(kind) > tolerance]


def episode(number):
    """A world from its beginning to its end, with a module of its own."""
    # In the first episode, with any seed, maps segment packets.
    world = World(random.Random(f"{SEED}:{number}"), None if number else "*")
    story = Story(world, number)
    progs = [testlib.open_pinned(f"{place.pin}/p/{name}")
             for place, name in ((world.home, "scatter"), (world.home, "generic"),
                                 (world.wild, "wild"))]
    loads = [Load(progs, cpu) for cpu in sorted(os.sched_getaffinity(0))]
    sender = Sender("to-generic", world.members[1])
    for load in (*loads, sender):
        load.start()
    try:
        # Both arrive before anything changes, on a machine of any speed.
        assert number or becomes(lambda: sender.error or sender.segments and sender.completed), \
            f"{sender.segments} segments and {sender.completed} checksums"
        for _ in range(ACTIONS):
            story.add(world.act())
            time.sleep(0.005)
        for load in (*loads, sender):
            load.stop()
        sums = accounts(world)
        done["packets"] += packets(world)
        done["segments"] += sender.segments
        done["checksums"] += sender.completed
    except Exception:
        for load in (*loads, sender):
            load.stopped = True
        print(f"# episode {number} of seed {SEED}, at last:")
        for what in story.told[-20:]:
            print("#  ", what)
        raise
    for prog in progs:
        os.close(prog)
    world.close()
    assert becomes(lambda: not refcnt(), 100 * PATIENCE), f"{refcnt()} references to the module"
    testlib.unload()
    measure()
    testlib.load()
    tell(f"episode {number}: {story.digest()}; {sums}; "
         f"so far {done['as_packets']} as packets, {done['segments']} segments, "
         f"{done['checksums']} checksums; in use: {memory[-1]}")


@test("offered = sent + lost, for all random actions; no map and no device remains")
def _():
    print(f"# seed {SEED}")
    # Memory that is allocated once and kept is allocated before the first
    # comparison.
    episode(0)
    number = FIRST
    while number == FIRST or time.monotonic() - begin < 60 * MINUTES:
        episode(number)
        number += 1
    for more in range(number, number + MORE):
        if not grows():
            break
        tell(f"is there a leak? {grows()}")
        episode(more)
    assert done["as_packets"], "no frame has left as a packet"
    finished.append(True)


@test("memory is free again")
def _():
    assert finished, "the number is unknown"
    for kind in TOLERANCE:
        print(f"# {kind}: {growth(kind)} more")
    if "percpu" in grows():
        print("# per-CPU memory was allocated by", *names(percpu.callers()))
    assert not grows(), [[one[kind] for one in memory] for kind in grows()]


try:
    run()
finally:
    switch_cpu(True)
    sh(f"rm -rf {PIN}; umount /run/redirmap-*-sys 2>/dev/null; "
       "ip netns del soak-wild 2>/dev/null; rmmod faulty")
    sys.stdout.flush()
