# SPDX-License-Identifier: GPL-2.0-only
"""The memory that the kernel has in use, for tests that look for leaks."""
import bisect
import ctypes
import glob
import pathlib
import struct

from testlib import OUTPUT, checked, libbpf, open_pinned, sh

PIN = "/sys/fs/bpf/redirmap-memory"


def meminfo():
    """KiB of pages, by their use."""
    lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
    return {name: int(rest.split()[0]) for name, rest in (line.split(":") for line in lines)}


def on_lists():
    """KiB of free pages that CPUs keep, which MemFree does not include."""
    words = pathlib.Path("/proc/zoneinfo").read_text().split()
    return 4 * sum(int(words[at + 1]) for at, word in enumerate(words) if word == "count:")


def in_use():
    """KiB of objects of kmalloc(), of vmalloc(), and of all other pages.

    Caches, which are dropped, and processes are not included.
    """
    # Pages and slabs that CPUs keep
    sh("sync; echo 1 >/proc/sys/vm/compact_memory; echo 3 >/proc/sys/vm/drop_caches")
    for name in glob.glob("/sys/kernel/slab/*/shrink"):
        pathlib.Path(name).write_text("1")
    kmalloc = 0
    for line in pathlib.Path("/proc/slabinfo").read_text().splitlines()[2:]:
        name, active, _, size = line.split()[:4]
        if name.startswith("kmalloc-") and "-rcl-" not in name:
            kmalloc += int(active) * int(size)
    info = meminfo()
    vmalloc = info["VmallocUsed"] - info["KernelStack"]
    known = sum(info[name] for name in (
        "MemFree", "Buffers", "Cached", "AnonPages", "Slab", "PageTables", "KernelStack",
        "Percpu", "SwapCached"))
    return {"kmalloc": kmalloc // 1024, "vmalloc": vmalloc,
            "pages": info["MemTotal"] - known - vmalloc - on_lists()}


class Percpu:
    """Per-CPU memory: exactly the allocations from now on that were not freed.

    /proc/meminfo counts pages, which allocations share.
    """

    def __init__(self):
        sh(f"rm -rf {PIN}; mkdir -p {PIN}; "
           f"bpftool prog loadall {OUTPUT}/memory.bpf.o {PIN} pinmaps {PIN}")
        self.map = open_pinned(f"{PIN}/percpu")
        self.links = []
        for event in ("alloc", "free"):
            prog = open_pinned(f"{PIN}/on_{event}")
            self.links.append(checked(
                libbpf.bpf_raw_tracepoint_open(f"percpu_{event}_percpu".encode(), prog)))
        sh(f"rm -r {PIN}")

    def _keys(self):
        key, last = ctypes.create_string_buffer(8), None
        while not libbpf.bpf_map_get_next_key(self.map, last, key):
            last = key.raw
            yield last

    def callers(self):
        """The callers of the allocations that are in use: addresses, for
        names()."""
        sites = []
        value = ctypes.create_string_buffer(8)
        for key in list(self._keys()):
            if not libbpf.bpf_map_lookup_elem(self.map, key, value):
                sites.append(struct.unpack("Q", value.raw)[0])
        return sites


def names(addresses):
    """The names of the kernel's functions at some addresses."""
    known = []
    for line in pathlib.Path("/proc/kallsyms").read_text().splitlines():
        words = line.split()
        # The names of an unloaded module's functions are unknown.
        if len(words) == 3:
            known.append((int(words[0], 16), words[2]))
    known.sort()
    last = known[-1][0]
    return ["a module" if address > last else known[bisect.bisect(known, (address, "~")) - 1][1]
            for address in addresses]
