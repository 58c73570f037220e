#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Counters of socket maps: redirects by helper, direction and reason, inserts,
deletes and failed updates, as exact sums; and the report of the command."""
import contextlib
import ctypes
import errno
import json
import os
import re
import socket
import struct

from testlib import (COMMAND, becomes, checked, delete, equal, in_a_net, libbpf, make_map, map_id,
                     netns, redirmap, run, sh, test)

in_a_net()

import redirmap_drops  # noqa: E402
import redirmap_main as command  # noqa: E402
import redirmap_netlink as netlink  # noqa: E402
import redirmap_watch  # noqa: E402
from commandlib import columns, said, while_it_waits  # noqa: E402
from redirmap_reasons import FAILURES  # noqa: E402
from socketlib import datagram, pair, put, vsock_pair  # noqa: E402
from socklib import (INGRESS, PIN, UNKNOWN_FLAG, answer, counters, loaded,  # noqa: E402
                     read_all)


def redirects(sock):
    """The redirect counters of a map, without ages."""
    return {name: sock[name] for name in (
        "msg_egress", "msg_ingress", "skb_egress", "skb_ingress", "msg_closing", "skb_closing",
        "refused")}


def none(**given):
    """The result of redirects(), with the given counters changed from 0."""
    return {"msg_egress": 0, "msg_ingress": 0, "skb_egress": 0, "skb_ingress": 0,
            "msg_closing": 0, "skb_closing": 0, "refused": {}, **given}


def fails(call, *args):
    """The errno with which a call fails, or 0."""
    try:
        call(*args)
    except OSError as error:
        return error.errno
    return 0


def vsock_in(fd, key, stack):
    """Insert a vsock socket; returns its peer, or None if the kernel cannot."""
    sh("modprobe -q vsock_loopback || :")
    try:
        sock, peer = map(stack.enter_context, vsock_pair())
    except OSError as error:
        print(f"# no vsock within this machine: {error}")
        return None
    failed = put(fd, key, sock)
    if failed == errno.EOPNOTSUPP:
        print("# this kernel has no vsock in socket maps (since 6.4)")
        return None
    equal(failed, 0)
    return peer


def redirected(fd, kind, program):
    """Redirect to each kind of target; every message is counted and arrives
    once."""
    array, what = "map" in program, "msg" if kind == "msg" else "skb"
    attach = "msg_verdict" if kind == "msg" else "stream_verdict"
    source, receiver = pair()
    target, behind = pair()
    with socket.create_server(("127.0.0.1", 0)) as listener, contextlib.ExitStack() as stack:
        for sock in (source, receiver, target, behind):
            stack.enter_context(sock)
        local = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        for sock in local:
            stack.enter_context(sock)
        sh(f"bpftool prog attach pinned {PIN}/p/{program} {attach} id {map_id(fd)}")
        equal(put(fd, 0, source if kind == "msg" else receiver), 0)
        # Targets have no program.
        sh(f"bpftool prog detach pinned {PIN}/p/{program} {attach} id {map_id(fd)}")
        unconnected = [stack.enter_context(sock) for sock in (
            datagram(), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM))]
        for key, sock in ((1, target), (3, listener), (4, local[0]), (5, unconnected[0]),
                          (6, unconnected[1])):
            equal(put(fd, key, sock), 0)
        behind_vsock = vsock_in(fd, 7, stack)
        before = redirects(counters(fd))

        def send(key, flags, times, to=receiver):
            message = bytes([key, flags]) + b"x" * 62
            for _ in range(times):
                equal(source.send(message), len(message))
                # One by one, so that no two are one packet.
                equal(read_all(to, len(message)), message)

        send(1, INGRESS, 5, to=target)
        send(1, 0, 3, to=behind)
        send(2, INGRESS, 2)
        send(9, 0, 1)
        send(1, UNKNOWN_FLAG, 4)
        send(3, INGRESS, 6)
        send(5, INGRESS, 3)
        send(6, INGRESS, 2)
        reasons = {"no_socket": 2 if array else 3, "state": 11, "flags": 4}
        egress = 3
        if array:
            reasons["key"] = 1
        if kind == "msg":
            send(4, 0, 7)
            reasons["direction"] = 7
        if behind_vsock:
            send(7, INGRESS, 3)
            reasons["direction"] = reasons.get("direction", 0) + 3
            if kind == "msg":
                send(7, 0, 2)
                reasons["direction"] += 2
            else:
                send(7, 0, 2, to=behind_vsock)
                egress += 2
        after = redirects(counters(fd))
        before_reasons = before.pop("refused")
        equal({reason: number - before_reasons.get(reason, 0)
               for reason, number in after.pop("refused").items()
               if number - before_reasons.get(reason, 0)}, reasons)
        equal({name: after[name] - before[name] for name in after},
              {name: {f"{what}_ingress": 5, f"{what}_egress": egress}.get(name, 0)
               for name in after})


@test("each redirect is counted once, by helper, direction and reason")
def counted():
    with loaded() as fds:
        for name in ("rm_map", "rm_hash"):
            for kind in ("msg", "skb"):
                redirected(fds[name], kind, name.replace("rm", kind))
        for name in ("st_map", "st_hash"):
            with netlink.Family() as family:
                equal([one for one in family.maps() if one["id"] == map_id(fds[name])], [])


@test("programs without a claimed map are not counted, nor stock maps in others")
def uncounted():
    with loaded() as fds:
        source, receiver = pair()
        other, _receiver = pair()
        with source, receiver, other, _receiver:
            for sock, program in ((source, "msg_st_map"), (other, "msg_both")):
                sh(f"bpftool prog attach pinned {PIN}/p/{program} msg_verdict id "
                   f"{map_id(fds['st_map'])}")
                equal(put(fds["st_map"], 0, sock), 0)
                sock.send(bytes([7, 0]))
            equal(redirects(counters(fds["rm_map"])), none(refused={"no_socket": 1}))
            equal(redirects(counters(fds["rm_hash"])), none())


def drops_at(fd, key):
    """sk_drops of the socket in a slot, as the command tells."""
    told, = json.loads(redirmap(command, "-j", "sockets", str(map_id(fd)))[1])["maps"]
    return next(one["drops"] for one in told["sockets"] if one["index"] == key)


@test("redirects to a socket that the kernel has shut down are counted as such")
def closing():
    with loaded() as fds:
        fd = fds["rm_map"]
        source, receiver = pair()
        target, behind = pair()
        with source, receiver, target, behind:
            sh(f"bpftool prog attach pinned {PIN}/p/skb_map stream_verdict id {map_id(fd)}")
            equal((put(fd, 0, receiver), put(fd, 1, target)), (0, 0))
            target.shutdown(socket.SHUT_WR)

            def send(number):
                source.send(bytes([1, 0]))
                equal(becomes(lambda: counters(fd)["skb_egress"] == number), True)

            send(1)
            # The kernel finds out in a work item.
            equal(becomes(lambda: target.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) ==
                          errno.EPIPE), True)
            equal(counters(fd)["skb_closing"], 0)
            for number in (2, 3, 4):
                send(number)
            equal(redirects(counters(fd)), none(skb_egress=4, skb_closing=3))
            # The kernel counts them as drops of the socket that received them.
            equal(becomes(lambda: drops_at(fd, 0) == 3), True)
            equal(drops_at(fd, 1), 0)

            # The kernel frees messages to the ingress of such a socket, and
            # returns their length. It sends those to its egress, which fails,
            # because the socket has been shut down.
            sh(f"bpftool prog attach pinned {PIN}/p/msg_map msg_verdict id {map_id(fd)}")
            other, rest = pair()
            with other, rest:
                equal(put(fd, 2, other), 0)
                equal(other.send(bytes([1, INGRESS])), 2)
                sent = {"skb_egress": 4, "skb_closing": 3, "msg_ingress": 1, "msg_closing": 1}
                equal(redirects(counters(fd)), none(**sent))
                equal(fails(other.send, bytes([1, 0])), errno.EPIPE)
                equal(redirects(counters(fd)), none(**sent, msg_egress=1))
            status, out, err = redirmap(command, "drops", "map", str(map_id(fd)))
            equal((status, err), (0, ""))
            assert "accepted 4 redirects to a closing socket" in out, out


@test("inserts, deletes, failed updates, and sockets that left otherwise")
def changes():
    with loaded() as fds:
        for name in ("rm_map", "rm_hash"):
            fd = fds[name]
            socks = [*pair(), *pair(), *pair()]
            try:
                closed = socket.socket()
                for key, sock in enumerate(socks):
                    equal(put(fd, key, sock), 0)
                equal(put(fd, 0, socks[1]), 0)
                equal(put(fd, 0, socks[1], 1), errno.EEXIST)
                equal(put(fd, 7, socks[1], 2), errno.ENOENT)
                equal(put(fd, 0, socks[1], 3), errno.EINVAL)
                equal(put(fd, 0, 1000), errno.EBADF)
                equal(put(fd, 0, closed), errno.EOPNOTSUPP)
                equal(put(fd, 0, closed), errno.EOPNOTSUPP)
                failed = {"EEXIST": 1, "ENOENT": 1, "EINVAL": 1, "EBADF": 1, "EOPNOTSUPP": 2}
                with open("/dev/null", encoding="ascii") as file:
                    equal(put(fd, 0, file.fileno()), errno.ENOTSOCK)
                failed["ENOTSOCK"] = 1
                if name == "rm_map":
                    equal(put(fd, 8, socks[0]), errno.E2BIG)
                    failed["E2BIG"] = 1
                delete(fd, 5)
                equal(libbpf.bpf_map_delete_elem(fd, struct.pack("I", 5)) < 0, True)
                one = answer(fd)
                equal((one["sock"]["inserts"], one["sock"]["deletes"], one["used"],
                       one["sock"]["left"], one["sock"]["failed"]), (7, 1, 5, 1, failed))
                socks[2].close()
                one = answer(fd)
                equal((one["used"], one["sock"]["left"]), (4, 2))
                # Batches count each entry.
                count = ctypes.c_uint32(2)
                keys, values = struct.pack("II", 2, 5), struct.pack(
                    "QQ", socks[0].fileno(), socks[1].fileno())
                checked(libbpf.bpf_map_update_batch(fd, keys, values, ctypes.byref(count), None))
                checked(libbpf.bpf_map_delete_batch(fd, keys, ctypes.byref(count), None))
                one = answer(fd)
                equal((one["sock"]["inserts"], one["sock"]["deletes"], one["used"],
                       one["sock"]["left"]), (9, 3, 4, 2))
            finally:
                closed.close()
                for sock in socks:
                    sock.close()
            one = answer(fd)
            equal((one["used"], one["sock"]["left"]), (0, 6))


@test("updates by programs of type sock_ops are counted")
def by_sock_ops():
    with loaded() as fds:
        sh(f"mountpoint -q /sys/fs/cgroup || mount -t cgroup2 none /sys/fs/cgroup; "
           f"bpftool cgroup attach /sys/fs/cgroup sock_ops pinned {PIN}/p/ops_map")
        try:
            one, other = pair()
            with one, other:
                told = answer(fds["rm_map"])
                equal((told["sock"]["inserts"], told["sock"]["failed"], told["used"]),
                      (1, {"E2BIG": 1}, 1))
        finally:
            sh(f"bpftool cgroup detach /sys/fs/cgroup sock_ops pinned {PIN}/p/ops_map")


@test("the command lists socket maps, and explains refused redirects")
def told():
    with loaded() as fds:
        fd = fds["rm_map"]
        source, receiver = pair()
        with source, receiver:
            sh(f"bpftool prog attach pinned {PIN}/p/msg_map msg_verdict id {map_id(fd)}")
            equal(put(fd, 0, source), 0)
            which = ("map", str(map_id(fd)))
            status, out, err = redirmap(command, "drops", *which)
            equal((status, out, err),
                  (0, "The selected maps and targets have lost no frame.\n", ""))
            for _ in range(3):
                source.send(bytes([5, 0]))
            status, out, err = redirmap(command, "drops")
            equal((status, err), (0, ""))
            assert re.match(rf"Map {map_id(fd)} \(rm_map\) refused 3 redirects, the last one "
                            r"(just now|\d+ s ago)\. The map had no socket at the key\.", out), out
            told, = json.loads(redirmap(command, "-j", "drops", *which)[1])["refused"]
            equal((told["map"], told["reason"], told["redirects"]), (map_id(fd), "no_socket", 3))
            status, out, err = redirmap(command)
            equal((status, err, "st_map" in out), (0, "", False))
            heads = [line for line in out.splitlines() if line.split()[:2] == ["MAP", "NAME"]]
            equal(len(heads), 2)
            lines = [line.split() for line in out.splitlines() if "rm_map" in line]
            equal(lines[0][1:5], ["rm_map", "sockmap", "1", "8"])
            equal(lines[1][1:12], ["rm_map", "0", "0", "0", "0", "3", "0", "1", "0", "0", "0"])
            one = next(one for one in json.loads(redirmap(command, "-j")[1])["maps"]
                       if one["name"] == "rm_map")
            equal((one["sock"]["refused"], one["stats"]), ({"no_socket": 3}, None))


def rates_of(name, monkey):
    """What watch tells about a map: its members in JSON, and its row."""
    clock, redirmap_watch.time = redirmap_watch.time, while_it_waits(monkey)
    try:
        line = json.loads(said("--json", "watch", "--count", "1", "0.1"))
        text = said("watch", "--count", "1", "0.1")
    finally:
        redirmap_watch.time = clock
    one, = (one for one in line["maps"] if one["name"] == name)
    # Device maps have another table.
    rows, = (columns(part, "MAP") for part in text.split("\n\n") if "REFUSED/S" in part)
    row, = (row for row in rows if row["NAME"] == name)
    one["rates"] = {key: {name: round(rate * line["seconds"]) for name, rate in value.items()}
                    if isinstance(value, dict) else round(value * line["seconds"])
                    for key, value in one["rates"].items()}
    return one, row, text


@test("the rates of socket maps: redirects, refusals, failed updates")
def rates():
    with loaded() as fds:
        fd = fds["rm_map"]
        source, receiver = pair()
        target, behind = pair()
        with source, receiver, target, behind:
            sh(f"bpftool prog attach pinned {PIN}/p/msg_map msg_verdict id {map_id(fd)}")
            equal(put(fd, 0, source), 0)
            sh(f"bpftool prog detach pinned {PIN}/p/msg_map msg_verdict id {map_id(fd)}")
            equal(put(fd, 1, target), 0)

            def monkey():
                for _ in range(9):
                    source.send(bytes([1, INGRESS]))
                for _ in range(4):
                    source.send(bytes([5, 0]))
                equal(put(fd, 7, target, 2), errno.ENOENT)

            none = {"msg_egress": 0, "msg_ingress": 0, "skb_egress": 0, "skb_ingress": 0,
                    "msg_closing": 0, "skb_closing": 0, "inserts": 0, "deletes": 0,
                    "refused": {}, "failed": {}}
            one, row, text = rates_of("rm_map", monkey)
            equal(one["rates"], {**none, "msg_ingress": 9, "refused": {"no_socket": 4},
                                 "failed": {"ENOENT": 1}})
            equal((one["used"], one["stats"], row["USED"], row["SKB/S"], row["CLOSING/S"],
                   row["REASONS"]), (2, None, "2", "0", "0", "no socket, ENOENT"))
            assert "0" not in (row["MSG/S"], row["REFUSED/S"], row["FAILED/S"]), row
            # There is no table of device maps.
            assert "No claimed maps" not in text and "MISSED/S" not in text, text
            one, row, _ = rates_of("rm_map", lambda: None)
            equal((one["rates"], row["MSG/S"], row["REASONS"]), (none, "0", ""))
            # One beside a device map.
            device_map = make_map("rm_device")
            try:
                _, _, text = rates_of("rm_map", lambda: None)
                equal([line.split()[0] for line in text.splitlines() if line.split()[1:2] == [
                    "NAME"]], ["MAP", "MAP"])
                assert "rm_device" in text, text
            finally:
                os.close(device_map)


@test("failed updates are explained by errno, and what fails during --since")
def explained():
    with loaded() as fds:
        fd = fds["rm_hash"]
        number = map_id(fd)
        which = ("drops", "map", str(number))
        source, receiver = pair()
        with source, receiver:
            sh(f"bpftool prog attach pinned {PIN}/p/msg_hash msg_verdict id {number}")
            equal(put(fd, 0, source), 0)
            equal(put(fd, 0, 1000), errno.EBADF)
            equal(put(fd, 0, source, 1), errno.EBUSY)
            source.send(bytes([5, 0]))
            text = said(*which)
            name = f"Map {number} (rm_hash)"
            for code, words in (("EBUSY", "Device or resource busy"),
                                ("EBADF", "Bad file descriptor")):
                assert (f"{name} failed 1 update with {code} ({words}). {FAILURES[code]}\n"
                        ) in text, text
            failed = json.loads(said("--json", *which))["failed"]
            equal(sorted(failed, key=lambda one: one["errno"]), [
                {"map": number, "netns": netns(), "name": name, "errno": code, "updates": 1,
                 "since": None, "text": FAILURES[code]} for code in ("EBADF", "EBUSY")])

            def monkey():
                source.send(bytes([6, 0]))
                source.send(bytes([6, 0]))
                equal(put(fd, 0, 1000), errno.EBADF)

            clock, redirmap_drops.time = redirmap_drops.time, while_it_waits(monkey)
            try:
                told = json.loads(said("--json", *which, "--since", "0.1"))
                text = said(*which, "--since", "0.1")
            finally:
                redirmap_drops.time = clock
            equal([(one["reason"], one["redirects"], one["since"]["redirects"])
                   for one in told["refused"]], [("no_socket", 3, 2)])
            equal([(one["errno"], one["updates"], one["since"]["updates"])
                   for one in told["failed"]], [("EBADF", 2, 1), ("EBUSY", 1, 0)])
            assert re.search(r"refused 2 redirects in [\d.]+ s, 5 redirects in all\.", text), text
            assert re.search(r"failed 1 update with EBADF \(Bad file descriptor\) in [\d.]+ s, "
                             r"3 updates in all\.", text), text


@test("a map that is removed during --since: its failures are those of removed maps")
def removed_meanwhile():
    with contextlib.ExitStack() as stack:
        fds = stack.enter_context(loaded())
        source, receiver = pair()
        with source, receiver:
            sh(f"bpftool prog attach pinned {PIN}/p/msg_hash msg_verdict id "
               f"{map_id(fds['rm_hash'])}")
            equal(put(fds["rm_hash"], 0, source), 0)
            source.send(bytes([5, 0]))

            def monkey():
                source.send(bytes([6, 0]))
                source.send(bytes([6, 0]))
                # The program of the socket holds the map.
                source.close()
                stack.close()

            clock, redirmap_drops.time = redirmap_drops.time, while_it_waits(monkey)
            try:
                text = said("drops", "--since", "0.1")
            finally:
                redirmap_drops.time = clock
    assert re.search(r"^Removed socket maps refused 2 redirects in [\d.]+ s, \d+ redirects in "
                     r"all\. The map had no socket", text, re.M), text
    assert "Map " not in text, text


@test("other network namespaces: a hint, and the failures with --all-netns")
def elsewhere():
    def there(*args):
        return sh(f"unshare --net {COMMAND} {' '.join(args)}")

    with loaded() as fds:
        source, receiver = pair()
        with source, receiver:
            sh(f"bpftool prog attach pinned {PIN}/p/msg_map msg_verdict id "
               f"{map_id(fds['rm_map'])}")
            equal(put(fds["rm_map"], 0, source), 0)
            equal(there("drops"), "No frame was lost.\n")
            source.send(bytes([5, 0]))
            equal(there("drops"), "No frame was lost in this network namespace; 1 redirect to "
                                  "sockets failed in others: see --all-netns.\n")
            text = there("drops", "--all-netns")
            assert f"(rm_map) in network namespace {netns()} refused 1 redirect" in text, text


@test("counters of removed maps stay in the sums of the namespace")
def gone():
    def sums():
        with netlink.Family() as family:
            return family.state()["sock_gone"]

    before = sums()
    with loaded() as fds:
        fd = fds["rm_hash"]
        source, receiver = pair()
        with source, receiver:
            sh(f"bpftool prog attach pinned {PIN}/p/msg_hash msg_verdict id {map_id(fd)}")
            equal(put(fd, 0, source), 0)
            source.send(bytes([5, 0]))
    after = sums()
    equal((after["inserts"] - before["inserts"],
           after["refused"]["no_socket"] - before["refused"].get("no_socket", 0),
           after["left"]), (1, 1, None))
    # One number for each column of the table.
    accepted = [after[name] for name in ("msg_egress", "msg_ingress", "skb_egress", "skb_ingress")]
    closing = after["msg_closing"] + after["skb_closing"]
    refused, failed = sum(after["refused"].values()), sum(after["failed"].values())
    line = (f"Removed socket maps have accepted {sum(accepted):,} redirects "
            "(msg egress {:,}, msg ingress {:,}, skb egress {:,}, skb ingress {:,}; ".format(
                *accepted) + f"{closing:,} to closing sockets) and refused {refused:,}. They had "
            f"{after['inserts']:,} inserts, {after['deletes']:,} deletes and {failed:,} failed "
            "updates.")
    for args in (["state"], ["list"]):
        status, out, err = redirmap(command, *args)
        equal((status, err), (0, ""))
        assert line in out.splitlines(), out
    told = json.loads(redirmap(command, "--json")[1])["sock_gone"]
    # Ages grow.
    equal({**told, "refused_ages": None}, {**after, "refused_ages": None})
    assert f"Removed socket maps refused {after['refused']['no_socket']:,} redirects" in said(
        "drops")


run()
