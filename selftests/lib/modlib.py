# SPDX-License-Identifier: GPL-2.0-only
"""What a loaded module leaves in the kernel, for tests of insmod and rmmod."""
from pathlib import Path


def hooked():
    """Functions and probes that are hooked."""
    return [Path(path).read_text() for path in (
        "/sys/kernel/tracing/enabled_functions", "/sys/kernel/debug/kprobes/list")]
