#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What programs offer to a claimed socket map is the sum of what arrives, of
what is refused, by reason, and of what sockets drop. Entries that change
between the kernel's helper and the module's counting are counted as such.

The kernel counts packets that it drops in sk_drops of the socket that has
received them, both if the program returns SK_DROP and if the target is closing
(sock_drop() in net/core/skmsg.c). It counts no messages that it drops.
"""
import contextlib
import errno
import json
import os
import random
import socket
import threading

from testlib import (becomes, checked, delete, equal, held, in_a_net, libbpf, map_id,
                     open_pinned, redirmap, run, test)

in_a_net()

import redirmap_main as command  # noqa: E402
from socketlib import pair, put, udp_pair  # noqa: E402
from socklib import INGRESS, PIN, UNKNOWN_FLAG, counters, loaded, read_all  # noqa: E402

STREAM_VERDICT, MSG_VERDICT, SKB_VERDICT = 5, 7, 38
SOURCE, TARGET, CLOSING, LISTENER, NOBODY, OUTSIDE = 0, 1, 2, 3, 7, 9
ACCEPTED = ("msg_egress", "msg_ingress", "skb_egress", "skb_ingress")


@contextlib.contextmanager
def attached(fd, name, attach):
    """Sockets that are inserted meanwhile run the program."""
    program = open_pinned(f"{PIN}/p/{name}")
    checked(libbpf.bpf_prog_attach(program, fd, attach, 0))
    try:
        yield
    finally:
        checked(libbpf.bpf_prog_detach2(program, fd, attach))
        os.close(program)


def run_by(fd, name, attach, sock, key=SOURCE):
    with attached(fd, name, attach):
        equal(put(fd, key, sock), 0)


def sock_at(fd, key):
    """What the command tells about the socket at a key."""
    status, out, err = redirmap(command, "-j", "sockets", str(map_id(fd)))
    equal((status, err), (0, ""))
    told, = json.loads(out)["maps"]
    one, = (one for one in told["sockets"] if int.from_bytes(
        bytes.fromhex(one["key"]), "little") == key)
    return one


def calls(fd):
    found = counters(fd)
    return sum(found[name] for name in ACCEPTED) + sum(found["refused"].values())


class Targets:
    """A target, one that the kernel has stopped, and one that listens."""

    def __init__(self, fd, stack):
        self.target, self.behind = map(stack.enter_context, pair())
        self.closing, other = map(stack.enter_context, pair())
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        stack.enter_context(other)
        for key, sock in ((TARGET, self.target), (CLOSING, self.closing), (LISTENER, listener)):
            equal(put(fd, key, sock), 0)

    def stop(self, send):
        """A packet that cannot be sent, and stays in the backlog."""
        self.closing.shutdown(socket.SHUT_WR)
        send(CLOSING, 0)
        equal(becomes(lambda: self.closing.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) ==
                      errno.EPIPE), True)


# How often each kind of redirect is offered: the key, the flags, and the
# reason, if it is refused
MIX = ((TARGET, INGRESS, 13, None), (TARGET, 0, 9, None), (CLOSING, 0, 5, None),
       (CLOSING, INGRESS, 3, None), (NOBODY, INGRESS, 4, "no_socket"),
       (OUTSIDE, 0, 2, "key"), (LISTENER, INGRESS, 3, "state"),
       (TARGET, UNKNOWN_FLAG, 4, "flags"))


def offers():
    """All redirects of MIX, in a random order, which is always the same one."""
    found = [(key, flags) for key, flags, times, _ in MIX for _ in range(times)]
    random.Random(19).shuffle(found)
    return found


def reasons(is_array):
    wanted = {}
    for _, _, times, reason in MIX:
        # A hash has no key that is out of range.
        reason = "no_socket" if reason == "key" and not is_array else reason
        if reason:
            wanted[reason] = wanted.get(reason, 0) + times
    return wanted


def packets(fd, name, make, attach):
    with contextlib.ExitStack() as stack:
        source, receiver = map(stack.enter_context, make())
        targets = Targets(fd, stack)
        run_by(fd, f"skb_{name}", attach, receiver)
        before = counters(fd)
        equal((calls(fd), before["skb_closing"]), (0, 0))
        offered = delivered = 0

        def send(key, flags):
            nonlocal offered
            equal(source.send(bytes([key, flags])), 2)
            offered += 1
            # One by one, so that no two are one packet.
            equal(becomes(lambda: calls(fd) == offered), True)

        targets.stop(send)
        for key, flags in offers():
            send(key, flags)
            if (key, flags) in ((TARGET, 0), (TARGET, INGRESS)):
                to = targets.target if flags else targets.behind
                equal(read_all(to, 2), bytes([key, flags]))
                delivered += 1
        found = counters(fd)
        equal(found["refused"], reasons(name == "map"))
        refused = sum(found["refused"].values())
        equal(found["skb_closing"], 8)
        # The program returns SK_DROP for what is refused.
        equal(becomes(lambda: sock_at(fd, SOURCE)["drops"] == refused + found["skb_closing"]),
              True)
        drops, waits = sock_at(fd, SOURCE)["drops"], sock_at(fd, CLOSING)["backlog"]
        equal((waits, sock_at(fd, TARGET)["drops"], sock_at(fd, CLOSING)["drops"]), (1, 0, 0))
        # Nothing has come by another way.
        for sock in (receiver, targets.target, targets.behind):
            sock.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                raise AssertionError(sock.recv(1))
        equal(offered, 1 + sum(times for _, _, times, _ in MIX))
        equal(offered, delivered + drops + waits)
        equal(offered, delivered + refused + found["skb_closing"] + waits)


@test("packets: offered = delivered + refused + drops, over all reasons")
def _():
    for make, attach in ((pair, STREAM_VERDICT), (udp_pair, SKB_VERDICT)):
        for name in ("map", "hash"):
            with loaded("sock_sums") as fds:
                packets(fds[f"rm_{name}"], name, make, attach)


def messages(fd, name):
    """The kernel keeps a refusal, so each message has a sender of its own. No
    message goes to the egress of the closing socket: the kernel returns its
    error (sock_counters.py)."""
    with contextlib.ExitStack() as stack:
        targets = Targets(fd, stack)
        with contextlib.ExitStack() as inner:
            source, receiver = map(inner.enter_context, pair())
            run_by(fd, f"skb_{name}", STREAM_VERDICT, receiver)
            targets.stop(lambda *what: source.send(bytes(what)))
        before = counters(fd)
        offered = delivered = failed = vanished = 0
        for key, flags in offers():
            if (key, flags) == (CLOSING, 0):
                continue
            source, receiver = pair()
            with source, receiver:
                run_by(fd, f"msg_{name}", MSG_VERDICT, source)
                offered += 1
                try:
                    equal(source.send(bytes([key, flags])), 2)
                except PermissionError:
                    failed += 1
                    continue
                if key == CLOSING:
                    vanished += 1
                    continue
                to = targets.target if flags else targets.behind
                equal(read_all(to, 2), bytes([key, flags]))
                delivered += 1
        found = counters(fd)
        equal(found["refused"], reasons(name == "map"))
        equal((sum(found["refused"].values()), found["msg_closing"]), (failed, vanished))
        equal(sum(found[name] - before[name] for name in ACCEPTED), delivered + vanished)
        equal(offered, delivered + failed + vanished)


@test("messages: offered = delivered + refused + lost in closing sockets")
def _():
    for name in ("map", "hash"):
        with loaded("sock_sums") as fds:
            messages(fds[f"rm_{name}"], name)


@contextlib.contextmanager
def redirect_held(fd, name, what):
    """A function on the way of a redirect to TARGET is held, on another CPU,
    during the with block. Gives the socket whose program runs, and what send()
    has returned, which is known after the block."""
    source, receiver = pair()
    result = []

    def send():
        # The function may be held with bottom halves off.
        os.sched_setaffinity(0, {1})
        try:
            result.append(source.send(bytes([TARGET, INGRESS])))
        except OSError as error:
            result.append(error.errno)

    is_msg = name.startswith("msg")
    cpus = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {0})
    try:
        with source, receiver:
            run_by(fd, name, MSG_VERDICT if is_msg else STREAM_VERDICT,
                   source if is_msg else receiver)
            thread = threading.Thread(target=send)
            with held(*what) as is_held:
                thread.start()
                equal(is_held(), True)
                yield result
            thread.join()
            if not is_msg:
                equal(becomes(lambda: sock_at(fd, SOURCE)["drops"] == 1), True)
    finally:
        os.sched_setaffinity(0, cpus)


@test("a socket that comes after the helper has refused: other reasons")
def _():
    for name in ("msg_map", "msg_hash", "skb_map", "skb_hash"):
        target, behind = pair()
        with loaded("sock_sums") as fds, target, behind:
            fd = fds["rm_" + name[4:]]
            with redirect_held(fd, name, ("sock_refused", "spin=1")) as result:
                equal(put(fd, TARGET, target), 0)
            equal(result, [errno.EACCES if name.startswith("msg") else 2])
            equal(counters(fd)["refused"], {"other": 1})


def leaves(name, leave):
    """The target leaves the map after the helper has accepted the redirect."""
    kind, data = name.split("_")
    helper = f"bpf_{'msg' if kind == 'msg' else 'sk'}_redirect_{data}"
    target, behind = pair()
    with loaded("sock_sums") as fds, target, behind:
        fd = fds[f"rm_{data}"]
        equal(put(fd, TARGET, target), 0)
        with redirect_held(fd, name, (helper, "spin=1 end=1")) as result:
            leave(fd, target)
        equal(result, [errno.EPIPE if kind == "msg" else 2])
        found = counters(fd)
        equal((found[f"{kind}_ingress"], found[f"{kind}_closing"], found["refused"]), (1, 1, {}))


@test("a target that is deleted after the helper has accepted: closing")
def _():
    for name in ("msg_map", "msg_hash", "skb_map", "skb_hash"):
        leaves(name, lambda fd, target: delete(fd, TARGET))


@test("a target that is closed after the helper has accepted: closing")
def _():
    for name in ("msg_map", "msg_hash", "skb_map", "skb_hash"):
        leaves(name, lambda fd, target: target.close())


run()
