#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""redirmap metrics: the counters of real frames in Prometheus' format, which
promtool accepts; the same numbers as redirmap list; files that are replaced."""
import os
import re
import subprocess
import tempfile
from pathlib import Path

import testlib
from commandlib import command, forward, make_switch, said, told
from testlib import TOP, equal, redirmap, run, sh, test

import redirmap_metrics

PIN = "/sys/fs/bpf/redirmap-metrics"
switch = make_switch(PIN)
forward(1, length=100, times=7)
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


@test("the numbers are those that redirmap list has, for maps and targets")
def _():
    now, listed = samples(said("metrics")), told()
    equal(now["redirmap_loaded",], 1)
    for one in listed["targets"]:
        labels = ("target", str(one["id"])), ("device", one["ifname"])
        equal(now["redirmap_target_sent_frames_total", *labels], one["stats"]["packets"])
        equal(now["redirmap_target_sent_bytes_total", *labels], one["stats"]["bytes"])
        equal({key[-1][1]: value for key, value in now.items()
               if key[0] == "redirmap_target_lost_frames_total" and key[1:3] == labels},
              one["stats"]["drops"])
    sent, = (value for key, value in now.items()
             if key[0] == "redirmap_target_sent_frames_total" and ("device", "out1") in key)
    equal(sent, 7)
    lost, = (value for key, value in now.items()
             if key[0] == "redirmap_target_lost_frames_total" and ("device", "out2") in key)
    equal(lost, 5)
    for one in listed["maps"]:
        labels = ("map", str(one["id"])), ("name", one["name"]), ("type", one["type"])
        for name, key in (("entries", "used"), ("capacity_entries", "capacity"),
                          ("members", "members"), ("memory_bytes", "memory")):
            equal(now[f"redirmap_map_{name}", *labels], one[key])


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


@test("promtool has no finding")
def _():
    promtool = sh(f"{TOP}/scripts/lab/promtool").strip()
    done = subprocess.run([promtool, "check", "metrics"], input=said("metrics"), text=True,
                          capture_output=True, check=False)
    equal((done.returncode, done.stdout, done.stderr), (0, "", ""))
    # It has findings at all.
    done = subprocess.run([promtool, "check", "metrics"], text=True, capture_output=True,
                          input="# TYPE a_total gauge\na_total 1\n", check=False)
    assert done.returncode, done


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
