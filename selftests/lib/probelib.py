# SPDX-License-Identifier: GPL-2.0-only
"""Kprobe events, for tests that watch a function."""
import contextlib
import os
from pathlib import Path

TRACING = Path("/sys/kernel/tracing")


def change(text):
    # Truncation would remove the events of others.
    fd = os.open(TRACING / "kprobe_events", os.O_WRONLY | os.O_APPEND)
    try:
        os.write(fd, f"{text}\n".encode())
    finally:
        os.close(fd)


@contextlib.contextmanager
def kprobe(name, place, folder=TRACING, kind="p"):
    """An event at a function, or with kind "r" at its return, with values: see
    Documentation/trace/kprobetrace.rst of the kernel. Returns the event's
    folder, in this instance of tracing. Afterwards the event is off, and
    removed."""
    event = folder / "events/kprobes" / name
    change(f"{kind}:kprobes/{name} {place}")
    try:
        yield event
    finally:
        try:
            (event / "enable").write_text("0")
        finally:
            change(f"-:kprobes/{name}")
