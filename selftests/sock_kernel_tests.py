#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's own tests of socket maps, on stock and on claimed maps.

kernel/Makefile builds them from the source of the running kernel: those tests
of test_progs that use socket maps, test_sockmap, and test_sockmap() of
test_maps. Each program runs twice, with maps that the kernel makes, and with
maps that the module claims. Kprobes count both, so a run with the wrong maps
fails. All subtests are compared by name.

A subtest has to succeed on both kinds, unless a list below has its name and the
reason. Some of the tests wait for data for 3 seconds only, which may be too
short on a busy machine. So a program runs again, on both kinds, if a subtest
has failed that should not.
"""
import contextlib
import os
import re
import signal
import subprocess
import tempfile
import time
from pathlib import Path

from probelib import TRACING, kprobe
from testlib import OUTPUT, Skip, becomes, equal, in_a_net, refcnt, run, sh, skip_all, test

FOLDER = OUTPUT / "kernel" / os.uname().release
CLAIM = Path("/sys/module/redirmap/parameters/claim")
TRACE = TRACING / "instances/redirmap-kernel-tests"
SLOW = int(os.environ.get("REDIRMAP_SLOW") or 1)
# Attempts to get the expected results, unless those before took long
ATTEMPTS, LONG = 3, 300 * SLOW
# Seconds for a program
LIMIT = 500 * SLOW
POLICIES = {"stock": "", "claimed": "*"}

# Subtests whose results differ: name, results on stock and claimed maps, reason
DIFFERENT = {}

# Subtests that may fail, on stock and claimed maps alike: names and reason
KEYS = ("The kernel refuses keys of kTLS to a socket that is in a map, since 6.1.189 and "
        "6.12.111, and the test inserts the socket first.")
FAIL = (
    (r"test_sockmap: sockhash:ktls:txmsg test .*", KEYS),
    # One of its cases uses kTLS.
    (r"test_sockmap: (sockmap|sockhash)::txmsg test skb", KEYS),
)

# Subtests that are left out: name and reason; and the arguments of a program
# that runs several times, each time without some subtests
LEFT_OUT, ARGUMENTS = {}, {}
if " splice_to_socket\n" in Path("/proc/kallsyms").read_text():
    for place in ("sockhash:", "sockhash:ktls"):
        LEFT_OUT[f"test_sockmap: {place}:txmsg test hanging corks"] = (
            "This kernel crashes in splice_to_socket() with stock maps as well: see "
            "known_from_stock.rst.")
    # The tests of arrays use sendmsg(), those of hashes sendfile().
    ARGUMENTS["test_sockmap"] = (
        ["-b", "hanging corks"], ["-n", "hanging corks", "-b", "sockhash"])

# The lines of results
RESULT = {
    "test_progs": re.compile(r"#\d+(?:/\d+)? +(\S.*):(OK|SKIP|FAIL)"),
    "test_sockmap": re.compile(r"# *\d+/ *\d+ +(\S.*):(OK|FAIL)"),
}
# The programs' own numbers of tests and subtests that have succeeded
SUMMARY = {
    "test_progs": re.compile(r"^Summary: (\d+/\d+) PASSED", re.M),
    "test_sockmap": re.compile(r"^Pass: (\d+) Fail", re.M),
}


class Maps:
    """Counts of the socket maps that were made, and of those that the module
    has claimed, since the last look."""

    IS_MAP = "result > 0 || result < -4095"
    EVENTS = (
        ("redirmap_array_made", "sock_map_alloc result=$retval:s64", IS_MAP),
        ("redirmap_hash_made", "sock_hash_alloc result=$retval:s64", IS_MAP),
        ("redirmap_claimed", "redirmap:rmap_kind_claim result=$retval:u8", "result == 1"),
    )

    def __init__(self, stack):
        sh(f"mountpoint -q {TRACING} || mount -t tracefs none {TRACING}")
        TRACE.mkdir()
        stack.callback(TRACE.rmdir)
        (TRACE / "buffer_size_kb").write_text("2048")
        for name, place, only in self.EVENTS:
            event = stack.enter_context(kprobe(name, place, TRACE, "r"))
            (event / "filter").write_text(only)
            (event / "enable").write_text("1")

    @staticmethod
    def take():
        text = (TRACE / "trace").read_text()
        (TRACE / "trace").write_text("")
        kept, written = re.search(r"entries-in-buffer/entries-written: (\d+)/(\d+)", text).groups()
        equal(kept, written)
        return len(re.findall(r" redirmap_\w+_made: ", text)), text.count(" redirmap_claimed: ")


class Run:
    """A run of a program: results by names, and the lines before each."""

    def __init__(self, program, kind, maps):
        self.results, self.lines, self.output = {}, {}, []
        CLAIM.write_text(POLICIES[kind] + "\n")
        maps.take()
        for arguments in ARGUMENTS.get(program, [[]]):
            self.run(program, arguments)
        self.idle = becomes(lambda: refcnt() == 0)
        self.made, self.claimed = maps.take()

    def run(self, program, arguments):
        # Line by line, because processes that a test forks would write the
        # lines in the buffer once more. Not to a pipe, which they keep open
        # when the program has been killed.
        command = ["stdbuf", "-oL", f"./{program}", *arguments]
        with tempfile.TemporaryFile("w+", errors="replace") as file:
            with subprocess.Popen(command, cwd=FOLDER, stdout=file, stderr=subprocess.STDOUT,
                                  stdin=subprocess.DEVNULL, start_new_session=True) as process:
                try:
                    status = str(process.wait(LIMIT))
                except subprocess.TimeoutExpired:
                    status = "timeout"
                    os.killpg(process.pid, signal.SIGKILL)
            file.seek(0)
            output = file.read()
        self.output.append(output)
        before = []
        # test_progs prints failures again at the end.
        for line in output.split("\nAll error logs:\n", maxsplit=1)[0].splitlines():
            before.append(line)
            found = RESULT[program].fullmatch(line) if program in RESULT else None
            if found:
                self.add(f"{program}: {found[1]}", found[2], before)
                before = []
        self.add(f"{program}: exit status", status, before)

    def add(self, name, result, lines):
        # The kernel's tests use some names several times.
        number = 1
        unique = name
        while unique in self.results:
            number += 1
            unique = f"{name} ({number})"
        self.results[unique] = result
        self.lines[unique] = lines[-20:]


def reason_to_fail(name):
    return next((why for names, why in FAIL if re.fullmatch(names, name)), None)


def is_expected(name, stock, claimed):
    if name in DIFFERENT:
        return (stock, claimed) == DIFFERENT[name][:2]
    return stock == claimed and (stock in ("OK", "SKIP", "0") or bool(reason_to_fail(name)))


def attempts(program, maps):
    """Runs of a program on both kinds, until all results are as expected; and
    the names whose results never were."""
    all_runs, bad, began = [], None, time.monotonic()
    while bad is None or bad and len(all_runs) < ATTEMPTS and time.monotonic() - began < LONG:
        runs = [Run(program, kind, maps) for kind in POLICIES]
        all_runs.append(runs)
        names = dict.fromkeys(name for one in runs for name in one.results)
        wrong = [name for name in names
                 if not is_expected(name, *(one.results.get(name, "absent") for one in runs))]
        bad = wrong if bad is None else [name for name in bad if name in wrong]
        if wrong:
            print(f"# attempt {len(all_runs)}:", *wrong, sep="\n#   ", flush=True)
            for kind, one in zip(POLICIES, runs):
                print(f"# {kind}:", *one.output[-1].splitlines()[-20:], sep="\n#   ", flush=True)
    return all_runs, bad


def add_result(name, runs, bad):
    @test(name)
    def _():
        stock, claimed = (one.results.get(name, "absent") for one in runs)
        if name in DIFFERENT:
            print(f"# {stock} on stock, {claimed} on claimed maps: {DIFFERENT[name][2]}")
        elif stock == claimed and stock != "OK" and reason_to_fail(name):
            print(f"# {stock} on both: {reason_to_fail(name)}")
        if name in bad:
            for kind, one in zip(POLICIES, runs):
                for line in one.lines.get(name, ()):
                    print(f"# {kind}: {line}")
            raise AssertionError(f"{stock} on stock, {claimed} on claimed maps")


def add_left_out(name, why):
    @test(name)
    def _():
        raise Skip(why)


def add_results(program, maps):
    all_runs, bad = attempts(program, maps)
    last = all_runs[-1]
    for name in dict.fromkeys(name for one in last for name in one.results):
        add_result(name, last, bad)

    @test(f"{program}: the maps were stock, and then claimed")
    def _():
        for stock, claimed in all_runs:
            print(f"# maps made and claimed: {stock.made} and {stock.claimed} in the run on "
                  f"stock maps, {claimed.made} and {claimed.claimed} in the other")
            assert stock.made and claimed.made
            equal(stock.claimed, 0)
            equal(claimed.claimed, claimed.made)
            assert stock.idle and claimed.idle, "references to the module are left"

    if program in RESULT:
        @test(f"{program}: all results were read")
        def _():
            for one in last:
                counted = [SUMMARY[program].findall(output) for output in one.output]
                equal([len(found) for found in counted], [1] * len(counted))
                equal(sum(result == "OK" for result in one.results.values()),
                      sum(int(number) for found in counted
                          for number in re.findall(r"\d+", found[0])))


why_not = FOLDER / "not-built"
if why_not.exists():
    skip_all(why_not.read_text().strip().replace("\n", " "))
in_a_net()
sh("ip link set lo up; modprobe -q vsock_loopback || :")
policy = CLAIM.read_text()
with contextlib.ExitStack() as resources:
    resources.callback(CLAIM.write_text, policy)
    counts = Maps(resources)
    for program_name in ("test_progs", "sock_maps", "test_sockmap"):
        add_results(program_name, counts)
for left_out in LEFT_OUT.items():
    add_left_out(*left_out)
run()
