# SPDX-License-Identifier: GPL-2.0-only
"""Shared by the tests of the advice of redirmap drops: a program that redirects
all frames for HOST to the device under test, and the advice on its losses.

A test that imports this module runs in a network namespace of its own from then
on; leave() ends it.
"""
import contextlib
import errno
import json
import os
import re
import subprocess
import sys

import testlib
from testlib import (OUTPUT, becomes, equal, frame_to, ifindex, in_a_net, open_pinned, redirmap,
                     send, sh, update)

in_a_net()
# Of the errnos of two CPUs within one step of the counters' clock either may be
# the last one. All frames are sent, and so redirected, on one CPU.
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import redirmap_main as command  # noqa: E402
from redirmap_advice import GENERIC as IN_GENERIC, Why, advice  # noqa: E402
from redirmap_links import Network, Place  # noqa: E402
from redirmap_netlink import Family  # noqa: E402
from redirmap_table import drops_of  # noqa: E402

PIN = "/sys/fs/bpf/redirmap-advice"
NAMED = "rmadvice"
OLD = os.uname().release.startswith("6.1.")
FRAMES, HOST = 3, 7

READY = "The device was not ready for XDP frames. "
DROPPED = "The device dropped the packet. "
GENERIC = f"{IN_GENERIC}."
ENXIO = " The last error was ENXIO (No such device or address)."
# 6.12 asks the device's features; 6.1 asks the driver.
ASKED = ENXIO if OLD else ""

# in1 leads to in0. The program on in0 redirects all frames for HOST to the
# device under test.
sh(f"rm -rf {PIN}; mkdir -p {PIN}; "
   f"bpftool prog loadall {OUTPUT}/hosts.bpf.o {PIN}/p pinmaps {PIN}/m")
testlib.add_veth("in0", "in1")
sh(f"ip netns add {NAMED}")
switch = open_pinned(f"{PIN}/m/rm_hash")


def leave():
    os.close(switch)
    sh(f"rm -rf {PIN}; ip netns del {NAMED}")
    sys.stdout.flush()


def attach(mode):
    sh(f"ip link set in0 xdpdrv off; ip link set in0 xdpgeneric off; "
       f"bpftool net attach {mode} pinned {PIN}/p/to_rm_hash dev in0")


def at_host(device, mode="xdpdrv"):
    sh(f"bpftool net attach {mode} pinned {PIN}/p/at_host dev {device}")


def said(*args):
    status, out, err = redirmap(command, "drops", *args)
    equal((status, err), (0, ""))
    return out


def lost_by(device):
    """The losses of targets whose devices are in any namespace."""
    with Family() as family:
        return sum(drops_of(one["stats"]) for one in family.targets(None, True)
                   if one["ifname"] == device)


def advised(device):
    """The advice on a device that loses all frames."""
    update(switch, HOST, ifindex(device))
    return advised_of_entry(device, device)


def advised_of_entry(device, *args, frames=FRAMES):
    """The advice on the device of HOST's entry, which must lose at least one
    frame."""
    before = lost_by(device)
    send("in1", frame_to(HOST, 100), frames)
    assert becomes(lambda: lost_by(device) >= before + FRAMES), said("--all-netns")
    return told_of(device, *args)


def told_of(device, *args, reason=None):
    """The advice on a device's loss. If there are several, the one for a
    reason."""
    if reason:
        one, = [one for one in json.loads(said("--json", device))["drops"]
                if one["reason"] == reason and one["target"] is not None]
        return one["text"]
    text, = [line for line in said(*args).splitlines()
             if line.startswith(device + " ") and "(gone)" not in line]
    found = re.fullmatch(
        rf"{device}(?: in network namespace \w+)? lost \d+ of \d+ frames, the last one "
        r"(?:just now|\d+ s ago)\. (.*)", text)
    assert found, text
    return found[1]


def advice_now(device, reason="driver_error", code=errno.ENXIO):
    """The advice on an assumed loss of a real device in its present state."""
    network = Network(Place(""))
    try:
        return advice(network, network.link(ifindex(device)), Why(reason, code))
    finally:
        network.close()


def remove(*devices):
    for device in devices:
        sh(f"ip link del {device}")


def elsewhere(enter, device):
    """Let HOST's entry lead to a device of another namespace. A command that is
    started there does that."""
    program = f"import testlib; testlib.update({switch}, {HOST}, testlib.ifindex('{device}'))"
    subprocess.run([*enter, sys.executable, "-c", program], pass_fds=[switch], check=True)


@contextlib.contextmanager
def nameless():
    """Make a namespace that only a process keeps. Returns its pid."""
    with subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE) as child:
        assert becomes(lambda: os.readlink(f"/proc/{child.pid}/ns/net") !=
                       os.readlink("/proc/self/ns/net"))
        yield child.pid
