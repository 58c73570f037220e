#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""redirmap sockets: sockets of all families and states, their programs, the
data that waits in them, and what the command finds wrong with them. For large
dumps and permissions see sock_dump.py."""
import contextlib
import ctypes
import errno
import fcntl
import json
import mmap
import os
import re
import select
import socket
import struct
import tempfile
import threading

import testlib
from testlib import (DEVMAP, OUTPUT, SOCKHASH, SOCKMAP, Skip, becomes, checked, equal,
                     in_a_net, make_map, map_id, netns, open_pinned, redirmap, refcnt, run, sh,
                     test)

in_a_net()

import redirmap_main as command  # noqa: E402
import redirmap_netlink as netlink  # noqa: E402
from socketlib import datagram, pair, put, vsock_pair  # noqa: E402

PIN = "/sys/fs/bpf/redirmap-sockets"
NO_MAP = "No claimed map has this id, or its network namespace is another one"

sh(f"ip link set lo up; mountpoint -q /sys/fs/bpf || mount -t bpf none /sys/fs/bpf; "
   f"rm -rf {PIN}; mkdir -p {PIN}")
assert becomes(lambda: "::1/128" in sh("ip -6 address show dev lo"))


@contextlib.contextmanager
def loaded(name="rm_map"):
    """The descriptor of a map; programs and maps are pinned."""
    sh(f"bpftool prog loadall {OUTPUT}/cmd_sockets.bpf.o {PIN}/p pinmaps {PIN}/m")
    fd = open_pinned(f"{PIN}/m/{name}")
    try:
        yield fd
    finally:
        os.close(fd)
        sh(f"rm -rf {PIN}/*")
        equal(becomes(lambda: refcnt() == 0), True)


@contextlib.contextmanager
def opened(name):
    """The descriptor of another map of loaded()."""
    fd = open_pinned(f"{PIN}/m/{name}")
    try:
        yield fd
    finally:
        os.close(fd)


def program_id(name):
    fd = open_pinned(f"{PIN}/p/{name}")
    number = int(testlib.fdinfo(fd, "prog_id"))
    os.close(fd)
    return number


def attach(fd, name, kind, what="attach"):
    """Attach a program to a map, or detach it; returns its id."""
    sh(f"bpftool prog {what} pinned {PIN}/p/{name} {kind} id {map_id(fd)}")
    return program_id(name)


def told(fd, *args):
    """The command's JSON about a map."""
    status, out, err = redirmap(command, "-j", "sockets", str(map_id(fd)), *args)
    equal((status, err), (0, ""))
    one, = json.loads(out)["maps"]
    equal(one["consistent"], True)
    return one


def said(fd, *args):
    status, out, err = redirmap(command, "sockets", str(map_id(fd)), *args)
    equal((status, err), (0, ""))
    return out


def at(fd, key, *args):
    """The socket at a key of an array, in JSON."""
    one, = [one for one in told(fd, *args)["sockets"] if one["index"] == key]
    return one


def comes(condition):
    """Wait until a condition is true; a look at a socket takes long."""
    equal(becomes(condition, 1000), True)


def flags(sock):
    return [one["flag"] for one in sock["flags"]]


def some(one, *names):
    return tuple(one[name] for name in names)


def cookie(sock):
    # SO_COOKIE
    return struct.unpack("Q", sock.getsockopt(socket.SOL_SOCKET, 57, 8))[0]


def address(sock, peer=False):
    host, port = (sock.getpeername if peer else sock.getsockname)()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


IDLE = {"ingress": 0, "ingress_more": False, "backlog": 0, "backlog_waits": False, "cork": 0,
        "apply": 0, "drops": 0, "error": None, "stopped": False, "programs": {}, "flags": []}


# --- what a socket is -------------------------------------------------------


