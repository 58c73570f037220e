#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""redirmap metrics: the counters of real frames, packets and redirects to
sockets in Prometheus' format, which promtool accepts; the same numbers as
redirmap list; files that are replaced."""
import ctypes
import errno
import os
import re
import socket
import struct
import subprocess
import tempfile
from pathlib import Path

import testlib
from commandlib import command, forward, make_switch, said, told
from testlib import (OUTPUT, TOP, delete, equal, ifindex, make_map, map_id, open_pinned, redirmap,
                     run, sh, test, update)

import redirmap_metrics

PIN = "/sys/fs/bpf/redirmap-metrics"
SOCKETS = "/sys/fs/bpf/redirmap-metrics-sock"
PACKETS = Path("/sys/module/redirmap/parameters/packets")
# The reasons that have a series before the first loss: of targets without an
# egress program and with one, of maps, of removed ones.
TARGET = ["dev_down", "driver_error", "generic", "no_headroom", "no_memory", "no_xmit",
          "ring_full", "too_large", "xmit_drop"]
PROGRAM = sorted([*TARGET, "prog_aborted", "prog_drop", "prog_invalid"])
MAP = ["no_headroom", "no_member"]
REMOVED = sorted([*PROGRAM, "no_member"])
ACTIONS = ["aborted", "drop", "pass", "tx"]
REFUSALS = ["direction", "flags", "key", "no_socket", "other", "state"]
# The device out3 takes no frames.
PACKETS.write_text("*\n", encoding="ascii")
switch = make_switch(PIN)
PACKETS.write_text("\n", encoding="ascii")
forward(1, length=100, times=7)
forward(3, times=4)
sh("ip link set out2 down")
forward(2, times=5)


def samples(text):
    """The value of each metric with its labels."""
    found = {}
    for line in text.splitlines():
        if not line.startswith("#"):
            name, labels, value = re.fullmatch(r"(\w+)(?:\{(.*)\})? (\d+)", line).groups()
            pairs = re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels or "")
            key = (name, *(pair for pair in pairs if pair[0] != "netns"))
            assert key not in found, line
            found[key] = int(value)
    return found


def at_once():
    """The metrics and the list, of a time in which nothing has changed. The
    memory of a map changes a moment after its updates."""
    found = []

    def unchanged():
        listed = told()
        found[:] = samples(said("metrics")), listed
        return told() == listed

    assert testlib.becomes(unchanged)
    return found


@test("the numbers are those that redirmap list has, for maps and targets")
def _():
    now, listed = at_once()
    equal(now["redirmap_loaded",], 1)
    for one in listed["targets"]:
        labels = ("target", str(one["id"])), ("device", one["ifname"])
        equal(now["redirmap_target_sent_frames_total", *labels], one["stats"]["packets"])
        equal(now["redirmap_target_sent_bytes_total", *labels], one["stats"]["bytes"])
        equal(now["redirmap_target_sent_as_packets_frames_total", *labels],
              one["stats"]["as_packets"])
        equal({key[-1][1]: value for key, value in now.items()
               if key[0] == "redirmap_target_lost_frames_total" and key[1:3] == labels},
              {**dict.fromkeys(TARGET, 0), **one["stats"]["drops"]})
    sent, = (value for key, value in now.items()
             if key[0] == "redirmap_target_sent_frames_total" and ("device", "out1") in key)
    equal(sent, 7)
    equal({dict(key[1:])["device"]: value for key, value in now.items()
           if key[0] == "redirmap_target_sent_as_packets_frames_total"},
          {"out1": 0, "out2": 0, "out3": 4})
    equal({key[-1][1]: value for key, value in now.items()
           if key[0] == "redirmap_target_lost_frames_total" and ("device", "out2") in key},
          {**dict.fromkeys(TARGET, 0), "dev_down": 5})
    for one in listed["maps"]:
        labels = ("map", str(one["id"])), ("name", one["name"]), ("type", one["type"])
        for name, key in (("entries", "used"), ("capacity_entries", "capacity"),
                          ("members", "members"), ("users", "users"),
                          ("memory_bytes", "memory")):
            equal(now[f"redirmap_map_{name}", *labels], one[key])


def series(now, *labels):
    """The names and the further labels of all samples of one object."""
    return [(key[0].removeprefix("redirmap_"), *key[1 + len(labels):]) for key in now
            if key[1:1 + len(labels)] == labels]


def each(name, label, values):
    return [(name, (label, value)) for value in values]


def in_manual(sentence):
    page = (TOP / "Documentation/redirmap.8.rst").read_text(encoding="utf-8")
    assert sentence in " ".join(page.split()), sentence


@test("a series is there, as 0, before the first event; the manual has their number")
def _():
    sh(f"bpftool prog loadall {OUTPUT}/tools.bpf.o {PIN}/tools")
    prog = open_pinned(f"{PIN}/tools/short_only")
    sh(f"rm -r {PIN}/tools")
    egress = make_map("rm_egress", value_size=8)
    update(egress, 0, ifindex("out1"), prog)
    sockets = make_map("rm_sockets", kind=15)
    text, number = said("metrics"), testlib.fdinfo(prog, "prog_id")
    now, targets = samples(text), told()["targets"]
    kinds = set()
    for one in targets:
        labels = ("target", str(one["id"])), ("device", one["ifname"])
        reasons = TARGET
        if one["prog_id"] is not None:
            equal(str(one["prog_id"]), number)
            labels, reasons = (*labels, ("program", number)), PROGRAM
        found = series(now, *labels)
        equal(sorted(found), sorted([
            ("target_maps",), ("target_sent_frames_total",), ("target_sent_bytes_total",),
            ("target_sent_as_packets_frames_total",),
            *each("target_lost_frames_total", "reason", reasons)]))
        kinds.add((one["prog_id"] is not None, len(found)))
    equal(kinds, {(False, 13), (True, 16)})
    in_manual("A target makes 13 series, with an egress program 16")

    own = [(name,) for name in ("map_capacity_entries", "map_entries", "map_users",
                                "map_memory_bytes")]
    found = series(now, ("map", str(map_id(egress))), ("name", "rm_egress"), ("type", "devmap"))
    equal(sorted(found), sorted([
        *own, ("map_members",), *each("map_lost_frames_total", "reason", MAP),
        *each("map_missed_lookups_total", "action", ACTIONS)]))
    in_manual(f"a device map {len(found)},")
    found = series(now, ("map", str(map_id(sockets))), ("name", "rm_sockets"),
                   ("type", "sockmap"))
    equal(sorted(key for key in found if key[0] == "map_refused_redirects_total"),
          each("map_refused_redirects_total", "reason", REFUSALS))
    in_manual(f"a socket map {len(found)}, and")

    rest = [key for key in series(now) if not key[0].startswith(("map_", "target_"))]
    in_manual(f"The others are {sum(key[0] != 'removed_failed_updates_total' for key in rest)},")
    for want in (each("removed_lost_frames_total", "reason", REMOVED),
                 each("removed_missed_lookups_total", "action", ACTIONS),
                 each("removed_refused_redirects_total", "reason", REFUSALS),
                 each("invalid_redirect_lost_frames_total", "reason", ["no_target"])):
        equal(sorted(key for key in rest if key[0] == want[0][0]), want)
    for fd in (egress, sockets, prog):
        os.close(fd)
    # The first loss for a reason changes a series that was there.
    labels = ("map", str(map_id(switch))), ("name", "rm_hash"), ("type", "devmap_hash")
    name = "redirmap_map_missed_lookups_total", *labels, ("action", "drop")
    equal(now[name], 0)
    testlib.send("in1", testlib.frame_to(9, 100), 3)
    assert testlib.becomes(lambda: samples(said("metrics"))[name] == 3), said("metrics")


@test("all names keep to the conventions, and have a help text and a type")
def _():
    text = said("metrics")
    for name in {key[0] for key in samples(text)}:
        kind, about = redirmap_metrics.METRICS[name]
        assert f"# HELP {name} {about}\n# TYPE {name} {kind}\n" in text, name
    for name, (kind, about) in redirmap_metrics.METRICS.items():
        assert re.fullmatch(r"redirmap(_[a-z]+)+", name), name
        equal(name.endswith("_total"), kind == "counter")
        assert about[-1] in ".?", about
    page = (TOP / "Documentation/redirmap.8.rst").read_text(encoding="utf-8")
    for name in redirmap_metrics.METRICS:
        assert f"``{name.removeprefix('redirmap_')}``" in page, name


def promtool(text):
    """The exit status and the findings of promtool for some metrics."""
    path = sh(f"{TOP}/scripts/lab/promtool").strip()
    done = subprocess.run([path, "check", "metrics"], input=text, text=True,
                          capture_output=True, check=False)
    return done.returncode, done.stdout + done.stderr


def put(fd, key, number):
    """Insert the socket that a descriptor names: 0, or the errno."""
    return -testlib.libbpf.bpf_map_update_elem(fd, struct.pack("I", key),
                                               struct.pack("Q", number), ctypes.c_uint64(0))


def use_sockets(fd):
    """Three inserts, two failures, a delete; two redirects that are accepted,
    and three that are not."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        socks = [socket.create_connection(server.getsockname()) for _ in range(2)]
        socks += [server.accept()[0] for _ in range(2)]
    source, target = socks[:2]
    source.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sh(f"bpftool prog attach pinned {SOCKETS}/p/msg_map msg_verdict id {map_id(fd)}")
    for key, sock in ((0, source), (1, target), (2, socks[2])):
        equal(put(fd, key, sock.fileno()), 0)
    for _ in range(2):
        equal(put(fd, 3, 1000), errno.EBADF)
    delete(fd, 2)
    # The key, and the flags: BPF_F_INGRESS.
    for message in (b"\1\1", b"\1\1", b"\5\0", b"\5\0", b"\5\0"):
        equal(source.send(message), 2)
    return socks


