#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""A second family of maps, which the kernel allocates: cpumaps, in a build of
the module that includes this family (src/test/second.c). Its maps are claimed
by name, listed, and freed, and have counters of their own, which outlive them.
Device maps work as before."""
import contextlib
import errno
import gc
import json
import os
import pathlib
import resource
import subprocess
import threading
import traceback

from memlib import Percpu, in_use, names
from modlib import hooked
from testlib import (CLAIM, KO, OUTPUT, becomes, equal, fdinfo, held, in_a_net, load_faulty,
                     make_map, map_id, open_pinned, redirmap, refcnt, run, sh, test, unload)

# From src/test/second.c: a nest in answers about maps and the state.
STATS, FOUND, MISSED, AGE = 1000, 1, 2, 3
# The number of bytes in answers about the state.
FILL, FILL_SIZE = 1001, 40000

CPUMAP = 16
RELEASE = os.uname().release
SECOND = f"{OUTPUT}/../{RELEASE}-selftests/second/redirmap.ko"
PIN = "/sys/fs/bpf/redirmap-second"
CGROUPS = "/sys/fs/cgroup"
CGROUP = pathlib.Path(CGROUPS, "redirmap-second")
# CPUs have charged bytes in advance, and the sizes of processes differ.
SLACK = os.cpu_count() * 64 * 4096 + (2 << 20)

in_a_net()

import redirmap_main as command  # noqa: E402
import redirmap_netlink as netlink  # noqa: E402

load_faulty()
unload()
sh(f"insmod {SECOND} claim='{CLAIM}'; rm -rf {PIN}; mkdir -p {PIN}")


def maps():
    status, out, err = redirmap(command, "--json")
    equal((status, err), (0, ""))
    return json.loads(out)["maps"]


def listed(number):
    return next((one for one in maps() if one["id"] == number), None)


def answer(request, attributes=b""):
    """The part of an answer that belongs to the family, and its size."""
    def read(data, at, end):
        first = at + netlink.GENERIC.size
        own = {number: data[start:stop]
               for number, start, stop in netlink.each_attribute(data, first, end)
               if number >= STATS}
        stats = own[STATS]
        own[STATS] = {number: netlink.u64(stats, start, stop)
                      for number, start, stop in netlink.each_attribute(stats, 0, len(stats))
                      if stop - start == 8}
        return own

    with netlink.Family() as family:
        payload = netlink.GENERIC.pack(request, netlink.VERSION, 0) + attributes
        return family.ask(family.number, payload, read)[0]


def counters_of(number):
    """The counters of a cpumap."""
    return answer(netlink.MAP_GET, netlink.encoded(1, netlink.U32.pack(number)))[STATS]


def left_behind():
    """The sum over removed cpumaps, and the number of removed maps."""
    with netlink.Family() as family:
        count = family.state()["gone_count"]
    return answer(netlink.STATE_GET)[STATS], count


def numbers(stats):
    """Fields that are the same in each run."""
    return stats[FOUND], stats[MISSED]


@test("a cpumap is claimed by its name, listed, and its misses are counted")
def counted():
    sh(f"bpftool prog loadall {OUTPUT}/second_family.bpf.o {PIN}/p pinmaps {PIN}/m; "
       f"dd if=/dev/zero of=/tmp/second bs=64 count=1 status=none")
    claimed, stock = open_pinned(f"{PIN}/m/rm_cpu"), open_pinned(f"{PIN}/m/st_cpu")
    try:
        equal(listed(map_id(stock)), None)
        one = listed(map_id(claimed))
        equal((one["name"], one["type"], one["capacity"]), ("rm_cpu", "cpumap", 4))
        # It has no targets.
        equal((one["used"], one["members"], one["elsewhere"]), (None, None, None))
        # With the record: the map's 32 bytes, and the counters of each CPU.
        assert one["memory"] > 32 + 64 * os.cpu_count(), one["memory"]
        if not RELEASE.startswith("6.1."):
            equal(one["memory"], int(fdinfo(claimed, "memlock")))
        equal(counters_of(map_id(claimed)), {FOUND: 0, MISSED: 0})
        sh(f"bpftool map update pinned {PIN}/m/rm_cpu key 0 0 0 0 value 64 0 0 0")
        for program, times in (("claimed", 5), ("stock", 5), ("found", 3)):
            sh(f"bpftool prog run pinned {PIN}/p/{program} data_in /tmp/second repeat {times} "
               "> /dev/null")
        stats = counters_of(map_id(claimed))
        equal(numbers(stats), (3, 5))
        assert stats[AGE] < 3600 * 1000, stats
        equal(numbers(left_behind()[0]), (0, 0))
        # None of it is in the fields of device maps.
        equal(listed(map_id(claimed))["stats"], None)
        # As text as well.
        status, out, err = redirmap(command)
        equal((status, err, "st_cpu" in out), (0, "", False))
        head, line = (row.split() for row in out.splitlines()[:2])
        cells = dict(zip(head, line))
        equal([cells[name] for name in ("NAME", "TYPE", "USED", "CAPACITY", "MEMBERS")],
              ["rm_cpu", "cpumap", "-", "4", "-"])
        equal((head[-2:], line[-2:]), (["MISSED", "LOST"], ["-", "-"]))
        # As rates.
        status, out, err = redirmap(command, "watch", "--count", "1", "1")
        equal((status, err), (0, ""))
        assert "rm_cpu" not in out, out
        status, out, err = redirmap(command, "drops")
        equal((status, err, "rm_cpu" in out), (0, "", False))
    finally:
        os.close(claimed)
        os.close(stock)
        sh(f"rm -rf {PIN}")


@test("the counts of a cpumap are kept when it is freed")
def kept():
    equal(becomes(lambda: maps() == []), True)
    stats, count = left_behind()
    equal((numbers(stats), count), ((3, 5), 1))
    assert stats[AGE] < 3600 * 1000, stats
    status, out, err = redirmap(command, "--json", "state")
    equal((status, err), (0, ""))
    equal(json.loads(out)["gone"]["missed"], {})


@test("another cpumap's counters are added to them, a device map's are not")
def added():
    count = left_behind()[1]
    sh(f"mkdir -p {PIN}; "
       f"bpftool prog loadall {OUTPUT}/second_family.bpf.o {PIN}/p pinmaps {PIN}/m; "
       f"bpftool prog run pinned {PIN}/p/claimed data_in /tmp/second repeat 2 > /dev/null; "
       f"rm -rf {PIN}")
    os.close(make_map("rm_dev"))
    equal(becomes(lambda: left_behind()[1] == count + 2), True)
    equal(numbers(left_behind()[0]), (3, 7))
    equal(becomes(lambda: maps() == []), True)
    equal(numbers(left_behind()[0]), (3, 7))


@test("a cpumap that is closed, but not freed yet, counts as removed")
def closed():
    sh(f"mkdir -p {PIN}; "
       f"bpftool prog loadall {OUTPUT}/second_family.bpf.o {PIN}/p pinmaps {PIN}/m; "
       f"bpftool prog run pinned {PIN}/p/claimed data_in /tmp/second repeat 5 >/dev/null")
    # It is held: it stays in this state from here on.
    equal((len(maps()), numbers(left_behind()[0])), (1, (3, 7)))
    with held("rmap_record_close") as is_held:
        sh(f"rm -rf {PIN}")
        assert is_held()
        equal((maps(), numbers(left_behind()[0])), ([], (3, 12)))
    equal(becomes(lambda: refcnt() == 0), True)
    equal(numbers(left_behind()[0]), (3, 12))


@test("an answer about the state has room for all that families report")
def grows():
    equal(len(answer(netlink.STATE_GET)[FILL]), FILL_SIZE)


class Payer:
    """A process in a memory cgroup of its own, which makes maps on request."""

    def __init__(self):
        CGROUP.mkdir()
        (hear, self.tell), (self.hear, tell) = os.pipe(), os.pipe()
        self.pid = os.fork()
        if not self.pid:
            os.close(self.tell)
            os.close(self.hear)
            status = 1
            # A garbage collection would write to the parent's heap, and so copy
            # it.
            gc.disable()
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, (2 * MANY, 2 * MANY))
                (CGROUP / "cgroup.procs").write_text(str(os.getpid()))
                while (order := os.read(hear, 64).decode()):
                    getattr(self, order)()
                    os.write(tell, b".")
                status = 0
            except Exception:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(hear)
        os.close(tell)

    def do(self, order):
        os.write(self.tell, order.encode())
        equal(os.read(self.hear, 1), b".")
        return int((CGROUP / "memory.current").read_text())

    def end(self):
        os.close(self.tell)
        os.close(self.hear)
        equal(os.waitpid(self.pid, 0)[1], 0)
        equal(becomes(lambda: not (CGROUP / "cgroup.procs").read_text()), True)
        CGROUP.rmdir()

    # Commands of the process

    def stock(self):
        self.fds = [make_map(f"st_{i}", CPUMAP) for i in range(MANY)]

    def claimed(self):
        self.fds = [make_map(f"rm_{i}", CPUMAP) for i in range(MANY)]

    def close(self):
        for fd in self.fds:
            os.close(fd)

    def fail(self):
        """Maps without a descriptor."""
        before = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (64, before[1]))
        fds = []
        try:
            while len(fds) < 64:
                fds.append(os.dup(0))
        except OSError as error:
            equal(error.errno, errno.EMFILE)
        for i in range(MANY):
            try:
                make_map(f"rm_{i}", CPUMAP)
                raise AssertionError("a map was made")
            except OSError as error:
                equal(error.errno, errno.EMFILE)
        for fd in fds:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, before)

    def descriptors(self):
        """The process keeps the memory that it needs for so many maps."""
        self.fds = [os.dup(0) for i in range(MANY)]
        self.close()

    def rest(self):
        pass


MANY = 12000


def come_and_go(kind):
    """The charge of the cgroup for each of many maps, until they are freed."""
    payer = Payer()
    try:
        before = payer.do("descriptors")
        charged = payer.do(kind) - before
        equal(len(maps()), MANY if kind == "claimed" else 0)
        payer.do("close")
        equal(becomes(lambda: refcnt() == 0, 6000), True)
        assert becomes(lambda: payer.do("rest") < before + SLACK, 6000), \
            (payer.do("rest") - before, SLACK, charged)
        return charged / MANY
    finally:
        payer.end()


@test("the creator of cpumaps pays for their records, until they are freed")
def paid():
    if not os.path.exists(f"{CGROUPS}/cgroup.controllers"):
        sh(f"mount -t cgroup2 none {CGROUPS}")
    sh(f"echo +memory >{CGROUPS}/cgroup.subtree_control")
    fd = make_map("rm_cpu", CPUMAP)
    # Besides, there is a pointer for each of 8 entries.
    record = maps()[0]["memory"] - 8 * 8
    os.close(fd)
    equal(becomes(lambda: refcnt() == 0), True)
    stock, claimed = come_and_go("stock"), come_and_go("claimed")
    print(f"# {stock:.0f} bytes for a stock map, {claimed:.0f} with a record of {record}")
    assert claimed - stock > record / 2, (stock, claimed, record)


@test("creations that fail leave no record, and nothing charged")
def failed():
    payer = Payer()
    try:
        before = payer.do("descriptors")
        payer.do("fail")
        equal(becomes(lambda: refcnt() == 0, 6000), True)
        assert becomes(lambda: payer.do("rest") < before + SLACK, 6000), \
            (payer.do("rest") - before, SLACK)
        equal(maps(), [])
    finally:
        payer.end()


@test("a cpumap that is closed before its record is made gets none")
def closed_early():
    def descriptors():
        """Slab objects of maps."""
        return {int(name) for name in os.listdir("/proc/self/fd")
                if "bpf-map" in os.path.realpath(f"/proc/self/fd/{name}")}

    before = descriptors()
    with held("record_make") as is_held:
        maker = threading.Thread(target=make_map, args=("rm_cpu", CPUMAP))
        maker.start()
        assert is_held()
        # The order keeps the module as well.
        equal((maps(), refcnt()), ([], 2))
        number, = descriptors() - before
        os.close(number)
        equal(becomes(lambda: refcnt() == 1), True)
    maker.join()
    equal((maps(), refcnt()), ([], 0))


@test("many cpumaps, and device maps beside them")
def many():
    fds = []
    try:
        for i in range(100):
            fds.append(make_map(f"rm_{i}", CPUMAP))
        fds.append(make_map("rm_dev"))
        names = {one["name"] for one in maps()}
        equal(names, {f"rm_{i}" for i in range(100)} | {"rm_dev"})
        equal(refcnt(), 101)
    finally:
        for fd in fds:
            os.close(fd)
    equal(becomes(lambda: refcnt() == 0), True)


# --- refused families and failing steps --------------------------------------


@contextlib.contextmanager
def log():
    """A list that gets the module's lines of the kernel log until the end."""
    lines = []
    kmsg = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK)
    try:
        os.lseek(kmsg, 0, os.SEEK_END)
        yield lines
        with contextlib.suppress(BlockingIOError):
            while record := os.read(kmsg, 8192).decode():
                text = record.split(";", 1)[1].splitlines()[0]
                if text.startswith("redirmap: ") and "taint" not in text \
                        and "verification" not in text:
                    lines.append(text.split(": ", 1)[1])
    finally:
        os.close(kmsg)


