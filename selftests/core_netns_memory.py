#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The creator of network namespaces pays for the module's memory in each of
them."""
import os
import pathlib
import sys

from testlib import becomes, load, need_module, run, sh, test, unload

need_module()

CGROUPS = "/sys/fs/cgroup"
CGROUP = pathlib.Path(CGROUPS, "redirmap-netns")
NAMES = [f"rmpay{number}" for number in range(60)]
# The module's memory in a namespace: sums, a little more than 3 KiB.
LEAST = 3000


def charged():
    """Bytes of slabs that the cgroup is charged for each namespace."""
    CGROUP.mkdir()
    try:
        sh(f"echo $$ >{CGROUP}/cgroup.procs; "
           f"for n in {' '.join(NAMES)}; do ip netns add $n; done")
        stat = dict(line.split() for line in (CGROUP / "memory.stat").read_text().splitlines())
        return int(stat["slab_unreclaimable"]) / len(NAMES)
    finally:
        sh(f"for n in {' '.join(NAMES)}; do ip netns del $n 2>/dev/null; done; true")
        assert becomes(lambda: not (CGROUP / "cgroup.procs").read_text())
        CGROUP.rmdir()


@test("the sums over removed objects")
def _():
    if not os.path.exists(f"{CGROUPS}/cgroup.controllers"):
        sh(f"mount -t cgroup2 none {CGROUPS}")
    sh(f"echo +memory >{CGROUPS}/cgroup.subtree_control")
    # The first namespaces allocate memory that is kept for later ones.
    charged()
    unload()
    try:
        without = charged()
    finally:
        load()
    paid = charged()
    print(f"# {without:.0f} bytes for each namespace without the module, {paid:.0f} with it")
    assert paid - without > LEAST, (without, paid)


try:
    run()
finally:
    sys.stdout.flush()
