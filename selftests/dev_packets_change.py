#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The way of frames changes under traffic, between frames and packets: programs
are attached to the target and its peer and detached, GRO is switched, and a
bond changes its slave, or one of its slaves refuses a frame of a batch. No
frame is lost except that one, and each arrives once. (On the kernel's own maps,
all frames are lost while there is no program.)

A veth drops the frames in its ring when its peer's NAPI ends. All runs on one
CPU, so the ring is empty then.
"""
import collections
import contextlib
import errno
import itertools
import os
import socket
import struct
import subprocess
import threading

from commandlib import target
from testlib import (OUTPUT, add_faulty, add_veth, becomes, checked, equal, expedited, frame_to,
                     frames_of, ifindex, knob, libbpf, listen, open_pinned, run, sh, test,
                     until_up, update)

PIN = "/sys/fs/bpf/redirmap-change"
# Frames of helpers/traffic.c, and how often the way changes.
CHUNK, LENGTH, ROUNDS = 500, 100, 3
NUMBER, PATTERN = 42, 46
# Frames that a veth's ring holds.
RING = 256
OLD = os.uname().release.startswith("6.1.")


class Traffic(threading.Thread):
    """Frames number 0 to CHUNK - 1 on g0, again and again."""

    def __init__(self):
        super().__init__(daemon=True)
        self.chunks, self.stopped, self.failed = 0, False, None

    def run(self):
        while not self.stopped and not self.failed:
            # It gets what the changes leave of the CPU, which is enough.
            done = subprocess.run(["nice", "-n", "19", f"{OUTPUT}/traffic", "packet", "g0",
                                   str(CHUNK), str(LENGTH)],
                                  capture_output=True, text=True, check=False)
            self.failed = done.stderr if done.returncode else None
            self.chunks += 1

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stopped = True
        self.join()
        assert not self.failed, self.failed


class Receiver:
    """The frames that arrive at devices."""

    def __init__(self, *devices):
        self.numbers = {device: collections.Counter() for device in devices}
        self.socks = {device: listen(device) for device in devices}

    def drain(self):
        for device, sock in self.socks.items():
            for frame in frames_of(sock):
                if frame[6:12] != b"\2\0\0\0\x88\xb5":
                    continue
                number, = struct.unpack_from("I", frame, NUMBER)
                want = bytes((at + number) % 256 for at in range(PATTERN, LENGTH))
                assert frame[PATTERN:] == want, frame
                self.numbers[device][number] += 1

    def total(self, device=None):
        self.drain()
        return sum(sum(numbers.values()) for name, numbers in self.numbers.items()
                   if device in (None, name))

    def close(self):
        for sock in self.socks.values():
            sock.close()


def attach(device, name):
    """Attach a program, or none."""
    fd = open_pinned(f"{PIN}/p/{name}") if name else -1
    checked(libbpf.bpf_xdp_attach(ifindex(device), fd, 1 << 2, None))    # XDP_FLAGS_DRV_MODE
    if name:
        os.close(fd)


@contextlib.contextmanager
def network(device, *commands, peers=("r0",)):
    """Frames of g0 go to a device, and arrive at the peers."""
    try:
        add_veth("t0", "r0")
        sh("; ".join(["set -e", *commands]))
        until_up(device, *peers)
        fd = open_pinned(f"{PIN}/m/rm_hash")
        update(fd, 2, ifindex(device))
        os.close(fd)
        with contextlib.closing(Receiver(*peers)) as receiver:
            yield receiver
    finally:
        sh("for i in bond0 t0 u0; do ip link del $i 2>/dev/null || :; done")


def passes(device, receiver):
    """Some frames leave by the way of this moment."""
    before = target(device)["stats"]["packets"]
    assert becomes(lambda: receiver.drain() or target(device)["stats"]["packets"] > before + 10)


def counted(device):
    """The frames that a device has sent or lost."""
    stats = target(device)["stats"]
    return stats["packets"] + sum(stats["drops"].values())


def all_arrived(traffic, receiver, device, reasons=()):
    """Each frame has arrived once, or was lost for one of these reasons.
    Returns numbers of frames and packets."""
    offered = traffic.chunks * CHUNK
    assert becomes(lambda: counted(device) == offered), (offered, target(device)["stats"])
    stats = target(device)["stats"]
    assert set(stats["drops"]) <= set(reasons), stats
    equal(stats["bytes"], stats["packets"] * LENGTH)
    assert becomes(lambda: receiver.total() >= stats["packets"]), (receiver.total(), stats)
    equal(receiver.total(), stats["packets"])
    numbers = sum(receiver.numbers.values(), collections.Counter())
    missing = {number: traffic.chunks - times for number, times in numbers.items()
               if times != traffic.chunks}
    assert all(times > 0 for times in missing.values()), missing
    equal(sum(missing.values()), sum(stats["drops"].values()))
    equal(len(numbers), CHUNK)
    return stats["packets"] - stats["as_packets"], stats["as_packets"]


def changes(*ways, device="t0", receiver, reasons=()):
    """Go these ways in turn, under traffic."""
    with Traffic() as traffic:
        passes(device, receiver)
        for _ in range(ROUNDS):
            for way in ways:
                way()
                passes(device, receiver)
    frames, packets = all_arrived(traffic, receiver, device, reasons)
    print(f"# {frames} frames, {packets} packets")
    return frames, packets


@test("a program comes to the peer, and goes")
def _():
    with network("t0") as receiver:
        frames, packets = changes(lambda: attach("r0", "at_host"), lambda: attach("r0", None),
                                  receiver=receiver)
    assert frames > 0 < packets, (frames, packets)


@test("GRO of the peer is switched on, and off")
def _():
    with network("t0") as receiver:
        frames, packets = changes(lambda: sh("ethtool -K r0 gro on"),
                                  lambda: sh("ethtool -K r0 gro off"), receiver=receiver)
    assert frames > 0 < packets, (frames, packets)


@test("a program comes to the target, and goes: packets before and after")
def _():
    with network("t0") as receiver:
        frames, packets = changes(lambda: attach("t0", "at_host"), lambda: attach("t0", None),
                                  receiver=receiver)
    assert frames == 0 < packets, (frames, packets)


@test("a program comes to the target, and goes: frames before and after")
def _():
    with network("t0", "ethtool -K r0 gro on") as receiver:
        frames, packets = changes(lambda: attach("t0", "at_host"), lambda: attach("t0", None),
                                  receiver=receiver)
    assert packets == 0 < frames, (frames, packets)


def bond(mode):
    """A bond of t0 and u0."""
    return (
        "ip link add u0 type veth peer name s0", "ip link set s0 up",
        f"ip link add bond0 type bond mode {mode} miimon 10",
        "ip link set t0 down", "ip link set t0 master bond0", "ip link set u0 master bond0",
        "ip link set bond0 up",
        # Both are up when the monitor has seen their carriers.
        "for i in $(seq 500); do "
        "[ $(grep -c 'MII Status: up' /proc/net/bonding/bond0) = 3 ] && break; sleep 0.1; done; "
        "[ $i != 500 ] || exit 1")


def activate(slave):
    return lambda: sh(f"ip link set bond0 type bond active_slave {slave}")


@test("a bond changes its active slave: frames")
def _():
    with network("bond0", "ethtool -K r0 gro on", *bond("active-backup"),
                 "ethtool -K s0 gro on", peers=("r0", "s0")) as receiver:
        frames, packets = changes(activate("u0"), activate("t0"), device="bond0",
                                  receiver=receiver)
        assert packets == 0 < frames, (frames, packets)
        assert receiver.total("r0") > 0 < receiver.total("s0")


@test("a bond changes its active slave: one is ready for frames, and one is not")
def _():
    with network("bond0", "ethtool -K r0 gro on", *bond("active-backup"),
                 peers=("r0", "s0")) as receiver:
        frames, packets = changes(activate("u0"), activate("t0"), device="bond0",
                                  receiver=receiver)
        # A bond announces frames only if all of its slaves do; 6.1 has no
        # announcement.
        assert (frames > 0) == OLD, frames
        assert packets > 0, packets
        assert receiver.total("r0") > 0 < receiver.total("s0")


@test("a bond takes its slaves in turn: one is ready for frames, and one is not")
def _():
    with network("bond0", "ethtool -K r0 gro on", *bond("balance-rr"),
                 peers=("r0", "s0")) as receiver:
        frames, packets = changes(lambda: sh("ethtool -K s0 gro on"),
                                  lambda: sh("ethtool -K s0 gro off"), device="bond0",
                                  receiver=receiver,
                                  # 6.1 has no announcement, so a slave that is
                                  # not ready refuses a frame of each batch.
                                  reasons=["ring_full"] if OLD else [])
        assert frames > 0 < packets, (frames, packets)


@test("a bond's slave loses its carrier, and comes back: lost frames are counted")
def _():
    with network("bond0", "ethtool -K r0 gro on", *bond("active-backup"),
                 "ethtool -K s0 gro on", peers=("r0", "s0")) as receiver:
        with Traffic() as traffic:
            for down, other in (("r0", "s0"), ("s0", "r0")):
                passes("bond0", receiver)
                sh(f"ip link set {down} down")
                before = receiver.total(other)
                assert becomes(lambda other=other, before=before: receiver.total(other) > before)
                sh(f"ip link set {down} up")
                assert becomes(lambda: sh("cat /proc/net/bonding/bond0").count(
                    "MII Status: up") == 3)
        offered = traffic.chunks * CHUNK
        assert becomes(lambda: counted("bond0") == offered), (offered, target("bond0")["stats"])
        stats = target("bond0")["stats"]
        # On a busy machine frames may wait for ksoftirqd in the ring of the
        # device that goes down, which frees them.
        assert becomes(lambda: receiver.total() >= stats["packets"] - 2 * RING), stats
        assert receiver.total() <= stats["packets"], (receiver.total(), stats)
        print(f"# {offered} offered, lost: {stats['drops']}, {receiver.total()} received")


# The slaves of a bond, in turn. The last one refuses frames.
SLAVES = ("f0", "f1", "f2")
# Frames of a poll, which come to the bond in calls of at most 16. The slave
# that gets the first one changes from call to call, so the first, the second
# and the third frame is refused.
POLLS = (16, 48, 3, 3, 3, 16)
BULK = 16
CALLS = [min(BULK, poll - at) for poll in POLLS for at in range(0, poll, BULK)]


@contextlib.contextmanager
def faulty_bond(spoil, fault):
    """Packets to s0 come to the program in one poll when s0's hold ends, and go
    to a bond."""
    try:
        for name in ("s0", *SLAVES):
            add_faulty(name)
        # Otherwise the module makes a bond in the machine's own namespace.
        sh("modprobe bonding max_bonds=0; ip link add bond0 type bond mode balance-rr")
        for name in SLAVES:
            sh(f"ip link set {name} down; ip link set {name} master bond0")
        sh("ip link set bond0 up")
        until_up("bond0")
        knob(SLAVES[-1], "spoil", spoil)
        knob(SLAVES[-1], *fault)
        fd = open_pinned(f"{PIN}/m/rm_hash")
        update(fd, 2, ifindex("bond0"))
        os.close(fd)
        attach("s0", "to_rm_hash")
        yield
    finally:
        sh("for i in bond0 s0 f0 f1 f2; do ip link del $i 2>/dev/null || :; done")


def send_in_polls(sent):
    """Send frames, each with a length of its own. Returns those that arrive."""
    arrived = []
    with contextlib.ExitStack() as stack:
        socks = [stack.enter_context(contextlib.closing(listen(name))) for name in SLAVES]
        raw = stack.enter_context(socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
        raw.bind(("s0", 0))
        for count in POLLS:
            knob("s0", "hold", 1)
            for _ in range(count):
                sent.append(frame_to(2, 100 + len(sent)))
                raw.send(sent[-1])
            knob("s0", "hold", 0)
            assert becomes(lambda: counted("bond0") == len(sent)), target("bond0")["stats"]

        def all_here():
            for sock in socks:
                arrived.extend(frames_of(sock))
            return len(arrived) >= target("bond0")["stats"]["packets"]

        assert becomes(all_here), (len(arrived), target("bond0")["stats"])
    return arrived


def lost_of(numbers, first):
    """The number of lost frames by reason, if these have not arrived. @first is
    the reason if the first frame of a call was refused, or None if such a call
    loses nothing."""
    reasons = collections.Counter()
    for call, end in zip(CALLS, itertools.accumulate(CALLS), strict=True):
        lost = len(numbers.intersection(range(end - call, end)))
        if lost == call:
            reasons[first] += lost
        elif lost or first:
            # One behind frames that have left.
            equal(lost, 1)
            reasons["ring_full"] += 1
    return reasons


for what, spoil, fault, first in (
        ("without a change", 0, ("error", errno.ENXIO), None),
        ("and has put a header in front of it", 1, ("error", errno.ENXIO), "driver_error"),
        ("and has overwritten it", 2, ("take", 0), "ring_full")):
    @test(f"a slave of a bond refuses a frame of a batch, {what}: this frame is lost, "
          "those behind it leave as packets")
    def _(spoil=spoil, fault=fault, first=first):
        with faulty_bond(spoil, fault):
            sent = []
            arrived = send_in_polls(sent)
            stats = target("bond0")["stats"]
            calls = [int(knob(name, "calls")) for name in SLAVES]
        print(f"# calls of the slaves: {calls}; {stats}")
        equal((stats["packets"], stats["bytes"]), (len(arrived), sum(map(len, arrived))))
        # A bond calls a slave once per frame.
        equal(stats["as_packets"], len(arrived) - sum(calls[:-1]))
        assert stats["as_packets"] > 0 < sum(calls[:-1]), calls
        equal(calls[-1], len(CALLS))
        # Each has arrived once.
        equal([*(collections.Counter(arrived) - collections.Counter(sent))], [])
        lost = {number for number, frame in enumerate(sent) if frame not in set(arrived)}
        equal(stats["drops"], lost_of(lost, first))
        assert "ring_full" in stats["drops"] and (not first or first in stats["drops"]), stats


# Softirqs that lag behind run before the test goes on, as those in its own
# calls do.
softirqs = int(sh("pgrep -x ksoftirqd/0"))
os.sched_setscheduler(softirqs, os.SCHED_FIFO, os.sched_param(1))
try:
    with expedited():
        sh(f"rm -rf {PIN}; mkdir -p {PIN}; "
           f"bpftool prog loadall {OUTPUT}/hosts.bpf.o {PIN}/p pinmaps {PIN}/m")
        os.sched_setaffinity(0, {0})
        add_veth("g0", "g1")
        attach("g1", "to_rm_hash")
        run()
finally:
    sh(f"rm -rf {PIN}")
    os.sched_setscheduler(softirqs, os.SCHED_OTHER, os.sched_param(0))