def insmod(*args):
    """The message of insmod when it fails, and the module's lines of the
    log."""
    with log() as lines:
        done = subprocess.run(["insmod", SECOND, f"claim={CLAIM}", *args], text=True,
                              capture_output=True, check=False)
    return done.stderr if done.returncode else None, lines


def refused(name, argument, error, line):
    @test(f"refused: {name}")
    def _():
        before = hooked()
        said, lines = insmod(argument)
        if not said:
            unload()
        assert said and error in said, said
        equal(len(lines), 1)
        assert line in lines[0], lines
        equal(os.path.exists("/sys/module/redirmap"), False)
        equal(hooked(), before)


@test("the module can be unloaded when its maps are freed")
def gone():
    unload()


refused("two kinds of one map type", "type=14", "File exists",
        "two kinds of maps have the type 14")
refused("more netlink requests than there is room for", "requests=8",
        "No space left on device", "map families have too many netlink requests")
refused("a hook on a function that there is not", "hook=redirmap_nowhere",
        "Unknown symbol", "redirmap_nowhere() cannot be hooked: this kernel has no such function")
refused("a hook on a function of a module", "hook=faulty_count_xmit",
        "Unknown symbol", "faulty_count_xmit() cannot be hooked: this kernel has no such function")
refused("a hook on a function that is not traced", "hook=__bpf_tramp_enter",
        "Invalid parameters", "__bpf_tramp_enter() cannot be hooked: ftrace does not know it")