@test("TCP over IPv4 and IPv6, connected and listening")
def _():
    with loaded() as fd, contextlib.ExitStack() as stack:
        for host, family in (("127.0.0.1", "inet"), ("::1", "inet6")):
            one, other = map(stack.enter_context, pair(host))
            listener = stack.enter_context(socket.create_server(
                (host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET))
            equal((put(fd, 3, one), put(fd, 4, listener)), (0, 0))
            equal(at(fd, 3), {
                **IDLE, "key": "03000000", "index": 3, "cookie": cookie(one),
                "inode": os.fstat(one.fileno()).st_ino, "netns": netns(), "family": family,
                "type": "stream", "protocol": 6, "state": "established", "shutdown": "none",
                "local": address(one), "remote": address(other)})
            sock = at(fd, 4)
            equal(some(sock, "cookie", "family", "state", "local", "remote", "flags"),
                  (cookie(listener), family, "listen", address(listener), None, []))


@test("UDP, bound and connected, and Unix sockets, with and without names")
def _():
    with loaded() as fd, tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        bound, connected = (stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
                            for _ in range(2))
        bound.bind(("127.0.0.1", 0))
        connected.connect(bound.getsockname())
        unnamed, peer = map(stack.enter_context, socket.socketpair(
            socket.AF_UNIX, socket.SOCK_STREAM))
        named = []
        for path in (f"{folder}/name", "\0abstract"):
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(path)
                server.listen()
                client = stack.enter_context(socket.socket(socket.AF_UNIX))
                client.connect(path)
                named += client, stack.enter_context(server.accept()[0])
        datagrams = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))
        datagrams.bind(f"{folder}/datagrams")
        for key, sock in enumerate((bound, connected, unnamed, *named, datagrams)):
            equal(put(fd, key, sock), 0)
        socks = {one["index"]: one for one in told(fd)["sockets"]}
        what = ("family", "type", "protocol", "state", "local", "remote")
        equal(some(socks[0], *what), ("inet", "dgram", 17, "close", address(bound), None))
        equal(some(socks[1], *what), ("inet", "dgram", 17, "established", address(connected),
                                      address(bound)))
        path = f"{folder}/name"
        for key, local, remote in ((2, None, None), (3, None, path), (4, path, None),
                                   (5, None, "@abstract"), (6, "@abstract", None)):
            equal(some(socks[key], *what), ("unix", "stream", 0, "established", local, remote))
        equal(some(socks[7], "type", "state", "local"), ("dgram", "close", f"{folder}/datagrams"))
        assert re.search(rf"\b7 .* unix_dgram +close +{folder}/datagrams +-", said(fd)), said(fd)
        peer.close()


@test("vsock: without addresses, with its program and the bytes that wait")
def _():
    sh("modprobe -q vsock_loopback || :")
    try:
        one, other = vsock_pair()
    except OSError as error:
        raise Skip(f"no vsock within this machine: {error}") from error
    with one, other, loaded() as fd:
        number = attach(fd, "skb_pass", "skb_verdict")
        result = put(fd, 3, one)
        if result == errno.EOPNOTSUPP:
            raise Skip("this kernel has no vsock in socket maps (since 6.4)")
        equal(result, 0)
        want = {
            **IDLE, "key": "03000000", "index": 3,
            # SO_COOKIE, of 8 bytes as each option of vsock in Python
            "cookie": one.getsockopt(socket.SOL_SOCKET, 57),
            "inode": os.fstat(one.fileno()).st_ino, "netns": netns(), "family": "vsock",
            "type": "stream", "protocol": 0, "state": "established", "shutdown": "none",
            "local": None, "remote": None, "programs": {"skb_verdict": number}}
        equal(at(fd, 3), want)
        assert re.search(r"^3 .* vsock +established +- +-$", said(fd), re.M), said(fd)
        other.send(b"waits")
        comes(lambda: at(fd, 3)["ingress"] == 5)
        equal(one.recv(10), b"waits")
        equal(at(fd, 3), want)
        one.shutdown(socket.SHUT_WR)
        equal(at(fd, 3)["shutdown"], "send")
        one.close()
        equal(told(fd)["sockets"], [])


