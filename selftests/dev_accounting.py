#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The counters are exact: while entries, programs and devices are added,
deleted and changed, two CPUs send frames to claimed maps, and the sum of sent
and lost frames equals the number of offered frames."""
import os
import random
import sys
import time

from testlib import (OUTPUT, add_veth, becomes, ifindex, in_a_net, libbpf, open_pinned, run, sh,
                     test, update)

in_a_net()

from loadlib import Load, counted  # noqa: E402

PIN = "/sys/fs/bpf/redirmap-accounting"
DEVICES = ("out1", "out2", "out3")
SEED = int(os.environ.get("SEED", "0")) or random.randrange(1 << 32)

dice = random.Random(SEED)
print(f"# SEED={SEED}")


def add_device(name):
    """A device whose peer accepts XDP frames: the first one always, others
    mostly."""
    add_veth(name, f"{name}p")
    if name == DEVICES[0] or dice.random() < 0.8:
        sh(f"ethtool -K {name}p gro on")


def account(prog, times, actions, copies=1):
    """Two CPUs send frames while random actions run; the sums are compared. At
    first some frames are sent, and at last some are lost."""
    global expected
    sent, lost = counted()
    loads = [Load([prog], cpu) for cpu in sorted(os.sched_getaffinity(0))[:2]]
    for load in loads:
        load.start()
    assert becomes(lambda: counted()[0] > sent), "no frame is sent"
    for _ in range(times):
        dice.choice(actions)()
        time.sleep(0.005)
    sh("".join(f"ip link set {name} down; " for name in DEVICES))
    assert becomes(lambda: counted()[1] > lost), "no frame is lost"
    want = copies * sum([load.stop() for load in loads])
    expected += want
    now = []
    assert becomes(lambda: now.append(counted()) or sum(now[-1]) == expected), \
        f"{want} offered, {expected} in all; sent, lost: before {sent}, {lost}, now {now[-1]}"
    print(f"# {want} offered, {now[-1][0] - sent} sent, {now[-1][1] - lost} lost")


def make():
    """Make maps, programs, devices."""
    sh(f"rm -rf {PIN}; mkdir -p {PIN}; "
       f"bpftool prog loadall {OUTPUT}/tools.bpf.o {PIN}/p pinmaps {PIN}/m")
    for name in DEVICES:
        add_device(name)


def put(maps, key, name, egress):
    prog = open_pinned(f"{PIN}/p/short_only") if egress else -1
    for fd in maps:
        update(fd, key, ifindex(name), prog)
    if egress:
        os.close(prog)


def any_device():
    return dice.choice(DEVICES)


def change_state():
    sh(f"ip link set {any_device()} {dice.choice(('up', 'up', 'down'))}")


def change_mtu():
    sh(f"ip link set {any_device()} mtu {dice.choice((1500, 1500, 200))}")


make()
# The frames that must be counted; none at first, in a new namespace.
expected = 0
for kind in ("array", "hash"):
    fd = open_pinned(f"{PIN}/m/rm_{kind}")

    @test(f"{kind}: one target for each frame, while entries and devices are added and deleted")
    def _(fd=fd, kind=kind):
        def entry():
            if dice.random() < 0.3:
                libbpf.bpf_map_delete_elem(fd, b"\1\0\0\0")
            else:
                put([fd], 1, any_device(), dice.random() < 0.3)

        def device():
            name = any_device()
            sh(f"ip link del {name}")
            add_device(name)

        put([fd], 1, DEVICES[0], False)
        prog = open_pinned(f"{PIN}/p/to_rm_{kind}")
        account(prog, 60, [entry, entry, entry, change_state, change_mtu, device])
        os.close(prog)
        sh("".join(f"ip link set {name} up mtu 1500; " for name in DEVICES))

    @test(f"{kind}: a copy for each member, while these change")
    def _(fd=fd, kind=kind):
        for key, name in enumerate(DEVICES):
            put([fd], key, name, key == 2)
        prog = open_pinned(f"{PIN}/p/all_rm_{kind}")
        account(prog, 40, [change_state, change_mtu], len(DEVICES))
        os.close(prog)
        sh("".join(f"ip link set {name} up mtu 1500; " for name in DEVICES))

    @test(f"{kind}: in the end")
    def _(fd=fd, kind=kind):
        os.close(fd)
        sh(f"rm {PIN}/m/rm_{kind} {PIN}/p/*_rm_{kind}")
        for _ in range(3):
            assert becomes(lambda: sum(counted()) == expected), (counted(), expected)

try:
    run()
finally:
    sh(f"rm -rf {PIN}")
    sys.stdout.flush()
