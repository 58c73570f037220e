#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The command redirmap: what it says of maps, targets, drops and rates, of real
frames; as text and as JSON. Its errors, manual page, completion and installation
are test_usage.py's."""
import errno
import json
import os
import re
import subprocess
import sys

import testlib
from testlib import (DEVMAP_HASH, OUTPUT, becomes, delete, equal, frame_to, ifindex, in_a_net,
                     load_command, make_map, map_id, need_modules, netns, open_pinned, redirmap,
                     run, send, sh, test, update)

in_a_net()
need_modules("pyroute2")

import redirmap_watch  # noqa: E402

command = load_command()

PIN = "/sys/fs/bpf/redirmap-command"
OTHER = "rmcmd"

# in1 leads to in0, where the program is that looks at frames' hosts: 1 is behind
# out1, 2 behind out2, and so on.
sh(f"rm -rf {PIN}; mkdir -p {PIN}; "
   f"bpftool prog loadall {OUTPUT}/hosts.bpf.o {PIN}/p pinmaps {PIN}/m")
testlib.add_veth("in0", "in1")
sh(f"bpftool net attach xdpdrv pinned {PIN}/p/to_rm_hash dev in0")
for host in (1, 2, 3):
    testlib.add_veth(f"out{host}", f"peer{host}")
for host in (1, 2):
    sh(f"bpftool net attach xdpdrv pinned {PIN}/p/at_host dev peer{host}")
switch = open_pinned(f"{PIN}/m/rm_hash")
for host in (1, 2, 3):
    update(switch, host, ifindex(f"out{host}"))


def said(*args):
    """What the command prints; it succeeds, and has nothing to complain about."""
    status, out, err = redirmap(command, *args)
    equal((status, err), (0, ""))
    return out


def told(*args):
    return json.loads(said("--json", *args))


def target(device):
    return next(one for one in told()["targets"] if one["ifname"] == device)


def count(device):
    """Frames for a device that have been sent or lost."""
    stats = target(device)["stats"]
    return stats["packets"] + sum(stats["drops"].values())


def forward(host, length=100, times=7):
    """Frames to a host, until they are counted."""
    before = count(f"out{host}")
    send("in1", frame_to(host, length), times)
    assert becomes(lambda: count(f"out{host}") == before + times), target(f"out{host}")


def columns(text, head):
    """The cells of a table's rows, by the table's head."""
    lines = text.splitlines()
    # Numbers, and what is above them, are at the right of their column.
    at = next(number for number, line in enumerate(lines) if line.split()[:1] == [head])
    names = re.split("  +", lines[at].strip())
    rows = []
    for line in lines[at + 1:]:
        if not line:
            break
        # Only the last cell may be empty.
        cells = re.split("  +", line.strip())
        rows.append(dict(zip(names, cells + [""] * (len(names) - 1 == len(cells)), strict=True)))
    return rows


# --- list -------------------------------------------------------------------


@test("nothing was lost, to begin with")
def _():
    equal(said("drops"), "No frame was lost.\n")
    equal(told("drops"), {"drops": []})


@test("a table of maps and targets")
def _():
    forward(1, times=20)
    fd = make_map("rm_table", entries=5)
    text = said()
    equal(text, said("list"))
    rows = {row["NAME"]: row for row in columns(text, "MAP")}
    row = rows["rm_table"]
    assert re.fullmatch(r"\d+ (B|KiB)", row.pop("MEMORY")), row
    equal(row, {"MAP": str(map_id(fd)), "NAME": "rm_table", "TYPE": "devmap", "USED": "0",
                "CAPACITY": "5", "MEMBERS": "0", "LOST": "0"})
    row = rows["rm_hash"]
    equal((row["TYPE"], row["USED"], row["MEMBERS"]), ("devmap_hash", "3", "3"))

    rows = {row["DEVICE"]: row for row in columns(text, "TARGET")}
    equal(sorted(rows), ["out1", "out2", "out3"])
    row = rows["out1"]
    number = row.pop("TARGET")
    equal(row, {"DEVICE": "out1", "IFINDEX": str(ifindex("out1")), "PROGRAM": "-", "MAPS": "1",
                "PACKETS": "20", "BYTES": "2000", "LOST": "0"})

    # Columns stand below their heads: numbers end, words begin there.
    lines = text.splitlines()
    for column in ("USED", "CAPACITY", "MEMBERS", "LOST"):
        end = lines[0].index(column) + len(column)
        for line in lines[1:lines.index("")]:
            assert line[:end].rstrip()[-1].isdigit() and line[end:end + 1] in ("", " "), line

    # Single ones.
    text = said("list", "--target", number)
    equal([row["DEVICE"] for row in columns(text, "TARGET")], ["out1"])
    assert "CAPACITY" not in text, text
    text = said("list", "--map", str(map_id(fd)))
    equal([row["NAME"] for row in columns(text, "MAP")], ["rm_table"])
    assert "IFINDEX" not in text, text
    os.close(fd)