@test("a hash, whose values have no cookie")
def _():
    with loaded("rm_hash") as fd:
        one, other = pair()
        with one, other:
            for number, sock in enumerate((one, other)):
                equal(put(fd, bytes([0xab, number, 0, 0, 0, 1]), sock), 0)
            equal({(sock["key"], sock["index"], sock["cookie"]) for sock in told(fd)["sockets"]},
                  {("ab0000000001", None, cookie(one)), ("ab0100000001", None, cookie(other))})
            assert re.search(r"^ab0100000001 +\d+ ", said(fd), re.M), said(fd)
        equal(told(fd)["sockets"], [])
        assert said(fd).endswith("No sockets.\n"), said(fd)
        # Both have left when they were closed.
        equal(some(told(fd), "used", "left"), (0, 2))


@test("a large map: the command counts its sockets, and those that have left")
def _():
    fd = make_map("rm_large", SOCKMAP, 20000, 8)
    one, other = pair()
    with one, other, datagram() as third:
        equal([put(fd, key, sock) for key, sock in ((0, one), (19999, other), (7, third))],
              [0, 0, 0])
        one.close()
        comes(lambda: some(told(fd), "capacity", "used", "left") == (20000, 2, 1))
        assert "sockmap, 2 of 20,000 sockets, 1 left without a delete" in said(fd), said(fd)
        row, = json.loads(redirmap(command, "-j", "list", str(map_id(fd)))[1])["maps"]
        equal((row["used"], row["sock"]["left"]), (None, None))
    os.close(fd)


@test("shut down, closed by the peer, reset")
def _():
    with loaded() as fd:
        one, other = pair()
        with one, other:
            equal((put(fd, 0, one), put(fd, 1, other)), (0, 0))
            one.shutdown(socket.SHUT_WR)
            comes(lambda: at(fd, 1)["state"] == "close_wait")
            comes(lambda: at(fd, 0)["state"] == "fin_wait2")
            equal((at(fd, 0)["shutdown"], at(fd, 1)["shutdown"]), ("send", "receive"))
            assert "close_wait (shutdown receive)" in said(fd), said(fd)
            # SO_LINGER: reset
            other.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            other.close()
            comes(lambda: at(fd, 0)["state"] == "close")
            # The kernel keeps it in the map until its owner closes it.
            sock, = told(fd)["sockets"]
            equal((sock["error"], flags(sock)), ("ECONNRESET", ["error"]))
            one.close()
            equal(told(fd)["sockets"], [])


# --- programs ---------------------------------------------------------------


@test("a program that is attached after the insert has no effect, and is flagged")
def _():
    with loaded() as fd:
        one, other = pair()
        with one, other:
            equal(put(fd, 0, one), 0)
            first = attach(fd, "msg_pass", "msg_verdict")
            equal(put(fd, 1, other), 0)
            found = told(fd)
            equal(found["programs"], {"msg_verdict": first})
            old, new = found["sockets"]
            equal((old["programs"], flags(old)), ({}, ["program_missing"]))
            equal((new["programs"], flags(new)), ({"msg_verdict": first}, []))
            row, = json.loads(redirmap(command, "-j", "list", str(map_id(fd)))[1])["maps"]
            using = [map_id(fd) in program.get("map_ids", ())
                     for program in json.loads(sh("bpftool -j prog show"))]
            assert any(using), using
            # The descriptor and the pin use the map as well.
            equal((row["programs"], row["users"]), ({"msg_verdict": first}, 2 + sum(using)))
            text = redirmap(command, "list", str(map_id(fd)))[1]
            assert text.endswith(f" 0  msg_verdict {first} (msg_pass)\n"), text
            text = said(fd)
            assert f"programs: msg_verdict {first} (msg_pass)\n" in text, text
            assert f"Key 0: It does not run program {first}, the msg_verdict of the map." in text
            assert "insert it into a second map without programs; then delete" in text, text

            second = attach(fd, "msg_act", "msg_verdict")
            old, new = told(fd)["sockets"]
            equal((new["programs"], flags(new)), ({"msg_verdict": first}, ["program_missing"]))
            text = said(fd)
            assert f"It runs program {first}, not program {second}, " in text, text
            # A second map would keep the first program.
            assert "0; then delete the socket from all maps, and insert it again." in text, text
            # The cure.
            for key, sock in enumerate((one, other)):
                testlib.delete(fd, key)
                equal(put(fd, key, sock), 0)
            equal([(sock["programs"], sock["flags"]) for sock in told(fd)["sockets"]],
                  [({"msg_verdict": second}, [])] * 2)

            attach(fd, "msg_act", "msg_verdict", "detach")
            found = told(fd)
            equal((found["programs"], [flags(sock) for sock in found["sockets"]]),
                  ({}, [["program_kept"]] * 2))
            assert "Keys 0, 1: It runs program" in said(fd), said(fd)


