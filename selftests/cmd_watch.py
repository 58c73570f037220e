#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The command redirmap: rates, the state, and several network namespaces."""
import json
import os
import re
import subprocess
import sys

import testlib
from commandlib import columns, forward, make_switch, said, told, while_it_waits
from testlib import becomes, delete, equal, ifindex, make_map, map_id, run, sh, test

import redirmap_watch

PIN = "/sys/fs/bpf/redirmap-watch"
OTHER, EMPTY = "rmcmd", "rmcmd2"
switch = make_switch(PIN)
# Two targets are enough.
delete(switch, 3)


# --- watch ------------------------------------------------------------------


def watched(monkey, *args):
    clock = redirmap_watch.time
    redirmap_watch.time = while_it_waits(monkey)
    try:
        return said("watch", *args, "0.1")
    finally:
        redirmap_watch.time = clock


@test("rates are of the time in between")
def _():
    def monkey():
        forward(2, length=100, times=30)
        sh("ip link set out1 down")
        forward(1, times=6)
        sh("ip link set out1 up")

    # One object per line.
    lines = [json.loads(line) for line in watched(monkey, "--json", "--count", "2").splitlines()]
    equal(len(lines), 2)
    for line in lines:
        equal(sorted(line), ["maps", "seconds", "targets"])
        # The busiest one comes first.
        equal([one["ifname"] for one in line["targets"]], ["out2", "out1"])
        sent, lost = [one["rates"] for one in line["targets"]]
        seconds = line["seconds"]
        equal([round(sent[name] * seconds) for name in ("packets", "bytes")], [30, 3000])
        equal(sent["drops"], {})
        equal((lost["packets"], list(lost["drops"])), (0, ["dev_down"]))
        equal(round(lost["drops"]["dev_down"] * seconds), 6)

    text = watched(monkey, "--count", "1")
    assert "\033" not in text, text
    rows = columns(text, "DEVICE")
    equal([(row["DEVICE"], row["REASONS"]) for row in rows], [("out2", ""), ("out1", "dev down")])


@test("rates of an entry that was replaced begin at 0, although its losses have grown")
def _():
    was = {"packets": 5, "bytes": 500, "drops": {"ring_full": 4}, "missed": {}}
    # The entry is new, and has lost 9 frames for another reason.
    now = {"packets": 5, "bytes": 500, "drops": {"dev_down": 9}, "missed": {}}
    one, = redirmap_watch.rates({1: {"stats": was}}, {1: {"stats": now}}, 1)
    equal(one["rates"], {"packets": 5, "bytes": 500, "drops": {"dev_down": 9}, "missed": {}})
    # It has grown.
    now = {**was, "packets": 7, "bytes": 900, "drops": {"ring_full": 6}}
    one, = redirmap_watch.rates({1: {"stats": was}}, {1: {"stats": now}}, 1)
    equal(one["rates"], {"packets": 2, "bytes": 400, "drops": {"ring_full": 2}, "missed": {}})


@test("an interval without frames has no rates")
def _():
    line = json.loads(said("--json", "watch", "--count", "1", "0.1"))
    for one in line["targets"] + line["maps"]:
        equal(one["rates"], {"packets": 0, "bytes": 0, "drops": {}, "missed": {}})


@test("on a terminal the output stays in its place")
def _():
    done = subprocess.run(
        ["script", "-qec", f"{sys.executable} {testlib.COMMAND} watch --count 2 0.1", "/dev/null"],
        stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True, check=True)
    equal(done.stdout.count("\033[H\033[J"), 2)
    assert "PACKETS/S" in done.stdout, done.stdout


# --- state, namespaces ------------------------------------------------------


@test("the state")
def _():
    state = told("state")
    equal(state["claim"], testlib.CLAIM)
    text = said("state")
    assert text.startswith(f"redirmap {state['version']}, claims maps named {testlib.CLAIM}\n")
    for one in state["hooks"]:
        assert re.search(rf"^{one['name']} +{one['kind']}$", text, re.M), one
    for one in state["layouts"]:
        member = re.escape(one["member"] or "(size)")
        assert re.search(rf"^{one['type']} +{member} +{one['where']}$", text, re.M), one
    assert "Removed maps and targets have sent " in text, text
    # dev_broadcast_memory.py tests how it grows and shrinks.
    assert state["copy_memory"] % 4096 == 0, state
    assert re.search(r"^[\d,]+ KiB are kept for copies of broadcasts\.$", text, re.M), text


