#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The tracepoints redirmap:redirmap_sock_*: one event for each redirect to a
socket that is refused or will not be delivered, with the map, the sockets and
the reason; none for other redirects, and none for stock maps."""
import contextlib
import re
import socket
import struct
from pathlib import Path

from testlib import becomes, equal, in_a_net, map_id, run, sh, test

in_a_net()

from redirmap_netlink import REASON_NAMES, REFUSAL_NAMES  # noqa: E402
from socketlib import pair, put  # noqa: E402
from socklib import INGRESS, PIN, UNKNOWN_FLAG, counters, loaded, read_all  # noqa: E402

SO_COOKIE = 57
TRACING = Path("/sys/kernel/tracing")
EVENT = re.compile(r": (redirmap_sock_\w+): (.*)$")

sh(f"mountpoint -q {TRACING} || mount -t tracefs none {TRACING}")


def cookie(sock):
    """The socket has a cookie from now on."""
    return struct.unpack("Q", sock.getsockopt(socket.SOL_SOCKET, SO_COOKIE, 8))[0]


class Events:
    """The events of socket maps, in a buffer of their own."""

    def __init__(self):
        self.folder = TRACING / "instances/redirmap-sock"

    def __enter__(self):
        self.folder.mkdir()
        for name in ("refused", "closing"):
            (self.folder / f"events/redirmap/redirmap_sock_{name}/enable").write_text("1")
        return self

    def __exit__(self, *_):
        for name in ("refused", "closing"):
            (self.folder / f"events/redirmap/redirmap_sock_{name}/enable").write_text("0")
        self.folder.rmdir()

    def take(self):
        """The events since the last call: name and fields."""
        text = (self.folder / "trace").read_text()
        (self.folder / "trace").write_text("")
        found = []
        for line in text.splitlines():
            event = EVENT.search(line)
            if event:
                found.append((event[1], dict(one.split("=") for one in event[2].split())))
        return found


def refused(fd, data, flags, source, target, reason):
    return ("redirmap_sock_refused", {
        "map_id": str(map_id(fd)), "data": data, "flags": hex(flags), "cookie": str(source),
        "target": str(target), "reason": reason,
    })


def closing(fd, data, flags, source, target):
    name, fields = refused(fd, data, flags, source, target, "")
    return name.replace("refused", "closing"), {
        key: value for key, value in fields.items() if key != "reason"}


def attached(fd, program, to):
    """Insert a socket that runs a program; later sockets have none."""
    attach = "msg_verdict" if program.startswith("msg") else "stream_verdict"
    sh(f"bpftool prog attach pinned {PIN}/p/{program} {attach} id {map_id(fd)}")
    equal(put(fd, 0, to), 0)
    sh(f"bpftool prog detach pinned {PIN}/p/{program} {attach} id {map_id(fd)}")


def each_reason(fd, data, program):
    source, receiver = pair()
    target, behind = pair()
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as stack:
        local = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        for sock in (source, receiver, target, behind, *local):
            stack.enter_context(sock)
        runs = source if data == "msg" else receiver
        attached(fd, program, runs)
        for key, sock in ((1, target), (3, listener), (4, local[0])):
            equal(put(fd, key, sock), 0)

        def send(key, flags, to=receiver):
            message = bytes([key, flags])
            source.sendall(message)
            # The program has run when the message has arrived.
            equal(read_all(to, len(message)), message)

        with Events() as events:
            # No socket has a cookie yet. The event makes one of the target, not
            # of the socket that runs the program.
            for _ in range(2):
                send(3, INGRESS)
            equal(events.take(), 2 * [
                refused(fd, data, INGRESS, 0, cookie(listener), "state")])
            runs, listens, local = (cookie(sock) for sock in (runs, listener, local[0]))
            assert runs and listens and local
            send(1, INGRESS, to=target)
            send(1, 0, to=behind)
            equal(events.take(), [])
            send(3, INGRESS)
            send(7, 0)
            send(1, UNKNOWN_FLAG)
            send(9, INGRESS)
            wanted = [
                refused(fd, data, INGRESS, runs, listens, "state"),
                refused(fd, data, 0, runs, 0, "no_socket"),
                refused(fd, data, UNKNOWN_FLAG, runs, 0, "flags"),
                refused(fd, data, INGRESS, runs, 0, "key" if "map" in program else "no_socket"),
            ]
            if data == "msg":
                send(4, 0)
                wanted.append(refused(fd, data, 0, runs, local, "direction"))
            equal(events.take(), wanted)


@test("each refused redirect is traced once, with flags, cookies and reason")
def _():
    with loaded() as fds:
        for name in ("map", "hash"):
            for data in ("msg", "skb"):
                each_reason(fds[f"rm_{name}"], data, f"{data}_{name}")


@test("an accepted redirect to a closing socket is traced: a packet")
def _():
    with loaded() as fds, Events() as events:
        fd = fds["rm_map"]
        source, receiver = pair()
        target, behind = pair()
        with source, receiver, target, behind:
            sh(f"bpftool prog attach pinned {PIN}/p/skb_map stream_verdict id {map_id(fd)}")
            equal((put(fd, 0, receiver), put(fd, 1, target)), (0, 0))
            receives, takes = cookie(receiver), cookie(target)
            target.shutdown(socket.SHUT_WR)

            def send(number):
                source.send(bytes([1, 0]))
                assert becomes(lambda: counters(fd)["skb_egress"] == number)

            send(1)
            # The kernel finds out in a work item.
            assert becomes(lambda: target.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            equal(events.take(), [])
            for number in (2, 3):
                send(number)
            equal(events.take(), 2 * [closing(fd, "skb", 0, receives, takes)])


@test("an accepted redirect to a closing socket is traced: a message to its ingress")
def _():
    with loaded() as fds, Events() as events:
        fd = fds["rm_map"]
        source, receiver = pair()
        target, behind = pair()
        other, rest = pair()
        with source, receiver, target, behind, other, rest:
            sh(f"bpftool prog attach pinned {PIN}/p/skb_map stream_verdict id {map_id(fd)}")
            equal((put(fd, 0, receiver), put(fd, 1, target)), (0, 0))
            target.shutdown(socket.SHUT_WR)
            source.send(bytes([1, 0]))
            # The kernel finds out in a work item.
            assert becomes(lambda: target.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            sh(f"bpftool prog attach pinned {PIN}/p/msg_map msg_verdict id {map_id(fd)}")
            equal(put(fd, 2, other), 0)
            sends, takes = cookie(other), cookie(target)
            equal(events.take(), [])
            for _ in range(2):
                equal(other.send(bytes([1, INGRESS])), 2)
            equal(events.take(), 2 * [closing(fd, "msg", INGRESS, sends, takes)])
            # The kernel does not ask whether the target may transmit.
            with contextlib.suppress(BrokenPipeError):
                other.send(bytes([1, 0]))
            equal(events.take(), [])


@test("the socket of a packet is the sender with AF_UNIX")
def _():
    with loaded() as fds, Events() as events:
        fd = fds["rm_hash"]
        source, receiver = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with source, receiver:
            attached(fd, "skb_hash", receiver)
            sends = cookie(source)
            assert sends != cookie(receiver)
            source.sendall(bytes([7, INGRESS]))
            equal(read_all(receiver, 2), bytes([7, INGRESS]))
            equal(events.take(), [refused(fd, "skb", INGRESS, sends, 0, "no_socket")])


@test("redirects with stock maps are not traced, in programs with claimed maps neither")
def _():
    with loaded() as fds, Events() as events:
        source, receiver = pair()
        other, _receiver = pair()
        with source, receiver, other, _receiver:
            for sock, program in ((source, "msg_st_map"), (other, "msg_both")):
                attached(fds["st_map"], program, sock)
                sock.send(bytes([7, 0]))
            equal(events.take(), [refused(fds["rm_map"], "msg", 0, 0, 0, "no_socket")])


@test("the formats have the names of all reasons, those of the command")
def _():
    for event, names in (("redirmap_sock_refused", REFUSAL_NAMES),
                         ("redirmap_drop", REASON_NAMES)):
        text = (TRACING / f"events/redirmap/{event}/format").read_text()
        # The numbers, not the enumerators: tools do not know the header.
        found = {int(number): name for number, name in re.findall(r'{ (\w+), "(\w+)" }', text)}
        equal(found, dict(enumerate(names)))


@test("perf and bpftrace know the fields")
def _():
    for event in ("redirmap_sock_refused", "redirmap_sock_closing"):
        sh(f"perf list tracepoint 2>/dev/null | grep -q redirmap:{event}")
        fields = sh(f"bpftrace -lv tracepoint:redirmap:{event}")
        for field in ("u64 flags", "u64 cookie", "u64 target", "u32 map_id", "bool is_skb"):
            assert re.search(rf"^\s*{field}$", fields, re.M), fields


run()