@test("socket maps: redirects, inserts, deletes and failures, and the sums over removed ones")
def _():
    want = {
        (f"{redirects}_redirects_total", *labels): 0
        for redirects, labels in [
            ("accepted", (("data", data), ("direction", direction)))
            for data in ("msg", "skb") for direction in ("egress", "ingress")
        ] + [("closing", (("data", data),)) for data in ("msg", "skb")]
    }
    want.update({("refused_redirects_total", ("reason", reason)): 0 for reason in REFUSALS})
    want.update({
        ("accepted_redirects_total", ("data", "msg"), ("direction", "ingress")): 2,
        ("refused_redirects_total", ("reason", "no_socket")): 3,
        ("inserts_total",): 3, ("deletes_total",): 1,
        ("failed_updates_total", ("errno", "EBADF")): 2,
    })

    def counters(prefix, labels=()):
        """The counters of sockets that one object has."""
        found = {}
        for (name, *pairs), value in samples(said("metrics")).items():
            rest = name.removeprefix(prefix)
            if rest != name and pairs[:len(labels)] == list(labels) and re.search(
                    "redirects|inserts|deletes|updates", rest):
                found[rest, *pairs[len(labels):]] = value
        return found

    sh(f"ip link set lo up; rm -rf {SOCKETS}; mkdir -p {SOCKETS}; bpftool prog loadall "
       f"{OUTPUT}/sock_counters.bpf.o {SOCKETS}/p pinmaps {SOCKETS}/m")
    fd = open_pinned(f"{SOCKETS}/m/rm_map")
    socks = []
    try:
        before = counters("redirmap_removed_")
        socks = use_sockets(fd)
        labels = ("map", str(map_id(fd))), ("name", "rm_map"), ("type", "sockmap")
        equal(counters("redirmap_map_", labels), want)
        now = samples(said("metrics"))
        equal((now["redirmap_map_entries", *labels],
               now["redirmap_map_capacity_entries", *labels]), (2, 8))
        equal(promtool(said("metrics")), (0, ""))
    finally:
        for sock in socks:
            sock.close()
        os.close(fd)
        sh(f"rm -r {SOCKETS}")
    # The program and the other maps of the file are gone as well.
    want = {key: before.get(key, 0) + value for key, value in want.items()}
    assert testlib.becomes(lambda: counters("redirmap_removed_") == want), (
        counters("redirmap_removed_"), want)


