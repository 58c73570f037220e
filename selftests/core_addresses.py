#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""No output of the module contains an address of the kernel. After a run with
maps, entries, targets, frames and drops of many kinds, all output is searched,
as root, from whom the kernel hides the least. And no user can flood the log."""
import ctypes
import os
import re
import struct
import subprocess
import sys
import time
from pathlib import Path

import testlib
from testlib import (COMMAND, DEVMAP, DEVMAP_HASH, OUTPUT, checked, equal, ifindex, in_a_net,
                     libbpf, make_map, open_pinned, run, sh, test, update)

in_a_net()

from loadlib import offer  # noqa: E402
from nllib import messages  # noqa: E402
from redirmap_netlink import MAP_GET, STATE_GET, TARGET_GET  # noqa: E402

MODULE = Path("/sys/module/redirmap")
TRACING = Path("/sys/kernel/tracing")
TRACE = TRACING / "instances/redirmap"
PIN = "/sys/fs/bpf/redirmap-addresses"
CLAIM = MODULE / "parameters/claim"

# struct redirmap_val
VALUE_SIZE = 8 + 19 * 8


# --- the form of an address -------------------------------------------------


def is_address(number):
    """Is it an address of the upper half, except for small negative numbers?
    The text of the kernel is at the end."""
    return 0xffff800000000000 <= number < 0xffffff8000000000 or \
        0xffffffff80000000 <= number < 0xffffffffff000000


def addresses(data):
    """The addresses in text, hexadecimal or decimal, and in each 8 aligned
    bytes."""
    hexadecimal = rb"(?<![0-9a-fA-F])(?:0[xX])?([fF]{4}[0-9a-fA-F]{12})(?![0-9a-fA-F])"
    decimal = rb"(?<![\w.])-?[0-9]{8,20}(?!\w)"
    found = [int(one, 16) for one in re.findall(hexadecimal, data)]
    found += [int(one) & (1 << 64) - 1 for one in re.findall(decimal, data)]
    found += [int.from_bytes(data[at:at + 8], "little") for at in range(0, len(data) - 7, 4)]
    return [hex(one) for one in found if is_address(one)]


def clean(what, data):
    data = data if isinstance(data, bytes) else data.encode()
    assert data, f"{what} is empty: the test tests nothing"
    equal((what, addresses(data)), (what, []))


@test("an address is found in all forms")
def _():
    line = next(one for one in Path("/proc/kallsyms").read_text().splitlines()
                if one.endswith("[redirmap]"))
    number = int(line.split()[0], 16)
    assert is_address(number), line
    for number in (number, 0xffff888012345678, 0xffffc90000345678, 0xffffea0000345678):
        for told in (f"{number:x}", f"at {number:#x},", f'"x": {number}}}',
                     f"{number - (1 << 64)}"):
            equal(addresses(told.encode()), [hex(number)])
        for before in (0, 4, 8):
            data = bytes(before) + struct.pack("Q", number) + bytes(3)
            equal(addresses(data), [hex(number)])
    for number in (0, 1, -1, -22, 0xffffffff, 4294967294, 1 << 63):
        equal(addresses(f"{number} {number & (1 << 64) - 1:#x}".encode()), [])
        equal(addresses(struct.pack("Q", number & (1 << 64) - 1) * 2), [])


# --- a busy run -------------------------------------------------------------


def start_trace():
    subprocess.run(["rmdir", TRACE], capture_output=True, check=False)
    TRACE.mkdir()
    (TRACE / "events/redirmap/enable").write_text("1")


def make_devices():
    """Devices that take frames, refuse them, cannot get any, are down."""
    for name in ("takes", "refuses", "rests"):
        testlib.add_veth(name, f"{name}p")
    sh("ethtool -K takesp gro on && ip link set rests down && "
       "ip link add cannot type dummy && ip link set cannot up")


def make_frames():
    progs = {name: open_pinned(f"{PIN}/p/{name}") for name in
             ("to_rm_array", "all_rm_array", "to_rm_hash", "all_rm_hash", "short_only")}
    for kind in ("array", "hash"):
        to, to_all = progs[f"to_rm_{kind}"], progs[f"all_rm_{kind}"]
        fd = open_pinned(f"{PIN}/m/rm_{kind}")
        # no entry, and no device
        offer(to, bytes(64), 20)
        offer(to_all, bytes(64), 20)
        for key, name in enumerate(("refuses", "rests", "cannot", "takes")):
            update(fd, key, ifindex(name), progs["short_only"])
            offer(to_all, bytes(64), 20)
            update(fd, 1, ifindex(name), progs["short_only"])
            for length in (64, 300, 1600):
                offer(to, bytes(length), 20)
        os.close(fd)
    for fd in progs.values():
        os.close(fd)


def counting_map(kind):
    fd = make_map("rm_counts", kind, 4, VALUE_SIZE)
    value = struct.pack("I", ifindex("takes")).ljust(VALUE_SIZE, b"\0")
    checked(libbpf.bpf_map_update_elem(fd, bytes(4), value, ctypes.c_uint64(0)))
    return fd


def dmesg():
    return "".join(line + "\n" for line in sh("dmesg").splitlines() if "redirmap:" in line)


counting = []


@test("a busy run")
def _():
    start_trace()
    make_devices()
    sh(f"rm -rf {PIN} && mkdir -p {PIN} && bpftool prog loadall {OUTPUT}/tools.bpf.o {PIN}/p "
       f"pinmaps {PIN}/m")
    make_frames()
    counting.extend(counting_map(kind) for kind in (DEVMAP, DEVMAP_HASH))


# --- reported values --------------------------------------------------------


@test("netlink: all bytes of maps, targets and the state")
def _():
    for name, command, dump in (("maps", MAP_GET, True), ("targets", TARGET_GET, True),
                                ("state", STATE_GET, False)):
        told = messages(command, dump)
        clean(name, b"".join(one.ljust(len(one) + 3 & ~3, b"\0") for one in told))


@test("the command")
def _():
    for args in ("", "drops", "state", "--json", "--json drops", "--json state"):
        text = sh(f"{sys.executable} {COMMAND} {args}")
        clean(args, text)
    # The run has caused events of all kinds.
    drops = sh(f"{COMMAND} --json drops")
    for reason in ("dev_down", "no_xmit", "prog_drop", "no_member", "too_large"):
        assert reason in drops, drops


@test("values with counters, bpftool, fdinfo")
def _():
    for fd in counting:
        value = ctypes.create_string_buffer(VALUE_SIZE)
        checked(libbpf.bpf_map_lookup_elem(fd, bytes(4), value))
        clean("value", value.raw)
        clean("fdinfo", Path(f"/proc/self/fdinfo/{fd}").read_text())
        name = f"{PIN}/counting"
        checked(libbpf.bpf_obj_pin(fd, name.encode()))
        for what in ("show", "dump"):
            clean(what, sh(f"bpftool -j map {what} pinned {name}"))
        os.unlink(name)


@test("tracepoints: text, all bytes, formats")
def _():
    for fd in counting:
        os.close(fd)
    sh("ip link del takes")
    (TRACE / "tracing_on").write_text("0")
    text = (TRACE / "trace").read_text()
    for event in (TRACING / "events/redirmap").iterdir():
        if not event.is_dir():
            continue
        # sock_trace.py compares the whole text of the events of socket maps.
        if not event.name.startswith("redirmap_sock_"):
            assert event.name + ":" in text, event.name
        shape = (event / "format").read_text()
        clean(event.name, shape)
        assert "%p" not in shape and "*" not in re.sub(r"(?s)print fmt.*", "", shape), shape
    clean("trace", text)
    raw = b""
    for cpu in TRACE.glob("per_cpu/cpu*/trace_pipe_raw"):
        fd = os.open(cpu, os.O_RDONLY | os.O_NONBLOCK)
        try:
            while page := os.read(fd, 4096):
                raw += page
        except BlockingIOError:
            pass
        os.close(fd)
    clean("trace_pipe_raw", raw)


@test("files: /sys/module/redirmap, and none in debugfs")
def _():
    for path in MODULE.rglob("*"):
        # Files that the kernel has for each module, which only root can read:
        # see core_privileges.c.
        if path.is_symlink() or not path.is_file() or "sections" in path.parts:
            continue
        if path.stat().st_mode & 0o400:
            data = path.read_bytes()
            equal((str(path), addresses(data)), (str(path), []))
    equal(sh("find /sys/kernel/debug -path '*/tracing' -prune -o -name '*redirmap*' -print"), "")


@test("a log of errors: no address, and a limited number of lines")
def _():
    before = len(dmesg().splitlines())
    began, tries = time.monotonic(), 0

    def permitted():
        """10 lines of each kind in 5 seconds: DEFAULT_RATELIMIT_BURST,
        ..._INTERVAL."""
        return 20 * ((time.monotonic() - began) / 5 + 1)

    try:
        while tries < 400 or tries < 2 * permitted():
            for policy in ("rm_[", "x" * 300):
                tries += 1
                try:
                    CLAIM.write_text(policy)
                    raise AssertionError("not refused")
                except OSError:
                    pass
    finally:
        CLAIM.write_text(testlib.CLAIM)
    lines = dmesg().splitlines()[before:]
    assert 2 <= len(lines) <= permitted(), f"{len(lines)} lines for {tries} errors"
    sh(f"rm -r {PIN}")
    testlib.unload()
    # Lines that insmod may cause: those of the module, and the kernel's about
    # it.
    subprocess.run(["insmod", testlib.KO, "claim=["], capture_output=True, check=False)
    testlib.load()
    assert any("claim: a '['" in line for line in dmesg().splitlines()[-3:]), dmesg()
    clean("dmesg", dmesg())


try:
    run()
finally:
    sh(f"rm -rf {PIN}")
    subprocess.run(["rmdir", TRACE], capture_output=True, check=False)
    sys.stdout.flush()
