#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The example of Documentation/map_sockmap.rst does what it says, with a
claimed and with a stock map: connections of 127.0.0.1 bypass TCP, and no byte
is lost."""
import json
import os
import shutil
import socket
import tempfile
from pathlib import Path

from testlib import CLAIM, OUTPUT, becomes, equal, in_a_net, redirmap, refcnt, run, sh, test

in_a_net()

import redirmap_main as command  # noqa: E402

POLICY = Path("/sys/module/redirmap/parameters/claim")
ROUNDS = 20
sh("ip link set lo up; mountpoint -q /sys/fs/bpf || mount -t bpf none /sys/fs/bpf; "
   "mountpoint -q /sys/fs/cgroup || mount -t cgroup2 none /sys/fs/cgroup")


def talk():
    """Both ends of a connection send and receive in turn."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.create_connection(server.getsockname())
        other, _ = server.accept()
    with one, other:
        for number in range(ROUNDS):
            for sender, receiver in ((one, other), (other, one)):
                sender.settimeout(60)
                receiver.settimeout(60)
                text = bytes([number]) * (number * 100 + 1)
                sender.sendall(text)
                got = b""
                while len(got) < len(text):
                    got += receiver.recv(len(text) - len(got))
                equal(got, text)


def counters():
    """The counters of the example's map; None if it is the kernel's."""
    status, out, err = redirmap(command, "--json", "list")
    equal((status, err), (0, ""))
    return next((one["sock"] for one in json.loads(out)["maps"]
                 if one["name"] == "local_socks"), None)


def example(policy):
    folder = tempfile.mkdtemp()
    try:
        for one in Path(OUTPUT, "examples").glob("local*"):
            shutil.copy(one, folder)
        POLICY.write_text(policy, encoding="ascii")
        sh(f"cd {folder} && bash -e local-start.sh")
        try:
            talk()
            told = counters()
        finally:
            sh(f"cd {folder} && bash -e local-stop.sh")
        equal([name for name in os.listdir("/sys/fs/bpf") if "local" in name], [])
        equal(becomes(lambda: refcnt() == 0), True)
        return told
    finally:
        POLICY.write_text(CLAIM, encoding="ascii")
        shutil.rmtree(folder)


@test("the example with a claimed map, whose counters have each message")
def claimed():
    told = example("local_socks")
    equal((told["msg_ingress"], told["msg_egress"], told["refused"], told["msg_closing"]),
          (2 * ROUNDS, 0, {}, 0))
    equal((told["inserts"], told["deletes"], told["failed"]), (2, 0, {}))


@test("the example with a stock map")
def stock():
    equal(example(""), None)


run()
