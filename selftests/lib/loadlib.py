# SPDX-License-Identifier: GPL-2.0-only
"""Frames that CPUs send to programs, and the counts of sent and lost frames,
for tests in Python."""
import contextlib
import ctypes
import os
import signal
import threading

from redirmap_netlink import Family
from redirmap_table import drops_of
from testlib import checked, libbpf, open_pinned

LIVE_FRAMES = 2
BURST = 256


class TestRun(ctypes.Structure):
    """struct bpf_test_run_opts"""
    _fields_ = [
        ("sz", ctypes.c_size_t), ("data_in", ctypes.c_char_p), ("data_out", ctypes.c_void_p),
        ("data_size_in", ctypes.c_uint32), ("data_size_out", ctypes.c_uint32),
        ("ctx_in", ctypes.c_void_p), ("ctx_out", ctypes.c_void_p),
        ("ctx_size_in", ctypes.c_uint32), ("ctx_size_out", ctypes.c_uint32),
        ("retval", ctypes.c_uint32), ("repeat", ctypes.c_int), ("duration", ctypes.c_uint32),
        ("flags", ctypes.c_uint32), ("cpu", ctypes.c_uint32), ("batch_size", ctypes.c_uint32),
    ]


def offer(prog, frame, times):
    """Frames for a program, which redirects them like the frames of a
    driver."""
    opts = TestRun(sz=ctypes.sizeof(TestRun), data_in=frame, data_size_in=len(frame),
                   repeat=times, flags=LIVE_FRAMES)
    checked(libbpf.bpf_prog_test_run_opts(prog, ctypes.byref(opts)))


def through(path, times, frame=bytes(64)):
    """Send a frame to a pinned program so many times."""
    prog = open_pinned(path)
    try:
        offer(prog, frame, times)
    finally:
        os.close(prog)


def state():
    """The state of the module."""
    with Family() as family:
        return family.state()


def map_stats(number):
    """The counters of a map."""
    with Family() as family:
        return family.maps(number)[0]["stats"]


class Load(threading.Thread):
    """Send frames to programs in turn, on a CPU, until stop() is called.

    While that CPU is offline, the frames come from any other CPU.
    """

    def __init__(self, progs, cpu):
        super().__init__(daemon=True)
        self.progs, self.cpu = progs, cpu
        self.offered, self.stopped, self.error = 0, False, None

    def run(self):
        # While another thread starts a process, it blocks its signals. This
        # thread would get SIGCHLD instead, which interrupts offer().
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            while not self.stopped:
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(0, {self.cpu})
                turn = self.offered // BURST
                frame = bytes(64 + turn % 4 * 100)
                offer(self.progs[turn // 4 % len(self.progs)], frame, BURST)
                self.offered += BURST
        except OSError as error:
            self.error = error

    def stop(self):
        """The number of frames that it has sent; an exception if it failed."""
        self.stopped = True
        self.join()
        if self.error:
            raise self.error
        assert self.offered, "no frame was sent"
        return self.offered


def all_stats():
    """The sum over the counters of all existing and removed objects, each
    counted once."""
    with Family() as family:
        before, after = None, family.state()
        # No object may be removed between the two requests: its counters would
        # be in both answers, or in neither.
        while before is None or before["gone_count"] != after["gone_count"]:
            before = after
            stats = [one["stats"] for one in family.maps() + family.targets()]
            after = family.state()
    return [*stats, after["gone"]]


def counted():
    """All frames that were counted: as sent, lost or missed."""
    stats = all_stats()
    return (sum(one["packets"] or 0 for one in stats),
            sum(drops_of(one) + sum(one["missed"].values()) for one in stats))