@test("all namespaces, each named")
def _():
    sh(f"ip netns add {OTHER}; ip -n {OTHER} link add there type dummy")
    there = os.stat(f"/run/netns/{OTHER}").st_ino
    # With a permanent program; below ip netns exec there is another bpffs.
    program = ("import sys, testlib; fd = testlib.make_map('rm_there'); "
               "testlib.update(fd, 0, testlib.ifindex('there')); print('made', flush=True); "
               "sys.stdin.read()")
    with subprocess.Popen(["ip", "netns", "exec", OTHER, sys.executable, "-c", program], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        equal(other.stdout.readline(), "made\n")
        assert "rm_there" not in said() and "there" not in said(), said()
        text = said("--all-netns")
        rows = {row["NAME"]: row["NETNS"] for row in columns(text, "MAP")}
        equal(rows["rm_there"], OTHER)
        equal(rows["rm_hash"], "this one")
        rows = {row["DEVICE"]: row["NETNS"] for row in columns(text, "TARGET")}
        equal((rows["there"], rows["out1"]), (OTHER, "this one"))
        equal([one["netns"] for one in told("--all-netns")["maps"] if one["name"] == "rm_there"],
              [there])
        # Options in front of the command or behind it.
        equal(said("list", "--all-netns"), text)
        assert "out1 in this network namespace lost " in said("drops", "--all-netns")


@test("a hint about maps and losses of other namespaces")
def _():
    sh(f"ip netns add {EMPTY}")

    def there(*args):
        return sh(f"ip netns exec {EMPTY} {testlib.COMMAND} {' '.join(args)}")

    maps, targets = (len(told("--all-netns")[kind]) for kind in ("maps", "targets"))
    hint = "in others: see --all-netns"
    equal(there(), f"No claimed maps in this network namespace, {maps} {hint}.\n\n"
                   f"No targets in this network namespace, {targets} {hint}.\n")
    lost = sum(one["packets"] for one in told("drops")["drops"]
               if (one["map"], one["target"]) != (None, None))
    equal(there("drops"), "No frame was lost in this network namespace; "
                          f"{lost} frames in others: see --all-netns.\n")
    told_there = json.loads(there("-j"))
    equal((told_there["maps"], told_there["targets"]), ([], []))
    equal(json.loads(there("-j", "drops")),
          {"drops": [], "missed": [], "as_packets": [], "refused": [], "failed": [],
           "uncounted": []})


@test("an entry for a device of another namespace")
def _():
    hint = "point to devices in other network namespaces"
    sh(f"ip -n {EMPTY} link add far type dummy")
    fd = make_map("rm_far")
    assert hint not in said() + said("drops")
    # A map of another namespace with a device of this one does not suppress the
    # hint.
    with open("/proc/self/ns/net", "rb") as home:
        program = (f"import testlib; fd = testlib.make_map('rm_theirs'); "
                   f"assert not testlib.libbpf.setns({home.fileno()}, 0x40000000); "
                   f"testlib.update(fd, 0, {ifindex('out2')}); print('made', flush=True); "
                   "import sys; sys.stdin.read()")
        theirs = subprocess.Popen(
            ["ip", "netns", "exec", EMPTY, sys.executable, "-c", program], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, pass_fds=[home.fileno()])
    equal(theirs.stdout.readline(), "made\n")
    equal([one["elsewhere"] for one in told("--all-netns")["maps"] if one["name"] == "rm_theirs"],
          [1])
    subprocess.run(
        ["ip", "netns", "exec", EMPTY, sys.executable, "-c",
         f"import testlib; testlib.update({fd}, 0, testlib.ifindex('far'))"],
        pass_fds=[fd], check=True)
    number = str(map_id(fd))
    for args in ((), ("drops",), ("list", "--map", number), ("drops", "--map", number)):
        assert hint in said(*args), said(*args)
        assert hint not in said(*args, "--all-netns"), args
    # Together with the rest of the output.
    assert "The selected maps and targets have lost no frame." in said("drops", "--map", number)
    equal([one["elsewhere"] for one in told()["maps"] if one["name"] == "rm_far"], [1])
    with theirs:
        theirs.stdin.close()
    os.close(fd)
    assert becomes(lambda: hint not in said())


try:
    run()
finally:
    delete(switch, 1)
    os.close(switch)
    sh(f"rm -rf {PIN}")
    for name in (OTHER, EMPTY):
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
