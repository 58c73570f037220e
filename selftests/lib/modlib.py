# SPDX-License-Identifier: GPL-2.0-only
"""What a loaded module leaves in the kernel, and the suite's own modules, for
tests of insmod and rmmod."""
import contextlib
import os
from pathlib import Path

from testlib import DEVMAP, OUTPUT, SOCKHASH, SOCKMAP, equal, make_map, sh

import redirmap_netlink as netlink

MODULES = f"{OUTPUT}/../{os.uname().release}-selftests/modules"


def hooked():
    """Functions and probes that are hooked."""
    return [Path(path).read_text() for path in (
        "/sys/kernel/tracing/enabled_functions", "/sys/kernel/debug/kprobes/list")]


def has_family():
    """Is the module's netlink family registered?"""
    try:
        with netlink.Family():
            return True
    except netlink.NotLoaded:
        return False


def is_gone(before):
    """Nothing is left of the module, and all that would call it is called;
    before is hooked() of the time before insmod."""
    equal(os.path.exists("/sys/module/redirmap"), False)
    assert "redirmap" not in Path("/proc/modules").read_text()
    equal(hooked(), before)
    equal(has_family(), False)
    sh("ip link add redirmap0 type dummy; ip link del redirmap0; unshare --net true")
    for kind in DEVMAP, SOCKMAP, SOCKHASH:
        os.close(make_map("rm_gone", kind, value_size=4))


@contextlib.contextmanager
def inserted(module, params=""):
    """A module of the suite is loaded. Gives the folder of its parameters."""
    sh(f"insmod {MODULES}/{module}.ko {params}")
    try:
        yield Path(f"/sys/module/{module}/parameters")
    finally:
        sh(f"rmmod {module}")
