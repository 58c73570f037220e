# SPDX-License-Identifier: GPL-2.0-only
"""What a loaded module leaves in the kernel, and the suite's own modules, for
tests of insmod and rmmod."""
import contextlib
import os
from pathlib import Path

from testlib import OUTPUT, sh

MODULES = f"{OUTPUT}/../{os.uname().release}-selftests/modules"


def hooked():
    """Functions and probes that are hooked."""
    return [Path(path).read_text() for path in (
        "/sys/kernel/tracing/enabled_functions", "/sys/kernel/debug/kprobes/list")]


@contextlib.contextmanager
def inserted(module, params=""):
    """A module of the suite is loaded. Gives the folder of its parameters."""
    sh(f"insmod {MODULES}/{module}.ko {params}")
    try:
        yield Path(f"/sys/module/{module}/parameters")
    finally:
        sh(f"rmmod {module}")
