#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Frames of 9,000 bytes, which have fragments in native XDP, leave as packets,
mixed with short ones: all bytes arrive, in order. On kernels that redirect no
frame with fragments (before 6.3) only the short ones do, and nothing does on
the kernel's own maps."""
import os
import socket

import testlib
from commandlib import target
from testlib import (OUTPUT, becomes, equal, frames_of, ifindex, listen, open_pinned, run,
                     seen_by_program, sh, test, until_up, update)

PIN = "/sys/fs/bpf/redirmap-frags"
MTU = 9000
LENGTHS = (100, 9000, 5000, 1500, 9014, 60)
ROUNDS = 20
OLD = os.uname().release.startswith("6.1.")
# The linear part of a veth's frame is shorter than a page.
SHORT = 3000

devices = {}


def device(name, receiver, outgoing=False):
    """A function that makes a device d0; its packets are seen at the
    receiver."""
    def add(function):
        devices[name] = (function, receiver, outgoing)
        return function

    return add


@device("dummy", "d0", outgoing=True)
def _():
    sh(f"ip link add d0 mtu {MTU} type dummy; ip link set d0 up")


@device("veth without a program behind it", "r0")
def _():
    sh(f"ip link add d0 mtu {MTU} type veth peer name r0 mtu {MTU}; ip link set d0 up; "
       "ip link set r0 up")
    until_up("d0", "r0")


@device("bridge", "r0")
def _():
    sh(f"ip link add p0 mtu {MTU} type veth peer name r0 mtu {MTU}; ip link set p0 up; "
       "ip link set r0 up; ip link add d0 type bridge; ip link set p0 master d0; "
       f"ip link set d0 mtu {MTU} up")
    until_up("d0", "p0", "r0")


def frames():
    return [testlib.frame_to(2, 60)[:42] + bytes((number + at) % 251 for at in range(length - 42))
            for number, length in enumerate(LENGTHS * ROUNDS)]


def received(sock, count):
    """The next frames of this test: at least so many, if they arrive."""
    got = []

    def enough():
        got.extend(one for one in frames_of(sock) if one[:12] == frames_sent[0][:12])
        return len(got) >= count

    becomes(enough)
    return got


def send_all(frames):
    """Send frames, and wait until the program has seen all of them."""
    before = seen_by_program("in0")
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.setsockopt(socket.SOL_SOCKET, 32, 8 << 20)    # SO_SNDBUFFORCE
        raw.bind(("in1", 0))
        for one in frames:
            raw.send(one)
    assert becomes(lambda: seen_by_program("in0") >= before + len(frames))


def lead(kind):
    fd = open_pinned(f"{PIN}/m/{kind}_frags")
    update(fd, 0, ifindex("d0"))
    os.close(fd)
    sh(f"ip -force link set in0 xdpdrv pinned {PIN}/p/to_{kind}_frags")


def counted():
    stats = target("d0")["stats"]
    return stats["packets"], stats["bytes"], stats["as_packets"], stats["drops"]


def same(got, want):
    """Compare frames without printing megabytes."""
    equal([len(one) for one in got], [len(one) for one in want])
    assert got == want, [at for at, (one, other) in enumerate(zip(got, want)) if one != other]


for name, (make, receiver, outgoing) in devices.items():
    @test(f"{name}: frames of {', '.join(map(str, LENGTHS))} bytes")
    def _(make=make, receiver=receiver, outgoing=outgoing):
        try:
            make()
            with listen(receiver, outgoing) as sock:
                lead("st")
                send_all(frames_sent[::-1])
                lead("rm")
                send_all(frames_sent)
                want = [one for one in frames_sent if not OLD or len(one) < SHORT]
                assert becomes(lambda: counted() ==
                               (len(want), sum(map(len, want)), len(want), {})), counted()
                # Frames of the kernel's map would be in front of these.
                same(received(sock, len(want)), want)
        finally:
            sh("for i in d0 p0; do ip link del $i 2>/dev/null || :; done")


frames_sent = frames()
# One CPU, so that packets stay in one backlog, and in order.
os.sched_setaffinity(0, {0})
sh(f"rm -rf {PIN}; mkdir -p {PIN}; "
   f"bpftool prog loadall {OUTPUT}/packets_frags.bpf.o {PIN}/p pinmaps {PIN}/m; "
   f"ip link add in0 mtu {MTU} type veth peer name in1 mtu {MTU}; ip link set in0 up; "
   "ip link set in1 up")
try:
    until_up("in0", "in1")
    run()
finally:
    sh(f"rm -rf {PIN}")
