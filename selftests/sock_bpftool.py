#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""bpftool map on socket maps: each command has the same output, status and
errors for a stock and for a claimed map with the same sockets, as text and as
JSON. Names, ids and memlock are removed from the output. dev_bpftool.sh does
the same with device maps."""
import contextlib
import os
import re
import socket
import subprocess

from testlib import (SOCKHASH, SOCKMAP, becomes, checked, equal, in_a_net, libbpf, make_map,
                     map_id, refcnt, run, test)

in_a_net()

from socketlib import datagram, pair  # noqa: E402
from socklib import PIN  # noqa: E402

KINDS = ("st", "rm")
TYPES = {SOCKMAP: "sockmap", SOCKHASH: "sockhash"}
SO_COOKIE = 57


class Maps:
    """A stock and a claimed map, pinned."""

    def __init__(self, kind, value_size):
        self.fds = {name: make_map(f"{name}_map", kind, value_size=value_size) for name in KINDS}
        for name, fd in self.fds.items():
            checked(libbpf.bpf_obj_pin(fd, f"{PIN}/{name}".encode()))
        equal(refcnt(), 1)

    def close(self):
        for name, fd in self.fds.items():
            os.close(fd)
            os.unlink(f"{PIN}/{name}")
        equal(becomes(lambda: refcnt() == 0), True)

    def outcome(self, name, args, socks):
        """What one command says, and its status. It inherits the sockets."""
        number = str(map_id(self.fds[name]))
        args = [{"PIN": f"{PIN}/{name}", "ID": number, "NAME": f"{name}_map"}.get(one, one)
                for one in args]
        done = subprocess.run(["bpftool", *args], text=True, capture_output=True, check=False,
                              pass_fds=[sock.fileno() for sock in socks])
        said = f"{done.returncode}\n{done.stdout}{done.stderr}"
        said = said.replace(f"{name}_map", "NAME").replace(f"{PIN}/{name}", "PIN")
        said = re.sub(rf'^{number}: |(?<="id":) ?{number}\b', "ID", said, flags=re.M)
        return re.sub(r'("?(bytes_)?memlock"?\W+)\d+B?', r"\1", said)

    def same(self, *args, socks=()):
        """Both maps have one outcome, which is returned."""
        stock, claimed = (self.outcome(name, args, socks) for name in KINDS)
        print(f"# bpftool {' '.join(args)}: {claimed!r}")
        equal(claimed, stock)
        return claimed

    def good(self, *args, socks=()):
        """Succeeds, as text and as JSON; returns the text."""
        for form in (), ("-j",), ("-p",):
            said = self.same(*form, *args, socks=socks)
            assert said.startswith("0\n"), said
        return self.same(*args, socks=socks)

    def bad(self, error, *args, socks=()):
        """Fails, as text and as JSON."""
        for form in (), ("-j",):
            said = self.same(*form, *args, socks=socks)
            assert not said.startswith("0\n") and error in said, said


def bytes_of(number, size):
    return [str(byte) for byte in number.to_bytes(size, "little")]


def key(number):
    return ["key", *bytes_of(number, 4)]


def value(sock, size=8):
    return ["value", *bytes_of(sock.fileno(), size)]


def cookie(sock):
    return " ".join(f"{byte:02x}" for byte in sock.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8))


@contextlib.contextmanager
def with_sockets(kind, value_size=8):
    with contextlib.ExitStack() as stack:
        maps = Maps(kind, value_size)
        stack.callback(maps.close)
        one, other = map(stack.enter_context, pair())
        socks = [one, other, stack.enter_context(datagram())]
        for number, sock in enumerate(socks, 1):
            equal(maps.same("map", "update", "pinned", "PIN", *key(number),
                            *value(sock, value_size), socks=socks), "0\n")
        yield maps, socks


def commands(kind):
    with with_sockets(kind) as (maps, socks):
        for which in ("pinned", "PIN"), ("id", "ID"), ("name", "NAME"):
            assert TYPES[kind] in maps.good("map", "show", *which)
            text = maps.good("map", "dump", *which)
            for sock in socks:
                assert cookie(sock) in text, text
        assert cookie(socks[0]) in maps.good("map", "lookup", "pinned", "PIN", *key(1))
        for form in (), ("-j",):
            maps.same(*form, "map", "lookup", "pinned", "PIN", *key(5))
            maps.same(*form, "map", "getnext", "pinned", "PIN", *key(7))
        maps.good("map", "getnext", "pinned", "PIN")

        def update(*more, sock=socks[0], number=1):
            return ("map", "update", "pinned", "PIN", *key(number), *value(sock), *more)

        maps.bad("File exists", *update("noexist"), socks=socks)
        maps.bad("No such file", *update("exist", number=6), socks=socks)
        # The descriptor is not inherited.
        maps.bad("Bad file descriptor", *update())
        with open("/dev/null", encoding="ascii") as null:
            maps.bad("non-socket", *update(sock=null), socks=[null])
        with socket.socket() as closed:
            maps.bad("not supported", *update(sock=closed), socks=[closed])
        if kind == SOCKMAP:
            maps.bad("too long", *update(number=8), socks=socks)
        maps.bad("expected 8 bytes", "map", "update", "pinned", "PIN", *key(1), "value", "1")
        maps.same("map", "delete", "pinned", "PIN", *key(2))
        maps.bad("Invalid argument" if kind == SOCKMAP else "No such file", "map", "delete",
                 "pinned", "PIN", *key(2))
        for name in "peek", "pop", "dequeue":
            maps.bad("rror", "map", name, "pinned", "PIN")
        text = maps.good("map", "dump", "pinned", "PIN")
        assert cookie(socks[0]) in text and cookie(socks[1]) not in text, text
        # Closed sockets leave.
        socks[0].close()
        assert cookie(socks[2]) in maps.good("map", "dump", "pinned", "PIN")
        maps.same("map", "freeze", "pinned", "PIN")
        maps.bad("not permitted", *update(sock=socks[2]), socks=socks[2:])
        maps.good("map", "dump", "pinned", "PIN")


@test("arrays: all commands")
def _():
    commands(SOCKMAP)


@test("hashes: all commands")
def _():
    commands(SOCKHASH)


@test("values of 4 bytes: the dump has the kernel's error for each socket")
def _():
    for kind in TYPES:
        with with_sockets(kind, 4) as (maps, _socks):
            for form in (), ("-j",):
                said = maps.same(*form, "map", "dump", "pinned", "PIN")
                assert "No space left" in said, said
            said = maps.same("map", "lookup", "pinned", "PIN", *key(1))
            assert "No space left" in said, said


run()
