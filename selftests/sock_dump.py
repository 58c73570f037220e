#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The netlink request for the sockets of a map: large dumps, also during
changes, errors and permissions. For the content see cmd_sockets.py."""
import ctypes
import errno
import itertools
import json
import os
import re
import socket
import struct
import subprocess
import sys
import threading

import testlib
from testlib import (DEVMAP, SOCKHASH, SOCKMAP, becomes, checked, equal, in_a_net, libbpf, longer,
                     make_map, map_id, redirmap, refcnt, run, sh, test)

in_a_net()

import redirmap_main as command  # noqa: E402
import redirmap_netlink as netlink  # noqa: E402
from nllib import answer  # noqa: E402
from socketlib import datagram, put  # noqa: E402

NO_MAP = "No claimed map has this id, or its network namespace is another one"
NO_CAP_BPF = "The sockets of a map need CAP_BPF in the initial user namespace"

sh("ip link set lo up")


# --- large dumps ------------------------------------------------------------


def key_of(number):
    return struct.pack("I", number)


def put_many(fd, first, count, sock, size=4):
    """Insert a socket at many keys."""
    many = ctypes.c_uint32(count)
    checked(libbpf.bpf_map_update_batch(
        fd, b"".join(map(key_of, range(first, first + count))),
        sock.fileno().to_bytes(size, "little") * count, ctypes.byref(many), None))


def parts(fd):
    """The parts of a dump: the flags of all messages, and the keys."""
    asked = netlink.encoded(netlink.socket_msg.numbers["map"], struct.pack("I", map_id(fd)))
    for part in answer(netlink.SOCKET_GET, size=1 << 13, asked=asked):
        found, keys = 0, []
        for kind, flag, data in part:
            found |= flag
            if kind != netlink.NLMSG_DONE:
                keys.append(netlink.socket_of(data, netlink.MESSAGE.size + netlink.GENERIC.size,
                                              len(data))["key"])
        yield bool(found & netlink.NLM_F_DUMP_INTR), keys


@test("a dump of many sockets, in many messages, is complete")
def _():
    count = longer(5000, 100000)
    for kind in (SOCKMAP, SOCKHASH):
        fd = make_map("rm_many", kind, 2 * count)
        with datagram() as sock:
            put_many(fd, count // 2, count, sock)
            found = list(parts(fd))
            keys = [key for _, part in found for key in part]
            equal(sorted(keys), sorted(key_of(number).hex()
                                       for number in range(count // 2, count // 2 + count)))
            equal(any(marked for marked, _ in found), False)
            assert len(found) > count // 100, len(found)
        os.close(fd)


@test("a dump during inserts, deletes and replacements has each lasting socket once")
def _():
    for kind in (SOCKMAP, SOCKHASH):
        count, rounds, seen = longer(1000, 4000), 0, 0
        fd = make_map("rm_many", kind, 2 * count)
        stop = threading.Event()
        with datagram() as stays, datagram() as goes:
            # Every second key stays.
            for first in range(0, 2 * count, 2):
                put(fd, first, stays)

            def loop():
                nonlocal rounds
                while not stop.is_set():
                    for number in range(1, 2 * count, 2):
                        put(fd, number, goes)
                        put(fd, number, goes)
                    for number in range(1, 2 * count, 2):
                        testlib.delete(fd, number)
                    rounds += 1

            thread = threading.Thread(target=loop)
            thread.start()
            try:
                want = {key_of(number).hex() for number in range(0, 2 * count, 2)}
                dumps, least = 0, longer(3, 30)
                while (dumps < least or rounds < least) and thread.is_alive():
                    found = list(parts(fd))
                    keys = [key for _, part in found for key in part]
                    equal(sorted(key for key in keys if key in want), sorted(want))
                    seen += any(marked for marked, _ in found)
                    dumps += 1
            finally:
                stop.set()
                thread.join()
            assert rounds >= least and seen, (rounds, seen)
        os.close(fd)


@test("a dump is marked if a socket was inserted, deleted or replaced meanwhile")
def _():
    for kind in (SOCKMAP, SOCKHASH):
        fd = make_map("rm_many", kind, 2000)
        with datagram() as sock, datagram() as other:
            put_many(fd, 0, 1000, sock)

            def marked(between):
                dump = parts(fd)
                found = [next(dump)[0]]
                between()
                return any(found + [one for one, _ in dump])

            equal(marked(lambda: None), False)
            equal(marked(lambda: put(fd, 1500, sock)), True)
            equal(marked(lambda: put(fd, 1500, other)), True)
            equal(marked(lambda: testlib.delete(fd, 1500)), True)
            equal(marked(lambda: None), False)
        os.close(fd)


@test("the command repeats a dump that was marked")
def _():
    fd = make_map("rm_many", SOCKHASH, 2000)
    with datagram() as sock:
        put_many(fd, 0, 1000, sock)
        with netlink.Family() as family:
            read, once = netlink.socket_of, [True]

            def insert_once(*args):
                if once:
                    once.clear()
                    put(fd, 1500, sock)
                return read(*args)

            netlink.socket_of = insert_once
            try:
                equal(len(family.sockets(map_id(fd))), 1001)
            finally:
                netlink.socket_of = read
            equal((family.interrupted, family.consistent), (1, True))
    os.close(fd)


@test("the command reports that all dumps were marked")
def _():
    fd = make_map("rm_many", SOCKHASH, 2000)
    words = "Sockets came or went during all 5 attempts: entries may be missing or doubled.\n"

    def told():
        status, out, err = redirmap(command, "-j", "sockets", str(map_id(fd)))
        equal((status, err), (0, ""))
        one, = json.loads(out)["maps"]
        return one["consistent"]

    def said():
        status, out, err = redirmap(command, "sockets", str(map_id(fd)))
        equal((status, err), (0, ""))
        return out

    with datagram() as sock:
        put_many(fd, 0, 1000, sock)
        equal((told(), words in said()), (True, False))
        read, calls = netlink.socket_of, itertools.count()

        def replace_often(*args):
            # Two of 1000 calls, so at least one of them before the last part.
            if not next(calls) % 500:
                put(fd, 0, sock)
            return read(*args)

        netlink.socket_of = replace_often
        try:
            equal(told(), False)
            text = said()
        finally:
            netlink.socket_of = read
        assert text.endswith(words), text
        equal(told(), True)
    os.close(fd)


@test("a map that is closed during a dump: the dump ends, and is marked")
def _():
    fd = make_map("rm_many", SOCKHASH, 2000)
    with datagram() as sock:
        put_many(fd, 0, 1000, sock)
        dump = parts(fd)
        found = [next(dump)]
        os.close(fd)
        # The dump itself holds the module.
        equal(becomes(lambda: refcnt() == 1), True)
        found += dump
        equal(any(marked for marked, _ in found), True)
        assert sum(len(keys) for _, keys in found) < 1000, found
    equal(becomes(lambda: refcnt() == 0), True)


# --- errors and permissions -------------------------------------------------


def refused(ask):
    """The errno and the text of a refused request."""
    try:
        found = ask()
    except netlink.Refused as error:
        return error.code, re.sub(r" \(E\w+\)$", "", str(error))
    raise AssertionError(f"not refused: {found}")


def elsewhere(program, around):
    """The output of a Python program, run by another command."""
    return sh(f"{around} {sys.executable} -c '{program}'")


ASK = """
from redirmap_netlink import Family, Refused
with Family() as family:
    try:
        print(len(family.sockets({number})))
    except Refused as refused:
        print(refused)
