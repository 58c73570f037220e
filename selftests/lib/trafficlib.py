# SPDX-License-Identifier: GPL-2.0-only
"""Ping and TCP through kinds of devices that take packets, not frames: each
byte arrives, and all that the device was sent is counted as sent. The kernel's
own maps deliver nothing. Kinds that a kernel lacks are skipped.

    @kind("bridge")
    def _():
        ...         # makes the network, with functions of hostlib
        return "br0"

    run_kinds()
"""
import contextlib
import os

import hostlib
from commandlib import target
from hostlib import lead, ping, send_by_tcp
from testlib import Skip, becomes, run, sh, test

BYTES = 8 << 20


def can_make(args):
    """Skip kinds of devices that the kernel does not have."""
    told = sh(f"ip link add probe0 type {args} 2>&1 && ip link del probe0 || :")
    if "Unknown device type" in told or "Operation not supported" in told:
        raise Skip(f"the kernel has no device of the type {args.split()[0]}")


@contextlib.contextmanager
def made(function):
    """The device under test. Afterwards nothing of it is left."""
    try:
        yield function()
    finally:
        hostlib.clean()


def all_left_as_packets(device):
    stats = target(device)["stats"]
    return stats["as_packets"] == stats["packets"]


def through(function):
    with made(function) as device:
        lead("st_array", device)
        assert not ping(2, "-W 0.1"), "a stock map delivers"
        hostlib.ask_again()
        lead("rm_array", device)
        # A host that was asked for an address in vain is asked again.
        assert becomes(lambda: hostlib.ask_again() or ping(1, "-w 2"), 30), \
            (target(device), sh("ip -s link"))
        assert ping(5, "-w 60"), (target(device), sh("ip -s link"))
        data = os.urandom(BYTES)
        assert send_by_tcp(data) == data, "other bytes have arrived"
        # The last packets may not be counted yet.
        assert becomes(lambda: all_left_as_packets(device)), target(device)
        stats = target(device)["stats"]
        assert stats["bytes"] > BYTES, stats
        # Only a full queue may refuse a packet, which TCP then repeats.
        assert set(stats["drops"]) <= {"xmit_drop"}, stats


def kind(name):
    """A function that makes a network, and returns the device under test."""
    def add(function):
        @test(f"ping and TCP through: {name}")
        def _():
            through(function)

        return function

    return add


def run_kinds():
    with hostlib.hosts():
        run()
