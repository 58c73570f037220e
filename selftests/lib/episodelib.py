# SPDX-License-Identifier: GPL-2.0-only
"""Episodes of random actions, for dev_soak.py and sock_soak.py: the options,
the lines of progress, and the memory in use between episodes.

At the end of each episode the module is unloaded.
"""
import os
import statistics
import time
import zlib

import testlib
from memlib import Percpu, in_use, names
from placelib import PATIENCE
from soaklib import switch_cpu
from testlib import becomes, refcnt

SEED = int(os.environ.get("REDIRMAP_SOAK_SEED", "1"))
MINUTES = float(os.environ.get("REDIRMAP_SOAK_MINUTES", "0"))
FIRST = int(os.environ.get("REDIRMAP_SOAK_FIRST", "1"))
VERBOSE = "REDIRMAP_SOAK_VERBOSE" in os.environ
# Actions of an episode
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

begin = time.monotonic()


def tell(text):
    print(f"# {time.monotonic() - begin:.0f} s: {text}", flush=True)


class Story:
    """The actions so far; prints a line of progress from time to time."""

    def __init__(self, number, done, progress):
        """@done: sums over all episodes; @progress: more text for the line"""
        self.number, self.done, self.progress = number, done, progress
        self.told, self.last = [], time.monotonic()

    def add(self, what):
        self.told.append(what)
        self.done["actions"] += 1
        if VERBOSE:
            tell(what)
        if time.monotonic() - self.last > 10:
            self.last = time.monotonic()
            tell(f"episode {self.number}, {self.done['actions']} actions, {self.progress()}")

    def print_last(self):
        print(f"# episode {self.number} of seed {SEED}, at last:")
        for what in self.told[-20:]:
            print("#  ", what)

    def digest(self):
        """A number that is the same for the same seed."""
        return f"{zlib.crc32('|'.join(self.told).encode()):08x}"


class Memory:
    """The memory in use after each episode."""

    def __init__(self):
        self.percpu = Percpu()
        # The kernel allocates memory when a CPU first comes back online.
        switch_cpu(False)
        switch_cpu(True)
        self.at_first = len(self.percpu.callers())
        self.series = []

    def measure(self):
        # Namespaces and other objects are freed a while later.
        before = self.series[-1]["percpu"] if self.series else self.at_first
        becomes(lambda: len(self.percpu.callers()) <= before, 1000)
        self.series.append({**in_use(), "percpu": len(self.percpu.callers())})

    def growth(self, kind):
        """The growth from the first half of the episodes to the second half."""
        values = [one[kind] for one in self.series]
        half = (len(values) + 1) // 2
        return statistics.median_low(values[half:]) - statistics.median_high(values[:half])

    def grows(self):
        return [kind for kind, tolerance in TOLERANCE.items() if self.growth(kind) > tolerance]

    def check(self):
        for kind in TOLERANCE:
            print(f"# {kind}: {self.growth(kind)} more")
        if "percpu" in self.grows():
            print("# per-CPU memory was allocated by", *names(self.percpu.callers()))
        assert not self.grows(), [[one[kind] for one in self.series] for kind in self.grows()]


def unload(memory):
    """The end of an episode: nothing refers to the module."""
    assert becomes(lambda: not refcnt(), 100 * PATIENCE), f"{refcnt()} references to the module"
    testlib.unload()
    memory.measure()
    testlib.load()


def run_episodes(episode, memory):
    """Run episodes until the time is over, and further ones if memory grows."""
    print(f"# seed {SEED}")
    # Memory that is allocated once and kept is allocated before the first
    # comparison.
    episode(0)
    number = FIRST
    while number == FIRST or time.monotonic() - begin < 60 * MINUTES:
        episode(number)
        number += 1
    for more in range(number, number + MORE):
        if not memory.grows():
            break
        tell(f"is there a leak? {memory.grows()}")
        episode(more)