@test("an update of the same key gives no program of packets; after a delete it does")
def _():
    with loaded() as fd:
        one, other = pair()
        with one, other:
            equal(put(fd, 0, one), 0)
            verdict = attach(fd, "skb_act", "stream_verdict")
            # The kernel stops the program as it removes the former entry.
            equal(put(fd, 0, one), 0)
            equal(flags(at(fd, 0)), ["program_missing"])
            testlib.delete(fd, 0)
            equal(put(fd, 0, one), 0)
            equal(some(at(fd, 0), "programs", "flags"), ({"stream_verdict": verdict}, []))


@test("programs of packets: parser and verdict, or verdict alone")
def _():
    with loaded() as fd:
        one, other = pair()
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.bind(("127.0.0.1", 0))
        with one, other, datagrams:
            parser = attach(fd, "parse", "stream_parser")
            equal(put(fd, 0, one), 0)
            # A parser alone does not run.
            sock = at(fd, 0)
            equal((sock["programs"], flags(sock)), ({}, ["program_missing"]))
            assert "runs only if the map has a stream_verdict" in sock["flags"][0]["text"]
            verdict = attach(fd, "skb_act", "stream_verdict")
            equal(put(fd, 1, other), 0)
            sock = at(fd, 1)
            equal((sock["programs"], flags(sock)),
                  ({"stream_parser": parser, "stream_verdict": verdict}, []))
            attach(fd, "parse", "stream_parser", "detach")
            attach(fd, "skb_act", "stream_verdict", "detach")

            number = attach(fd, "skb_pass", "skb_verdict")
            message = attach(fd, "msg_pass", "msg_verdict")
            equal(put(fd, 2, datagrams), 0)
            found = told(fd)
            equal(found["programs"], {"skb_verdict": number, "msg_verdict": message})
            sock = found["sockets"][2]
            # The kernel runs programs of messages for TCP only.
            equal((sock["programs"], flags(sock)), ({"skb_verdict": number}, ["program_missing"]))
            assert "runs a msg_verdict for TCP sockets only" in sock["flags"][0]["text"], sock


@test("a socket in two maps runs the programs of both")
def _():
    with loaded() as fd, opened("rm_more") as more:
        one, other = pair()
        with one, other:
            message, verdict = (attach(fd, "msg_act", "msg_verdict"),
                                attach(more, "skb_act", "stream_verdict"))
            equal((put(fd, 0, one), put(more, 0, one)), (0, 0))
            for number, kept in ((fd, f"program {verdict}, a stream_verdict"),
                                 (more, f"program {message}, a msg_verdict")):
                sock = at(number, 0)
                equal((sock["programs"], flags(sock)),
                      ({"msg_verdict": message, "stream_verdict": verdict}, ["program_kept"]))
                assert kept in sock["flags"][0]["text"], sock


@test("a verdict that the kernel has stopped, because the socket left a map with a parser")
def _():
    with loaded() as fd, opened("rm_more") as more:
        one, other = pair()
        with one, other:
            verdict = attach(more, "skb_act", "stream_verdict")
            attach(fd, "parse", "stream_parser")
            equal(put(more, 0, one), 0)
            equal(some(at(more, 0), "programs", "flags"), ({"stream_verdict": verdict}, []))
            equal(put(fd, 0, one), 0)
            testlib.delete(fd, 0)
            # The kernel's structure still has the program.
            sock = at(more, 0)
            equal((sock["programs"], flags(sock)), ({}, ["program_missing"]))


