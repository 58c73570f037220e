# SPDX-License-Identifier: GPL-2.0-only
"""Allocations that fail, for tests in Python. The counterpart for C is
faultlib.h."""
import atexit
import ctypes
import os
from pathlib import Path

from testlib import skip_all

FAIL_NTH = "/proc/thread-self/fail-nth"
DEBUG = Path("/sys/kernel/debug")
KNOBS = [DEBUG / name for name in (
    "failslab/ignore-gfp-wait", "failslab/verbose", "fail_page_alloc/ignore-gfp-wait",
    "fail_page_alloc/min-order", "fail_page_alloc/verbose")]


def can_fail():
    """All allocations may fail, without a line in the kernel log, until the
    test ends. Skips all tests on kernels without fault injection."""
    if not os.access(FAIL_NTH, os.W_OK):
        skip_all("this kernel has no fault injection")
    try:
        before = [(knob, knob.read_text()) for knob in KNOBS]
    except OSError as reason:
        skip_all(f"this kernel cannot let allocations fail: {reason}")
    # Else a page fault of the interpreter may get the fault.
    if ctypes.CDLL(None, use_errno=True).mlockall(3):
        skip_all(f"the memory of the test cannot be locked: {os.strerror(ctypes.get_errno())}")
    for knob, value in before:
        knob.write_text("0")
        atexit.register(knob.write_text, value)


class Fault:
    """While entered, the allocation of this thread with a number fails."""

    def __init__(self, number):
        self.number = number
        self.left = None

    def __enter__(self):
        self.file = os.open(FAIL_NTH, os.O_RDWR)
        os.pwrite(self.file, b"%d" % self.number, 0)
        return self

    def __exit__(self, *exception):
        # 0: the allocation was made, and has failed.
        self.left = int(os.pread(self.file, 16, 0))
        os.pwrite(self.file, b"0", 0)
        os.close(self.file)
