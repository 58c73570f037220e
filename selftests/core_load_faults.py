#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""No memory while the module is loaded or unloaded: one allocation of insmod
fails, in turn. Each time insmod fails with ENOMEM and leaves nothing: no
module, hooks, probes, netlink family, or notifiers; or it succeeds, because the
allocation can be done without. rmmod always succeeds.

Most allocations are those of the kernel's loader, and those that read the
kernel's BTF, so only some are tested. Of the last sixth, all are with LONG=1.
Those inside disable_kprobe() are left out (modules/nofault.c): if one fails,
the kernel warns, and its count of probes is wrong until the next boot. The
module lets them use the memory that is reserved for the kernel.

Needs a kernel with fault injection: see Documentation/testing.rst.
"""
import ctypes
import errno
import os

from faultlib import Fault, can_fail
from modlib import has_family, hooked, inserted, is_gone
from testlib import (CLAIM, KO, becomes, equal, expedited, in_a_net, load, longer, make_map,
                     refcnt, run, test, unload)

in_a_net()

can_fail()
FINIT_MODULE, DELETE_MODULE = 313, 176
# No attempt has so many allocations.
NEVER = 1 << 30
# The most attempts in each part of insmod, and of rmmod
FEW, SOME = 6, 30

libc = ctypes.CDLL(None, use_errno=True)


def call(number, *args, nth=NEVER):
    """A system call whose allocation with this number fails: its errno or 0,
    and how many allocations were left, 0 if it met the fault."""
    with Fault(nth) as fault:
        result = libc.syscall(number, *args)
    return ctypes.get_errno() if result else 0, fault.left


def insmod(nth=NEVER):
    file = os.open(KO, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return call(FINIT_MODULE, file, f"claim={CLAIM}".encode(), 0, nth=nth)
    finally:
        os.close(file)


def rmmod(nth=NEVER):
    return call(DELETE_MODULE, b"redirmap", os.O_NONBLOCK, nth=nth)


def works():
    equal(has_family(), True)
    fd = make_map("rm_works")
    equal(refcnt(), 1)
    os.close(fd)
    equal(becomes(lambda: refcnt() == 0), True)


def sample(first, last, most):
    """Numbers from first to last, at most so many, at equal distances."""
    count = last - first + 1
    if count <= most:
        return list(range(first, last + 1))
    return [first + count * i // most for i in range(most)]


def fail_each(numbers, before):
    """Let these allocations of insmod fail. Returns the errnos, each with its
    allocations."""
    errnos = {}
    for nth in numbers:
        error, left = insmod(nth)
        if error:
            equal(left, 0)
            is_gone(before)
        else:
            works()
            equal(rmmod()[0], 0)
            equal(hooked(), before)
        errnos.setdefault(errno.errorcode.get(error, 0), []).append(nth)
    return errnos


@test("insmod: each allocation fails, and nothing is left")
def _():
    unload()
    before = hooked()
    with expedited():
        error, left = insmod()
        equal(error, 0)
        works()
        unload()
        end = NEVER - left + 1
        # The last sixth is about what follows the BTF in init_module().
        parts = [1, end - end // 6, end]
        print(f"# insmod begins, the module has the BTF, end: {parts}", flush=True)
        for (first, after), most in zip(zip(parts, parts[1:]),
                                        (2 * FEW, longer(SOME, NEVER)), strict=True):
            errnos = fail_each(sample(first, after - 1, most), before)
            print(f"# {errnos}", flush=True)
            # Some allocations can be done without.
            assert "ENOMEM" in errnos and set(errnos) <= {0, "ENOMEM"}, errnos
        equal(insmod(end)[0], 0)
    works()


@test("rmmod: each allocation fails, and the module goes")
def _():
    if not os.path.exists("/sys/module/redirmap"):
        load()
    with expedited(), inserted("nofault") as knobs:
        loaded = hooked()
        error, left = rmmod()
        equal(error, 0)
        before, count = hooked(), NEVER - left
        assert before != loaded
        # Each probe is disabled, in this one rmmod.
        spared = int((knobs / "called").read_text())
        assert spared, "rmmod has disabled no probe"
        print(f"# rmmod: {count} allocations, and those of {spared} probes", flush=True)
        for nth in sample(1, count, longer(FEW, NEVER)):
            equal(insmod()[0], 0)
            error, left = rmmod(nth)
            # Slabs may need fewer new pages than when they were counted.
            equal((nth, error, left == 0 or nth > count - FEW), (nth, 0, True))
            is_gone(before)
    load()


# A failed vmalloc() prints its stack. Reports of faults of the kernel have
# further lines.
print("# allow-log: Call Trace", flush=True)
run()