# --- data that waits --------------------------------------------------------


@test("bytes in the ingress queue, by redirects of messages and by a verdict")
def _():
    with loaded() as fd:
        source, receiver = pair()
        target, behind = pair()
        with source, receiver, target, behind:
            attach(fd, "msg_act", "msg_verdict")
            equal((put(fd, 0, source), put(fd, 1, target)), (0, 0))
            for size in (10, 2000):
                equal(source.send(b"I\1" + b"x" * (size - 2)), size)
            equal(at(fd, 1)["ingress"], 2010)
            target.recv(7)
            equal(at(fd, 1)["ingress"], 2003)
            target.recv(4096)
            comes(lambda: at(fd, 1)["ingress"] == 0)

            attach(fd, "msg_act", "msg_verdict", "detach")
            attach(fd, "skb_act", "stream_verdict")
            equal(put(fd, 2, receiver), 0)
            testlib.delete(fd, 0)
            equal(source.send(b"--waits"), 7)
            comes(lambda: at(fd, 2)["ingress"] == 7)
            assert re.search(r"^2 +7 +0 +0 +0 +0 +stream_verdict", said(fd), re.M), said(fd)


@test("more messages in the ingress queue than are counted without a counter")
def _():
    with loaded() as fd:
        source, receiver = pair()
        target, behind = pair()
        with source, receiver, target, behind:
            attach(fd, "msg_act", "msg_verdict")
            equal((put(fd, 0, source), put(fd, 1, target)), (0, 0))
            for _ in range(1100):
                source.send(b"I\1")
            sock = at(fd, 1)
            if sock["ingress_more"]:
                equal(sock["ingress"], 2048)
                assert " 2048+ " in said(fd), said(fd)
            else:
                equal(sock["ingress"], 2200)


@test("corked bytes, and bytes left of an applied verdict")
def _():
    with loaded() as fd:
        source, receiver = pair()
        with source, receiver:
            attach(fd, "msg_act", "msg_verdict")
            equal(put(fd, 0, source), 0)
            equal(source.send(b"C\x64" + b"x" * 8), 10)
            equal(some(at(fd, 0), "cork", "apply"), (10, 0))
            equal(source.send(b"x" * 30), 30)
            equal(at(fd, 0)["cork"], 40)
            equal(source.send(b"x" * 60), 60)
            equal(len(receiver.recv(100, socket.MSG_WAITALL)), 100)
            equal(some(at(fd, 0), "cork", "apply"), (0, 0))
            equal(source.send(b"A\xc8" + b"x" * 98), 100)
            equal(some(at(fd, 0), "cork", "apply"), (0, 100))
            assert re.search(r"^0 +0 +0 +0 +100 +0 +msg_verdict", said(fd), re.M), said(fd)
            equal(source.send(b"x" * 100), 100)
            equal(at(fd, 0)["apply"], 0)