@test("the same as JSON")
def _():
    fd = make_map("rm_json", DEVMAP_HASH, 6, 8)
    number = map_id(fd)
    everything = told()
    equal(sorted(everything), ["maps", "targets"])
    one = next(one for one in everything["maps"] if one["id"] == number)
    equal(told("list", "--map", str(number)), {"maps": [one]})
    assert one.pop("memory") > 0
    nothing = {"packets": 0, "bytes": 0, "drops": {}, "error": None}
    equal(one, {"id": number, "name": "rm_json", "type": "devmap_hash", "value_size": 8,
                "capacity": 6, "used": 0, "members": 0, "netns": netns(), "stats": nothing})
    one = target("out1")
    equal(told("list", "--target", str(one["id"])), {"targets": [one]})
    equal({key: one[key] for key in ("ifindex", "prog_id", "refs", "netns", "entry")},
          {"ifindex": ifindex("out1"), "prog_id": None, "refs": 1, "netns": netns(),
           "entry": False})
    equal(one["stats"], {**nothing, "packets": 20, "bytes": 2000})
    os.close(fd)


@test("an egress program, and an entry with counters of its own")
def _():
    maps = len(told()["maps"])
    sh(f"bpftool prog loadall {OUTPUT}/tools.bpf.o {PIN}/tools")
    prog = open_pinned(f"{PIN}/tools/short_only")
    sh(f"rm -r {PIN}/tools")
    fd = make_map("rm_egress", value_size=8)
    update(fd, 0, ifindex("out2"), prog)
    number = int(testlib.fdinfo(prog, "prog_id"))
    equal([one["ifname"] for one in told()["targets"] if one["prog_id"] == number], ["out2"])
    assert str(number) in [row["PROGRAM"] for row in columns(said(), "TARGET")]

    counts = make_map("rm_counts", value_size=160)
    testlib.checked(testlib.libbpf.bpf_map_update_elem(
        counts, bytes(4), ifindex("out2").to_bytes(4, "little").ljust(160, b"\0"),
        testlib.ctypes.c_uint64(0)))
    equal([one["ifname"] for one in told()["targets"] if one["entry"]], ["out2"])
    assert "out2 (entry)" in [row["DEVICE"] for row in columns(said(), "TARGET")]
    for one in (fd, counts, prog):
        os.close(one)
    assert becomes(lambda: (len(told()["maps"]), len(told()["targets"])) == (maps, 3))


# --- drops ------------------------------------------------------------------


def losses(device):
    """What JSON says of a device's drops: reason, lost, offered, error."""
    return sorted((one["reason"], one["packets"], one["offered"], one["error"])
                  for one in told("drops")["drops"]
                  if one["target"] is not None and one["name"] == device)


@test("a device that is down: who lost how many, why, and what to do")
def _():
    sh("ip link set out1 down")
    forward(1)
    equal(said("drops"), "out1 lost 7 of 27 frames. The device was down. Set it up.\n")
    sh("ip link set out1 up")
    one, = told("drops")["drops"]
    equal(one, {"map": None, "target": target("out1")["id"], "netns": netns(), "name": "out1",
                "reason": "dev_down", "packets": 7, "error": None, "offered": 27,
                "text": "The device was down. Set it up."})


@test("frames that are too large")
def _():
    sh("ip link set out1 mtu 200")
    forward(1, length=300, times=5)
    sh("ip link set out1 mtu 1500")
    equal(losses("out1"), [("dev_down", 7, 32, None), ("too_large", 5, 32, None)])
    assert "out1 lost 5 of 32 frames. The frame was larger than the device's MTU" in said("drops")


