#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The kernel refuses one hook or probe of the module, each one in turn: insmod
fails with the kernel's errno, one line in the log names the function, and
nothing is left; then insmod succeeds. The list of the functions is what the
loaded module reports, and has to be what ftrace and kprobes report.

A function that the module replaces is refused by the kernel itself, as long as
another ftrace_ops, such as a livepatch, replaces the function
(modules/ipmodify.c). No state of a stock kernel does that for the others:

* an ftrace_ops that only observes conflicts with no other one, and
  kernel.ftrace_enabled=0 refuses all hooks, the first one first (core_load.sh);
* a kretprobe conflicts with no other probe; the kernel's list of functions
  without probes, and the number of probes, cannot be changed; while kprobes are
  switched off (debugfs, kprobes/enabled) they can be registered;
* the kernel has every function that is not optional, and knows its address.

So for each function, the kernel's functions that find the address, set the
filter, and set the hook or the probe return an error to the module, once
(modules/refuse.c). All hooks and probes are refused when they are set; the
steps before that, which are the same for all hooks, are refused for the first
and the last hook, with LONG=1 for all. Memory that is missing in these
functions is the subject of core_load_faults.py.
"""
import contextlib
import ctypes
import errno
import json
import os
import re
from pathlib import Path

from modlib import has_family, hooked, inserted, is_gone
from testlib import (CLAIM, DEVMAP, KO, SOCKMAP, becomes, equal, expedited,
                     in_a_net, is_long, load, make_map, redirmap, refcnt, run, sh, test, unload)

in_a_net()

import redirmap_main as command  # noqa: E402

FINIT_MODULE = 313
libc = ctypes.CDLL(None, use_errno=True)
hooks = []


def insmod():
    """The errno, or 0."""
    file = os.open(KO, os.O_RDONLY | os.O_CLOEXEC)
    try:
        failed = libc.syscall(FINIT_MODULE, file, f"claim={CLAIM}".encode(), 0)
        return ctypes.get_errno() if failed else 0
    finally:
        os.close(file)


def functions_of(lines):
    """The functions in lines of enabled_functions or of kprobes/list."""
    found = set()
    for line in lines:
        # Of kprobes: "address type function+offset ..."
        probe = re.match(r"[0-9a-f]+ +[kr] +([\w.]+)\+0x", line)
        found.add(probe[1] if probe else line.split()[0])
    return found


def added(before, after):
    """The new lines of each list."""
    return [sorted(set(new.splitlines()) - set(old.splitlines()))
            for old, new in zip(before, after, strict=True)]


def works():
    """A map of each family is claimed."""
    equal(has_family(), True)
    for kind in DEVMAP, SOCKMAP:
        fd = make_map("rm_works", kind)
        equal(refcnt(), 1)
        os.close(fd)
        equal(becomes(lambda: refcnt() == 0), True)


@contextlib.contextmanager
def lines_of_log():
    """The module's lines in the kernel log, in a list, after the with block."""
    lines, mark = [], f"load-refused {os.urandom(8).hex()}"
    Path("/dev/kmsg").write_text(mark)
    yield lines
    lines += [line for line in sh("dmesg").split(mark)[1].splitlines() if "redirmap: " in line]


def refused(func, error, text, module, params):
    """A module of the suite makes the kernel refuse a function once."""
    with inserted(module, params) as knobs:
        before = hooked()
        with lines_of_log() as lines:
            is_ = insmod()
        assert is_, f"insmod has succeeded, although {func} was refused"
        equal(errno.errorcode[is_], errno.errorcode[error])
        assert len(lines) == 1 and f"{func}()" in lines[0] and text in lines[0], lines
        is_gone(before)
        if module == "refuse":
            equal(int((knobs / "refused").read_text()), 1)
    load()
    works()
    unload()


def of_ftrace():
    return [func for func, kind in hooks if kind != "return"]


def some(functions):
    return functions if is_long() else [functions[0], functions[-1]]


def refuse_each(functions, call, error, text):
    """Each of these functions is refused by a function of the kernel."""
    with expedited():
        unload()
        for func in functions:
            refused(func, error, text, "refuse", f"func={func} call={call} error=-{error}")
        load()


@test("the functions that the module reports are those that ftrace and kprobes report")
def _():
    status, out, err = redirmap(command, "--json", "state")
    equal((status, err), (0, ""))
    hooks.extend((one["name"], one["kind"]) for one in json.loads(out)["hooks"])
    loaded = hooked()
    with expedited():
        unload()
        ftrace, probes = added(hooked(), loaded)
        load()
    print(f"# {hooks}")
    equal(functions_of(ftrace + probes), {name for name, _ in hooks})
    equal(functions_of(probes), {name for name, kind in hooks if kind == "return"})
    equal(functions_of(line for line in ftrace if re.search(r"\) R? *I", line)),
          {name for name, kind in hooks if kind == "replace"})
    # Both families have hooks and probes.
    assert {("dev_map_alloc", "replace"), ("sock_map_update_elem_sys", "replace"),
            ("sk_msg_func_proto", "return")} <= set(hooks), hooks


@test("each replaced function has another owner: EBUSY, named, nothing is left")
def _():
    with expedited():
        unload()
        for func, kind in hooks:
            if kind == "replace":
                refused(func, errno.EBUSY, "is already replaced", "ipmodify", f"func={func}")
        load()


@test("ftrace refuses each hook: its errno, named, nothing is left")
def _():
    refuse_each(of_ftrace(), "register_ftrace_function", errno.ENOMEM, "hooking ")


@test("kprobes refuse each probe: their errno, named, nothing is left")
def _():
    refuse_each([func for func, kind in hooks if kind == "return"], "register_kretprobe",
                errno.EOPNOTSUPP, "setting a kretprobe on ")


@test("ftrace does not know a hooked function: EINVAL, named, nothing is left")
def _():
    refuse_each(some(of_ftrace()), "ftrace_set_filter_ip", errno.EINVAL,
                "ftrace does not know it")


@test("the address of a hooked function is not found: the errno, named, nothing is left")
def _():
    refuse_each(some(of_ftrace()), "register_kprobe", errno.EILSEQ,
                "its address cannot be found")


@test("ftrace is busy with a hooked function for a while: insmod succeeds")
def _():
    with expedited():
        unload()
        for func in some(of_ftrace()):
            with inserted("refuse", f"func={func} error=-{errno.EAGAIN} times=3") as knobs:
                with lines_of_log() as lines:
                    equal(insmod(), 0)
                equal(int((knobs / "refused").read_text()), 3)
                assert len(lines) == 1 and " loaded, " in lines[0], lines
                unload()
        load()
    works()


run()