class Fault:
    """Memory that no access gets, until release(): see userfaultfd(2)."""

    def __init__(self):
        self.memory = mmap.mmap(-1, mmap.PAGESIZE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        # O_CLOEXEC, O_NONBLOCK
        self.fd = checked(ctypes.CDLL(None, use_errno=True).syscall(323, 0o2004000))
        # UFFDIO_API, UFFDIO_REGISTER of missing pages
        fcntl.ioctl(self.fd, 0xc018aa3f, struct.pack("QQQ", 0xaa, 0, 0))
        start = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        fcntl.ioctl(self.fd, 0xc020aa00, struct.pack("QQQQ", start, mmap.PAGESIZE, 1, 0))

    def awaited(self):
        """Does a task wait for the memory?"""
        poll = select.poll()
        poll.register(self.fd, select.POLLIN)
        return bool(poll.poll(0))

    def release(self):
        os.close(self.fd)


@test("a socket that its owner keeps locked does not delay the answer")
def _():
    with loaded() as fd:
        source, receiver = pair()
        fault = Fault()
        with source, receiver:
            attach(fd, "msg_act", "msg_verdict")
            equal(put(fd, 0, source), 0)
            equal(source.send(b"C\x64" + b"x" * 8), 10)
            # getsockname(2) would wait for the lock.
            local = address(source)
            owner = threading.Thread(target=source.send, args=(memoryview(fault.memory)[:20],))
            owner.start()
            try:
                equal(becomes(fault.awaited), True)
                sock = at(fd, 0)
                equal(some(sock, "cork", "state", "local"), (None, "established", local))
                assert re.search(r"^0 +0 +0 +\? +0 +0 ", said(fd), re.M), said(fd)
            finally:
                fault.release()
                owner.join()
            equal(at(fd, 0)["cork"], 30)


@test("a receiver that does not read: packets wait in the backlog, which is flagged")
def _():
    with loaded() as fd:
        source, receiver = pair()
        target, behind = pair()
        with source, receiver, target, behind:
            target.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            attach(fd, "skb_act", "stream_verdict")
            equal((put(fd, 0, receiver), put(fd, 1, target)), (0, 0))
            sent = 0

            def stuck():
                nonlocal sent
                sent += source.send(b"I\1" + b"x" * 998)
                return at(fd, 1)["backlog_waits"]

            comes(stuck)
            sock = at(fd, 1)
            equal((flags(sock), sock["stopped"]), (["backlog_waits"], False))
            assert sock["backlog"] >= 1 and sock["ingress"] > 0, sock
            assert "wait in its backlog, because the first one found no room" in said(fd), said(fd)
            # Read until everything has arrived.
            while sent:
                sent -= len(target.recv(65536))
            comes(lambda: some(at(fd, 1), "backlog", "ingress", "flags") == (0, 0, []))


@test("a target that fails: error, disabled transmit, dropped packets")
def _():
    with loaded() as fd:
        source, receiver = pair()
        target, behind = pair()
        with source, receiver, target, behind:
            attach(fd, "skb_act", "stream_verdict")
            equal((put(fd, 0, receiver), put(fd, 1, target)), (0, 0))
            target.shutdown(socket.SHUT_WR)
            source.send(b"E\1")
            comes(lambda: at(fd, 1)["stopped"])
            sock = at(fd, 1)
            equal(some(sock, "error", "backlog"), ("EPIPE", 1))
            equal(flags(sock), ["stopped", "error"])
            text = said(fd)
            assert "disabled transmit, and drops all data for it. 1 packet in its backlog" in text
            assert "The error EPIPE is pending" in text, text
            # The socket that the program runs for counts the drops.
            source.send(b"E\1")
            comes(lambda: at(fd, 0)["drops"] == 1)
            equal(target.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR), errno.EPIPE)
            sock = at(fd, 1)
            equal((sock["error"], flags(sock)), (None, ["stopped"]))


# --- the command ------------------------------------------------------------


@test("the command's errors: a stock map, an unknown one, a device map")
def _():
    stock, devices = make_map("st_sock", SOCKMAP), make_map("rm_dev", DEVMAP)
    number = map_id(stock)
    equal(redirmap(command, "sockets", str(number)),
          (1, "", f"redirmap: map {number} (st_sock) is the kernel's own, not a claimed map: the "
                  "parameter claim did not select its name when it was created, or the module was "
                  "loaded later\n"))
    equal(redirmap(command, "sockets", "4000000000"), (1, "", f"redirmap: {NO_MAP} (ENOENT)\n"))
    equal(redirmap(command, "sockets", "name", "rm_none"),
          (1, "", "redirmap: no claimed map is named rm_none in this network namespace\n"))
    equal(redirmap(command, "sockets", "name", "rm_dev"),
          (1, "", "redirmap: The map is no socket map (EOPNOTSUPP)\n"))
    os.close(stock)
    os.close(devices)


