#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Thousands of claimed socket maps, one after the other and at the same time:
each one is found, and counts what is done to it. A prototype found maps by a
table that was full for ever after 1,024 maps."""
import contextlib
import os
import resource

from testlib import (SOCKHASH, SOCKMAP, becomes, delete, equal, expedited, in_a_net, make_map,
                     map_id, refcnt, run, test)

in_a_net()

import redirmap_netlink as netlink  # noqa: E402
from socketlib import datagram, put  # noqa: E402
from socklib import counters  # noqa: E402

IN_A_ROW, AT_ONCE = 3000, 1500

resource.setrlimit(resource.RLIMIT_NOFILE, 2 * (2 * AT_ONCE,))


def make(number):
    return make_map(f"rm_{number}", (SOCKMAP, SOCKHASH)[number % 2], entries=2, value_size=8)


def removed():
    """What removed maps of this namespace have counted."""
    with netlink.Family() as family:
        return family.state()["sock_gone"]


@test("3,000 maps, one after the other: each counts its insert and its delete")
def _():
    before = removed()
    with datagram() as sock, expedited():
        for number in range(IN_A_ROW):
            fd = make(number)
            try:
                equal((put(fd, 1, sock), put(fd, 1, sock, 1)), (0, 17))
                delete(fd, 1)
                # Looking at each one would take longest.
                if not number % 50 or number > IN_A_ROW - 50:
                    found = counters(fd)
                    equal((found["inserts"], found["deletes"], found["failed"], found["left"]),
                          (1, 1, {"EEXIST": 1}, 0))
            finally:
                os.close(fd)
        equal(becomes(lambda: refcnt() == 0), True)
    after = removed()
    equal((after["inserts"] - before["inserts"], after["deletes"] - before["deletes"],
           after["failed"]["EEXIST"] - before["failed"].get("EEXIST", 0)), 3 * (IN_A_ROW,))


@test("1,500 maps at once: all are listed with what they have counted")
def _():
    with contextlib.ExitStack() as stack, expedited():
        socks = [stack.enter_context(datagram()) for _ in range(10)]
        fds = []
        for number in range(AT_ONCE):
            fds.append(make(number))
            stack.callback(os.close, fds[-1])
        equal(refcnt(), AT_ONCE)
        wanted = {}
        for number, fd in enumerate(fds):
            # Each number of inserts belongs to several maps.
            inserts = 1 + number % 7
            for _ in range(inserts):
                equal(put(fd, 1, socks[number % len(socks)]), 0)
            wanted[map_id(fd)] = (f"rm_{number}", inserts, 1, inserts - 1)

        def listed():
            with netlink.Family() as family:
                return {one["id"]: (one["name"], one["sock"]["inserts"], one["used"],
                                    one["sock"]["left"]) for one in family.maps()}

        equal(listed(), wanted)
        # Sockets leave many maps at once.
        for sock in socks[::2]:
            sock.close()
        for number, fd in enumerate(fds):
            if not number % len(socks) % 2:
                name, inserts, _, _ = wanted[map_id(fd)]
                wanted[map_id(fd)] = (name, inserts, 0, inserts)
        equal(listed(), wanted)
        # Those in the middle of the list go; the others are still found.
        for number in range(500, 1000):
            del wanted[map_id(fds[number])]
            os.dup2(fds[0], fds[number])
        equal(becomes(lambda: refcnt() == AT_ONCE - 500), True)
        equal(listed(), wanted)
    equal(becomes(lambda: refcnt() == 0), True)


run()