@test("promtool has no finding")
def _():
    equal(promtool(said("metrics")), (0, ""))
    # It has findings at all.
    assert promtool("# TYPE a_total gauge\na_total 1\n")[0]


@test("--output replaces the file at once, and leaves no other")
def _():
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "redirmap.prom")
        file.write_text("former\n", encoding="ascii")
        former = file.open(encoding="ascii")
        equal(redirmap(command, "metrics", "--output", str(file)), (0, "", ""))
        assert samples(file.read_text(encoding="utf-8"))
        # Not written over: a reader has all of the former one.
        equal(former.read(), "former\n")
        former.close()
        equal(file.stat().st_mode & 0o777, 0o644)
        equal(os.listdir(folder), ["redirmap.prom"])
        status, out, err = redirmap(command, "metrics", "--output", f"{folder}/none/redirmap.prom")
        equal((status, out), (1, ""))
        assert "No such file" in err, err
        equal(os.listdir(folder), ["redirmap.prom"])


@test("values of labels are quoted")
def _():
    some = redirmap_metrics.Samples()
    some.add("redirmap_loaded", 1, {"a": 'b"c\\d\ne'})
    equal(some.text().splitlines()[-1], r'redirmap_loaded{a="b\"c\\d\ne"} 1')


@test("without the module: that is a metric, and no error")
def _():
    os.close(switch)
    sh(f"ip link del in0; rm -r {PIN}")
    assert testlib.becomes(lambda: not testlib.refcnt())
    testlib.unload()
    try:
        status, out, err = redirmap(command, "metrics")
        equal((status, err, samples(out)), (0, "", {("redirmap_loaded",): 0}))
        equal(redirmap(command, "list")[0], 3)
    finally:
        testlib.load()


run()
