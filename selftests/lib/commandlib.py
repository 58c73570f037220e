# SPDX-License-Identifier: GPL-2.0-only
"""Shared by tests of the command redirmap: a network whose frames a map
switches, the command's text and JSON, the tables that it prints.

A test that imports this module runs in a network namespace of its own from then
on.
"""
import json
import re

import testlib
from testlib import (OUTPUT, becomes, equal, frame_to, ifindex, in_a_net, open_pinned, redirmap,
                     send, sh, update)

in_a_net()

import redirmap_main as command  # noqa: E402


def make_switch(pin):
    """in1 leads to in0. The program on in0 redirects frames by their hosts:
    host 1 is behind out1, host 2 behind out2, and so on. Returns the map."""
    sh(f"rm -rf {pin}; mkdir -p {pin}; "
       f"bpftool prog loadall {OUTPUT}/hosts.bpf.o {pin}/p pinmaps {pin}/m")
    testlib.add_veth("in0", "in1")
    sh(f"bpftool net attach xdpdrv pinned {pin}/p/to_rm_hash dev in0")
    for host in (1, 2, 3):
        testlib.add_veth(f"out{host}", f"peer{host}")
    for host in (1, 2):
        sh(f"bpftool net attach xdpdrv pinned {pin}/p/at_host dev peer{host}")
    switch = open_pinned(f"{pin}/m/rm_hash")
    for host in (1, 2, 3):
        update(switch, host, ifindex(f"out{host}"))
    return switch


def said(*args):
    """The text that the command prints; it must succeed, without a message on
    stderr. Times of losses are removed: cmd_losses.py tests them."""
    status, out, err = redirmap(command, *args)
    equal((status, err), (0, ""))
    return re.sub(r", (the last one )?(just now|\d+ (s|min) ago)", "", out)


def told(*args):
    def timeless(found):
        return {name: value for name, value in found.items()
                if name not in ("age", "ages", "missed_ages")}

    return json.loads(said("--json", *args), object_hook=timeless)


def target(device):
    """The target of a device, but not of a former device of that name."""
    number = ifindex(device)
    return next(one for one in told()["targets"] if one["ifindex"] == number)


def count(device):
    """The frames that a device has sent or lost."""
    stats = target(device)["stats"]
    return stats["packets"] + sum(stats["drops"].values())


def forward(host, length=100, times=7):
    """Send frames to a host, and wait until they are counted."""
    before = count(f"out{host}")
    send("in1", frame_to(host, length), times)
    assert becomes(lambda: count(f"out{host}") == before + times), target(f"out{host}")


def columns(text, head):
    """The cells of a table's rows, by the column's title."""
    lines = text.splitlines()
    # Numbers, and the titles above them, are at the right of their column.
    at = next(number for number, line in enumerate(lines) if line.split()[:1] == [head])
    names = re.split("  +", lines[at].strip())
    rows = []
    for line in lines[at + 1:]:
        if not line:
            break
        # Only the last cell may be empty.
        cells = re.split("  +", line.strip())
        rows.append(dict(zip(names, cells + [""] * (len(names) - 1 == len(cells)), strict=True)))
    return rows


def while_it_waits(monkey):
    """Replace the time between two looks by a function."""
    class Clock:
        monotonic = staticmethod(testlib.time.monotonic)
        strftime = staticmethod(testlib.time.strftime)

        @staticmethod
        def sleep(seconds):
            testlib.time.sleep(seconds)
            monkey()

    return Clock