@test("the loaded module is too old to know the request")
def _():
    fd = make_map("rm_sock", SOCKMAP)
    number, netlink.SOCKET_GET = netlink.SOCKET_GET, 99
    try:
        equal(redirmap(command, "sockets", str(map_id(fd))),
              (1, "", "redirmap: The loaded module is too old for this request; redirmap "
                      "--version shows its version (EOPNOTSUPP)\n"))
    finally:
        netlink.SOCKET_GET = number
    os.close(fd)


@test("a program that is being freed, whose id is 0, is left out")
def _():
    with loaded() as fd:
        one, other = pair()
        with one, other:
            number = attach(fd, "msg_act", "msg_verdict")
            equal(put(fd, 0, one), 0)
            equal(at(fd, 0)["programs"], {"msg_verdict": number})
            read = netlink.socket_msg.read

            def freed(*args):
                found = read(*args)
                found["program"].append({"type": 5, "id": 0})
                return found

            netlink.socket_msg.read = freed
            try:
                equal(at(fd, 0)["programs"], {"msg_verdict": number})
            finally:
                del netlink.socket_msg.read


@test("without a map, the command lists all claimed socket maps")
def _():
    equal(redirmap(command, "sockets"),
          (0, "No claimed socket maps in this network namespace.\n", ""))
    fds = [make_map(*one) for one in (("rm_one", SOCKMAP), ("st_sock", SOCKMAP),
                                      ("rm_dev", DEVMAP), ("rm_two", SOCKHASH))]
    status, out, err = redirmap(command, "sockets")
    equal((status, err), (0, ""))
    equal(re.findall(r"^Map \d+ \((\w+)\), (\w+), \d+ of \d+ sockets, 0 left without a delete, "
                     r"programs: -$", out, re.M),
          [("rm_one", "sockmap"), ("rm_two", "sockhash")])
    equal([one["name"] for one in json.loads(redirmap(command, "-j", "sockets")[1])["maps"]],
          ["rm_one", "rm_two"])
    for fd in fds:
        os.close(fd)


@test("without CAP_SYS_ADMIN, the command does not know the programs of the map, and says so")
def _():
    fd = make_map("rm_sock", SOCKMAP)
    with datagram() as sock:
        equal(put(fd, 0, sock), 0)
        out = sh(f"setpriv --bounding-set -sys_admin {testlib.COMMAND} list {map_id(fd)}")
        assert out.endswith("  ?\n"), out
        out = sh(f"setpriv --bounding-set -sys_admin {testlib.COMMAND} sockets {map_id(fd)}")
        assert "programs: unknown\n" in out and "not compared: a map is opened" in out, out
    os.close(fd)


@test("a socket of another network namespace: its address is reported only with --all-netns")
def _():
    fd = make_map("rm_sock", SOCKMAP)
    found = {}

    def there():
        # CLONE_NEWNET, for this thread only
        checked(ctypes.CDLL(None).unshare(0x40000000))
        found["netns"] = os.stat("/proc/thread-self/ns/net").st_ino
        found["sock"] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        found["sock"].bind(("0.0.0.0", 4321))

    thread = threading.Thread(target=there)
    thread.start()
    thread.join()
    with found["sock"] as sock, datagram() as own:
        equal((put(fd, 0, sock), put(fd, 1, own)), (0, 0))
        equal(some(at(fd, 0), "netns", "cookie", "local"), (found["netns"], cookie(sock), None))
        equal(some(at(fd, 1), "netns", "local"), (netns(), address(own)))
        equal(at(fd, 0, "--all-netns")["local"], "0.0.0.0:4321")
        text = said(fd, "--all-netns")
        assert re.search(rf"^0 .* {found['netns']} +0\.0\.0\.0:4321 ", text, re.M), text
        assert re.search(r"^1 .* this one ", text, re.M), text
    os.close(fd)


try:
    run()
finally:
    sh(f"rm -rf {PIN}")