@test("a veth whose peer has neither a program nor GRO")
def _():
    forward(3, times=4)
    # 6.1 asks the driver, later kernels its features.
    if os.uname().release.startswith("6.1."):
        want = ("driver_error", 4, 4, errno.ENXIO)
    else:
        want = ("no_xmit", 4, 4, None)
    equal(losses("out3"), [want])
    text = said("drops")
    assert "out3 lost 4 of 4 frames. " in text, text
    assert "the peer needs an XDP program or GRO" in text.replace("its", "the"), text
    equal(want[3] is not None, "ENXIO (No such device or address)" in text)


@test("no entry at the key: told of the map")
def _():
    def drops():
        return told("list", "--map", str(map_id(switch)))["maps"][0]["stats"]["drops"]

    equal(drops(), {})
    send("in1", frame_to(9, 100), 3)
    assert becomes(lambda: drops() == {"no_target": 3}), drops()
    assert f"Map {map_id(switch)} (rm_hash) lost 3 frames. The map had no entry" in said("drops")
    one = next(one for one in told("drops")["drops"] if one["map"] is not None)
    equal((one["map"], one["target"], one["reason"]), (map_id(switch), None, "no_target"))
    rows = {row["NAME"]: row["LOST"] for row in columns(said(), "MAP")}
    equal(rows["rm_hash"], "3")


@test("what is no more has not been forgotten")
def _():
    lost = sum(target("out3")["stats"]["drops"].values())
    sh("ip link del out3")
    name = "Maps and targets that are no more"
    assert becomes(lambda: name in said("drops"))
    one, = [one for one in told("drops")["drops"] if one["name"] == name]
    equal((one["packets"], one["map"], one["target"]), (lost, None, None))
    assert f"{name} lost 4 frames. " in said("drops")
    equal(sum(told("state")["gone"]["drops"].values()), lost)
    equal([one["ifname"] for one in told()["targets"] if one["ifname"] == "out3"], [])


# --- watch ------------------------------------------------------------------


def while_it_waits(monkey):
    """Replaces the time between two looks by something that happens."""
    class Clock:
        monotonic = staticmethod(testlib.time.monotonic)
        strftime = staticmethod(testlib.time.strftime)

        @staticmethod
        def sleep(seconds):
            testlib.time.sleep(seconds)
            monkey()

    return Clock


def watched(monkey, *args):
    clock = redirmap_watch.time
    redirmap_watch.time = while_it_waits(monkey)
    try:
        return said("watch", *args, "0.1")
    finally:
        redirmap_watch.time = clock


@test("rates are what has happened in between")
def _():
    def monkey():
        forward(2, length=100, times=30)
        sh("ip link set out1 down")
        forward(1, times=6)
        sh("ip link set out1 up")

    # An object a line.
    lines = [json.loads(line) for line in watched(monkey, "--json", "--count", "2").splitlines()]
    equal(len(lines), 2)
    for line in lines:
        equal(sorted(line), ["maps", "seconds", "targets"])
        # The busiest comes first.
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


@test("an interval without frames has no rates")
def _():
    line = json.loads(said("--json", "watch", "--count", "1", "0.1"))
    for one in line["targets"] + line["maps"]:
        equal(one["rates"], {"packets": 0, "bytes": 0, "drops": {}})


@test("on a terminal it shows itself in the same place")
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
    assert "Maps and targets that are no more have sent " in text, text


@test("all namespaces, told apart")
def _():
    sh(f"ip netns add {OTHER}; ip -n {OTHER} link add there type dummy")
    there = os.stat(f"/run/netns/{OTHER}").st_ino
    # Of a program that stays: bpffs is another one below ip netns exec.
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
        # Options stand before or behind the command.
        equal(said("list", "--all-netns"), text)
        assert "out1 in this network namespace lost " in said("drops", "--all-netns")


try:
    run()
finally:
    delete(switch, 1)
    os.close(switch)
    sh(f"rm -rf {PIN}")
    subprocess.run(["ip", "netns", "del", OTHER], capture_output=True, check=False)
