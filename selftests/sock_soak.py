#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Random changes of socket maps under traffic: see Documentation/testing.rst.

A short run, always the same one; make soak runs longer ones.
"""
import random
import sys
import time

from testlib import becomes, in_a_net, run, sh, test

in_a_net()

from episodelib import ACTIONS, SEED, Memory, Story, run_episodes, tell, unload  # noqa: E402
from sockworld import PIN, World  # noqa: E402
from soaklib import switch_cpu  # noqa: E402

sh("ip link set lo up; mountpoint -q /sys/fs/bpf || mount -t bpf none /sys/fs/bpf")
done = {"actions": 0, "bytes": 0}
memory = Memory()
finished = []


def sockets():
    """The sockets of this network namespace that are not freed."""
    with open("/proc/net/sockstat", encoding="ascii") as file:
        return int(file.readline().split()[2])


at_first = sockets()


def episode(number):
    """A world from its beginning to its end, with a module of its own."""
    world = World(random.Random(f"{SEED}:{number}"))
    story = Story(number, done, lambda: f"{done['bytes'] + world.traffic.bytes} bytes")
    try:
        for _ in range(ACTIONS):
            story.add(world.act())
            time.sleep(0.005)
        sums = world.close()
    except Exception:
        world.traffic.stopped = True
        story.print_last()
        raise
    done["bytes"] += world.traffic.bytes
    assert becomes(lambda: sockets() <= at_first), f"{sockets()} sockets, and {at_first} before"
    unload(memory)
    tell(f"episode {number}: {story.digest()}; {sums}; so far {done['bytes']} bytes; "
         f"in use: {memory.series[-1]}")


@test("every byte once, in order; exact counters; no map and no socket remains")
def _():
    run_episodes(episode, memory)
    assert done["bytes"], "no byte has arrived"
    finished.append(True)


@test("memory is free again")
def _():
    assert finished, "the number is unknown"
    memory.check()


try:
    run()
finally:
    switch_cpu(True)
    sh(f"rm -rf {PIN}")
    sys.stdout.flush()