def in_order(lines):
    """Check that steps are taken back in reverse order. Returns the steps."""
    steps = [line.split(" ", 1) for line in lines if line.startswith(("up ", "down "))]
    up = [step for way, step in steps if way == "up"]
    equal(steps, [["up", step] for step in up] + [["down", step] for step in up[::-1]])
    return up


def fail_each():
    """Each step of insmod fails once; then none does, and rmmod succeeds.
    Returns the number of steps."""
    before, number = hooked(), 1
    while True:
        said, lines = insmod(f"fail={number}", "steps=1")
        if not said:
            break
        assert "Remote I/O error" in said, said
        equal(os.path.exists("/sys/module/redirmap"), False)
        equal(hooked(), before)
        # Steps that consist of others are complete after these.
        assert len(in_order(lines)) < number, (number, lines)
        number += 1
    with log() as went:
        unload()
    equal(hooked(), before)
    in_order(lines + went)
    return number - 1


@test("each step of insmod fails: those before it are taken back, the last one first")
def steps():
    percpu, rounds = Percpu(), []
    for _ in range(2):
        number = fail_each()
        assert becomes(lambda: not percpu.callers()), names(percpu.callers())
        rounds.append(in_use())
    print(f"# {number} steps; in use after the first and the second round: {rounds}")

    def is_back():
        # The kernel frees workqueues later.
        rounds[1] = in_use()
        return all(rounds[1][what] <= rounds[0][what] + most
                   for what, most in {"kmalloc": 64, "vmalloc": 64, "pages": 512}.items())

    assert becomes(is_back), rounds


@test("the module is loaded again without the family")
def again():
    sh(f"insmod {KO} claim='{CLAIM}'")
    fd = make_map("rm_cpu", CPUMAP)
    equal((refcnt(), maps()), (0, []))
    os.close(fd)


run()
