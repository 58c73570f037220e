# SPDX-License-Identifier: GPL-2.0-only
"""Shared by tests of socket maps in Python: programs and maps, counters. A test
imports this in a network namespace of its own.

PIN/p has the programs, and PIN/m the maps.
"""
import contextlib
import os

import redirmap_netlink as netlink
from testlib import OUTPUT, becomes, equal, map_id, open_pinned, refcnt, sh

PIN = "/sys/fs/bpf/redirmap-sock"
INGRESS, UNKNOWN_FLAG = 1, 2

sh(f"ip link set lo up; mountpoint -q /sys/fs/bpf || mount -t bpf none /sys/fs/bpf; "
   f"rm -rf {PIN}; mkdir -p {PIN}")


@contextlib.contextmanager
def loaded(programs="sock_counters", more=""):
    """The descriptors of all maps, by name; programs are pinned."""
    sh(f"bpftool prog loadall {OUTPUT}/{programs}.bpf.o {PIN}/p {more} pinmaps {PIN}/m")
    fds = {name: open_pinned(f"{PIN}/m/{name}") for name in os.listdir(f"{PIN}/m")}
    try:
        yield fds
    finally:
        for fd in fds.values():
            os.close(fd)
        sh(f"rm -rf {PIN}/*")
        equal(becomes(lambda: refcnt() == 0), True)


def answer(fd):
    """The kernel's answer about a map, as the command reads it."""
    with netlink.Family() as family:
        one, = family.maps(map_id(fd))
        return one


def counters(fd):
    return answer(fd)["sock"]


def read_all(sock, size):
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        assert more, f"only {len(data)} of {size} bytes"
        data += more
    return data