"""


@test("an unknown map, a stock map, a device map, no map, other attributes")
def _():
    devices, stock, claimed = (make_map("rm_dev", DEVMAP), make_map("st_sock", SOCKMAP),
                               make_map("rm_sock", SOCKMAP))
    with netlink.Family() as family:
        for number in (0, 4000000000, map_id(stock)):
            equal(refused(lambda: family.sockets(number)), (errno.ENOENT, NO_MAP))
        equal(refused(lambda: family.sockets(map_id(devices))),
              (errno.EOPNOTSUPP, "The map is no socket map"))
        equal(refused(lambda: family.sockets(None)),
              (errno.EINVAL, "A request for sockets needs the id of a map"))

        def ask(attributes, dump=True):
            payload = netlink.GENERIC.pack(netlink.SOCKET_GET, netlink.VERSION, 0) + attributes
            return family.ask(family.number, payload, lambda *args: args, dump)

        numbers = netlink.socket_msg.numbers
        number = netlink.encoded(numbers["map"], struct.pack("I", map_id(claimed)))
        equal(ask(number), [])
        equal(refused(lambda: ask(netlink.encoded(numbers["cookie"], bytes(8)))),
              (errno.EINVAL, "Unknown attribute type"))
        equal(refused(lambda: ask(number, False))[0], errno.EOPNOTSUPP)
    for fd in (devices, stock, claimed):
        os.close(fd)


@test("without CAP_NET_ADMIN, without CAP_BPF, and as root of a container: EPERM")
def _():
    fd = make_map("rm_sock", SOCKMAP)
    here = ASK.format(number=map_id(fd))
    equal(elsewhere(here, ""), "0\n")
    equal(elsewhere(here, "setpriv --reuid 65534 --clear-groups"),
          "Operation not permitted (EPERM)\n")
    equal(elsewhere(here, "setpriv --bounding-set -net_admin"),
          "Operation not permitted (EPERM)\n")
    equal(elsewhere(here, "setpriv --bounding-set -bpf,-sys_admin"), f"{NO_CAP_BPF} (EPERM)\n")
    # Each of the two is enough.
    for missing in ("-bpf", "-sys_admin"):
        equal(elsewhere(here, f"setpriv --bounding-set {missing}"), "0\n")
    equal(elsewhere(here, "unshare --user --map-root-user --net"), f"{NO_CAP_BPF} (EPERM)\n")
    os.close(fd)


@test("a socket that was opened without CAP_BPF does not get it by a user that has it: EPERM")
def _():
    fd = make_map("rm_sock", SOCKMAP)
    # The child opens the socket without the capability, and passes it on.
    mine, other = socket.socketpair(socket.AF_UNIX)
    with mine, other:
        subprocess.run(
            ["setpriv", "--bounding-set", "-bpf,-sys_admin", sys.executable, "-c",
             "import socket, sys; end = socket.socket(fileno=int(sys.argv[1])); "
             "nl = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16); "
             "socket.send_fds(end, [bytes(1)], [nl.fileno()])", str(other.fileno())],
            pass_fds=[other.fileno()], check=True)
        passed, = socket.recv_fds(mine, 1, 1)[1]
        with netlink.Family(passed) as family:
            code, text = refused(lambda: family.sockets(map_id(fd)))
            # 6.1 has no text if a dump is refused at its beginning.
            equal(code, errno.EPERM)
            assert text == NO_CAP_BPF or os.uname().release.startswith("6.1."), text
    os.close(fd)


run()
