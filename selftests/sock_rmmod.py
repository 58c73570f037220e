#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Sockets stay open over rmmod. They were in a claimed map, with and without
programs of the map, and have had data redirected by them. Afterwards they have
no pointer to the module: they send, receive and are closed as plain sockets,
and another load of the module takes them again. A socket that still runs such a
program keeps the module."""
import contextlib
import os
import select
import socket
import subprocess

from modlib import hooked, is_gone
from testlib import (OUTPUT, becomes, checked, delete, equal, expedited, in_a_net, libbpf, load,
                     map_id, open_pinned, refcnt, run, sh, test, unload)

in_a_net()

from socketlib import pair, put, udp_pair  # noqa: E402
from socklib import INGRESS, PIN, counters, read_all  # noqa: E402

STREAM_VERDICT, MSG_VERDICT, SKB_VERDICT = 5, 7, 38
NOWHERE = 9


def unix():
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)


class Flow:
    """Two connected sockets, one of which runs a program in a map, and two
    more, one of which is the target of redirects and runs none."""

    def __init__(self, key, name, make, program, attach, runs):
        self.key, self.target_key = key, key + 4
        self.name, self.program, self.attach = name, program, attach
        self.socks = (*make(), *make())
        self.source, self.receiver, self.target, self.behind = self.socks
        self.runs = (self.source, self.receiver)[runs]
        for sock in self.socks:
            sock.settimeout(60)

    def send(self, key, to):
        """A message arrives, once. Its first bytes are for the program."""
        message = bytes([key, INGRESS]) + self.name.encode()
        equal(self.source.send(message), len(message))
        equal(read_all(to, len(message)), message)

    def is_plain(self):
        """All sockets send to their peers, whatever the key; none has more."""
        for key in (self.target_key, NOWHERE):
            self.send(key, self.receiver)
        for one, other in ((self.receiver, self.source), (self.target, self.behind),
                           (self.behind, self.target)):
            equal(one.send(b"plain"), 5)
            equal(read_all(other, 5), b"plain")
        equal(select.select(self.socks, [], [], 0)[0], [])

    def close(self):
        for sock in self.socks:
            sock.close()


def flows():
    """Two flows will be closed while the module is not loaded, and the others
    afterwards."""
    return [Flow(key, *one) for key, one in enumerate((
        ("TCP, messages", pair, "msg", MSG_VERDICT, 0),
        ("TCP, packets", pair, "skb", STREAM_VERDICT, 1),
        ("UDP", udp_pair, "skb", SKB_VERDICT, 1),
        ("Unix datagrams", unix, "skb", SKB_VERDICT, 1)))]


@contextlib.contextmanager
def pinned(path):
    fd = open_pinned(path)
    try:
        yield fd
    finally:
        os.close(fd)


def redirected(kind, socks):
    """Load the programs, insert all sockets, and redirect; then close the map
    and the programs. Returns the map's id."""
    sh(f"bpftool prog loadall {OUTPUT}/sock_counters.bpf.o {PIN}/p pinmaps {PIN}/m")
    with pinned(f"{PIN}/m/rm_{kind}") as fd:
        for flow in socks:
            with pinned(f"{PIN}/p/{flow.program}_{kind}") as program:
                checked(libbpf.bpf_prog_attach(program, fd, flow.attach, 0))
                equal(put(fd, flow.key, flow.runs), 0)
                checked(libbpf.bpf_prog_detach2(program, fd, flow.attach))
            equal(put(fd, flow.target_key, flow.target), 0)
        for flow in socks:
            flow.send(flow.target_key, flow.target)
            flow.send(NOWHERE, flow.receiver)
        found = counters(fd)
        messages = sum(flow.program == "msg" for flow in socks)
        equal((found["msg_ingress"], found["skb_ingress"], sum(found["refused"].values()),
               found["inserts"]),
              (messages, len(socks) - messages, len(socks), 2 * len(socks)))
        number = map_id(fd)
    sh(f"rm -r {PIN}/*")
    return number


def forgotten(number, socks):
    """The sockets that run programs keep programs, map and module, until they
    are deleted. The others leave with the map."""
    equal(bool(subprocess.run(["rmmod", "redirmap"], capture_output=True, check=False).returncode),
          True)
    fd = checked(libbpf.bpf_map_get_fd_by_id(number))
    for flow in socks:
        delete(fd, flow.key)
    os.close(fd)
    equal(becomes(lambda: refcnt() == 0), True)


def over_rmmod(kind):
    unload()
    before = hooked()
    load()
    socks = flows()
    forgotten(redirected(kind, socks), socks)
    unload()
    is_gone(before)
    for flow in socks:
        flow.is_plain()
    for flow in socks[::2]:
        flow.close()
    kept = socks[1::2]
    is_gone(before)
    load()
    for flow in kept:
        flow.is_plain()
    forgotten(redirected(kind, kept), kept)
    for flow in kept:
        flow.is_plain()
    # The last ones are closed without the module, too.
    unload()
    for flow in kept:
        flow.close()
    is_gone(before)
    load()


@test("an array: its sockets send, receive and are closed after rmmod")
def _():
    with expedited():
        over_rmmod("map")


@test("a hash: the same")
def _():
    with expedited():
        over_rmmod("hash")


run()
