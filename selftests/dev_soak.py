#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Random changes under traffic: see Documentation/testing.rst.

A short run, always the same one; make soak runs longer ones.
"""
import os
import random
import sys
import time

import testlib
from testlib import becomes, in_a_net, run, sh, test

in_a_net()

from episodelib import ACTIONS, SEED, Memory, Story, run_episodes, tell, unload  # noqa: E402
from loadlib import Load, all_stats, counted  # noqa: E402
from offloadlib import Sender  # noqa: E402
from placelib import ONCE, PIN, TO_MEMBERS, TO_CHANGING  # noqa: E402
from soaklib import KEYS, MEMBERS, World, switch_cpu  # noqa: E402

testlib.load_faulty()
# The kernel would load these on demand, and keep them.
sh("modprobe -a bridge sch_fq_codel sch_tbf || :")
done = {"actions": 0, "packets": 0, "as_packets": 0, "segments": 0, "checksums": 0}
memory = Memory()
finished = []


def packets(world):
    return sum(sum(place.offers()) for place in world.places)


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


def episode(number):
    """A world from its beginning to its end, with a module of its own."""
    # In the first episode, with any seed, maps segment packets.
    world = World(random.Random(f"{SEED}:{number}"), None if number else "*")
    story = Story(number, done, lambda: f"{done['packets'] + packets(world)} packets")
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
        story.print_last()
        raise
    for prog in progs:
        os.close(prog)
    world.close()
    unload(memory)
    tell(f"episode {number}: {story.digest()}; {sums}; "
         f"so far {done['as_packets']} as packets, {done['segments']} segments, "
         f"{done['checksums']} checksums; in use: {memory.series[-1]}")


@test("offered = sent + lost, for all random actions; no map and no device remains")
def _():
    run_episodes(episode, memory)
    assert done["as_packets"], "no frame has left as a packet"
    finished.append(True)


@test("memory is free again")
def _():
    assert finished, "the number is unknown"
    memory.check()


try:
    run()
finally:
    switch_cpu(True)
    sh(f"rm -rf {PIN}; umount /run/redirmap-*-sys 2>/dev/null; "
       "ip netns del soak-wild 2>/dev/null; rmmod faulty")
    sys.stdout.flush()
