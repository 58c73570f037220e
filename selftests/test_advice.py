#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What redirmap drops advises for a device that takes no frames: by its kind, its
driver and its state, in native and generic XDP, here and in other namespaces."""
import contextlib
import os
import re
import subprocess
import sys

import testlib
from testlib import (OUTPUT, becomes, equal, frame_to, ifindex, in_a_net, open_pinned,
                     redirmap, run, send, sh, test, update)

in_a_net()

import redirmap_main as command  # noqa: E402
from redirmap_netlink import Family  # noqa: E402
from redirmap_table import drops_of  # noqa: E402

PIN = "/sys/fs/bpf/redirmap-advice"
NAMED = "rmadvice"
OLD = os.uname().release.startswith("6.1.")
FRAMES, HOST = 3, 7

READY = "The device was not ready for XDP frames. "
DROPPED = "The device dropped the packet. "
GENERIC = "attach the program in generic mode (xdpgeneric)."
ENXIO = " The last error was ENXIO (No such device or address)."
# Where 6.12 asks the device's features, 6.1 asks the driver.
ASKED = ENXIO if OLD else ""

# in1 leads to in0, where the program is, which sends all that is for HOST to a
# device that is tried.
sh(f"rm -rf {PIN}; mkdir -p {PIN}; "
   f"bpftool prog loadall {OUTPUT}/hosts.bpf.o {PIN}/p pinmaps {PIN}/m")
testlib.add_veth("in0", "in1")
sh(f"ip netns add {NAMED}")
switch = open_pinned(f"{PIN}/m/rm_hash")


def attach(mode):
    sh(f"ip link set in0 xdpdrv off; ip link set in0 xdpgeneric off; "
       f"bpftool net attach {mode} pinned {PIN}/p/to_rm_hash dev in0")


def at_host(device, mode="xdpdrv"):
    sh(f"bpftool net attach {mode} pinned {PIN}/p/at_host dev {device}")


def said(*args):
    status, out, err = redirmap(command, "drops", *args)
    equal((status, err), (0, ""))
    return out


def lost_by(device):
    """Frames that targets have lost which a device of any namespace has."""
    with Family() as family:
        return sum(drops_of(one["stats"]) for one in family.targets(None, True)
                   if one["ifname"] == device)


def advised(device):
    """What is said of a device that loses all frames."""
    update(switch, HOST, ifindex(device))
    return advised_of_entry(device, device)


def advised_of_entry(device, *args, frames=FRAMES):
    """The same of one that HOST's entry leads to, if it loses at least some."""
    before = lost_by(device)
    send("in1", frame_to(HOST, 100), frames)
    assert becomes(lambda: lost_by(device) >= before + FRAMES), said("--all-netns")
    text, = [line for line in said(*args).splitlines()
             if line.startswith(device + " ") and "(gone)" not in line]
    found = re.fullmatch(
        rf"{device}(?: in network namespace \w+)? lost \d+ of \d+ frames, the last one "
        r"(?:just now|\d+ s ago)\. (.*)", text)
    assert found, text
    return found[1]


def remove(*devices):
    for device in devices:
        sh(f"ip link del {device}")


def elsewhere(enter, device):
    """Let HOST's entry lead to a device of another namespace, where a command begins
    that does that."""
    program = f"import testlib; testlib.update({switch}, {HOST}, testlib.ifindex('{device}'))"
    subprocess.run([*enter, sys.executable, "-c", program], pass_fds=[switch], check=True)


@contextlib.contextmanager
def nameless():
    """A namespace that only a process keeps: its pid."""
    with subprocess.Popen(["unshare", "--net", "cat"], stdin=subprocess.PIPE) as child:
        assert becomes(lambda: os.readlink(f"/proc/{child.pid}/ns/net") !=
                       os.readlink("/proc/self/ns/net"))
        yield child.pid


# --- native XDP -------------------------------------------------------------

attach("xdpdrv")


@test("a veth: its peer's program, GRO, state")
def _():
    testlib.add_veth("ve", "vep")
    needs = "Its peer vep needs an XDP program or GRO: ethtool -K vep gro on."
    equal(advised("ve"), READY + needs + ASKED)

    at_host("vep", "xdpgeneric")
    equal(advised("ve"), f"{READY}Its peer vep runs its XDP program in generic mode: attach that "
                         f"natively (xdpdrv), or ethtool -K vep gro on.{ASKED}")
    sh("ip link set vep xdpgeneric off; ip link set vep down")
    down = "Its peer vep is down: ip link set dev vep up."
    equal(advised("ve"), f"{READY}{down} It also needs an XDP program or GRO: ethtool -K vep gro "
                         f"on.{ASKED}")
    remove("ve")


@test("a veth whose peer has a program, but is down")
def _():
    testlib.add_veth("ve", "vep")
    at_host("vep")
    sh("ip link set vep down")
    equal(advised("ve"), f"{READY}Its peer vep is down: ip link set dev vep up.{ENXIO}")
    remove("ve")


@test("a veth whose peer is in another namespace, with and without a name")
def _():
    sh(f"ip link add ve type veth peer name vep netns {NAMED}; ip link set ve up; "
       f"ip -n {NAMED} link set vep up")
    peer = f"{READY}Its peer vep (in network namespace {NAMED})"
    gro = f"ip netns exec {NAMED} ethtool -K vep gro on."
    equal(advised("ve"), f"{peer} needs an XDP program or GRO: {gro}{ASKED}")
    sh(f"ip -n {NAMED} link set vep down")
    equal(advised("ve"), f"{peer} is down: ip -n {NAMED} link set dev vep up. It also needs an "
                         f"XDP program or GRO: {gro}{ASKED}")
    remove("ve")
    with nameless() as pid:
        sh(f"ip link add ve type veth peer name vep netns {pid}; ip link set ve up; "
           f"nsenter -t {pid} -n ip link set vep up")
        equal(advised("ve"), f"{READY}Its peer vep (in a network namespace without a name) needs "
                             f"an XDP program or GRO: inside that "
                             f"namespace, ethtool -K vep gro on.{ASKED}")
        remove("ve")


@test("a VLAN, a macvlan: above another device")
def _():
    sh("ip link add base type dummy; ip link set base up; "
       "ip link add link base name vl type vlan id 5; ip link set vl up; "
       "ip link add link base name mv type macvlan; ip link set mv up")
    equal(advised("vl"), "A vlan transmits no XDP frames. Redirect to base, the device below, and "
                         f"let the program add the tag; or {GENERIC}")
    equal(advised("mv"), "A macvlan transmits no XDP frames. Redirect to base, the device below; "
                         f"or {GENERIC}")
    remove("vl", "mv", "base")


@test("a bridge, a dummy")
def _():
    sh("modprobe bridge; ip link add br0 type bridge; ip link set br0 up; "
       "ip link add du type dummy; ip link set du up")
    equal(advised("br0"), "A bridge transmits no XDP frames. Redirect to one of its ports; or "
                          f"{GENERIC}")
    equal(advised("du"), f"A device of the kind dummy transmits no XDP frames: {GENERIC}")
    remove("br0", "du")


@test("a bond: without slaves, with one that is down, with one that is not ready")
def _():
    sh("modprobe bonding max_bonds=0; ip link add bo type bond; ip link set bo up")
    equal(advised("bo"), f"{READY}The bond has no slave: ip link set dev SLAVE master bo.{ASKED}")
    testlib.add_veth("bs", "bsp")
    sh("ip link set bs down; ip link set bs master bo; ip link set bs down")
    equal(advised("bo"), f"{READY}No slave of the bond is up: ip link set dev bs up.{ASKED}")
    sh("ip link set bs up")
    assert becomes(lambda: "UP" in sh("cat /proc/net/bonding/bo | grep -i 'MII Status: up' "
                                      "&& echo UP || true")), "the bond has no carrier"
    equal(advised("bo"), f"{READY}Its slave bs is the cause. Its peer bsp needs an XDP program "
                         f"or GRO: ethtool -K bsp gro on.{ASKED}")
    remove("bo", "bs")


@test("a tap that nobody has open")
def _():
    sh("modprobe tun; ip tuntap add ta mode tap; ip link set ta up")
    equal(advised("ta"), f"{READY}No process has ta open: start the one that reads from it."
                         f"{ENXIO}")
    remove("ta")


@test("a driver that wants a program first")
def _():
    name = nic()
    if not name:
        print("# skipped: no virtio NIC, see scripts/vm --nics")
        return
    try:
        equal(advised(name), "The driver virtio_net wants an XDP program on "
                             f"{name} itself: one that returns XDP_PASS will do.{ASKED}")
    finally:
        sh("rmmod virtio_net")


def nic():
    """A virtio NIC of the machine's, here and up; or None."""
    assert not os.path.isdir("/sys/module/virtio_net"), "somebody uses the NICs"
    subprocess.run(["modprobe", "-q", "virtio_net"], check=False)
    for line in sh("nsenter -t 1 -n ip -br link").splitlines():
        name, _, address = line.split()[:3]
        if address.startswith("02:72:6d:00:00:0"):
            sh(f"nsenter -t 1 -n ip link set {name} netns {os.getpid()}; ip link set {name} up")
            return name
    return None


@test("devices of other namespaces: as far as these can be looked into")
def _():
    make = "{0}ip link add ve type veth peer name vep; {0}ip link set ve up"
    there = ["ip", "netns", "exec", NAMED]
    sh(make.format(" ".join(there) + " "))
    elsewhere(there, "ve")
    equal(advised_of_entry("ve", "--all-netns"),
          f"{READY}Its peer vep (in network namespace {NAMED}) is down: ip -n {NAMED} link set "
          f"dev vep up. It also needs an XDP program or GRO: ip netns exec {NAMED} ethtool -K vep "
          f"gro on.{ASKED}")
    sh(f"ip -n {NAMED} link del ve")
    with nameless() as pid:
        there = ["nsenter", "-t", str(pid), "-n"]
        sh(make.format(" ".join(there) + " "))
        elsewhere(there, "ve")
        text = advised_of_entry("ve", "--all-netns")
        assert text.startswith("The driver refused" if OLD else "The device cannot transmit"), text
        assert text.endswith(" (Its kind is not known: it is in a network namespace that cannot "
                             f"be looked into.){ASKED}"), text


# --- generic XDP ------------------------------------------------------------


@test("generic XDP: a veth whose peer is down, a tap that nobody reads, a VLAN's queue")
def _():
    attach("xdpgeneric")
    testlib.add_veth("ve", "vep")
    sh("ip link set vep down")
    equal(advised("ve"), f"{DROPPED}Its peer vep is down: ip link set dev vep up.")
    sh("ip tuntap add ta mode tap; ip link set ta up")
    equal(advised("ta"), f"{DROPPED}No process has ta open: start the one that reads from it.")
    sh("ip link set vep up; ip link add link ve name vl type vlan id 5; ip link set vl up; "
       "tc qdisc add dev ve root tbf rate 8kbit burst 1540 limit 1540")
    update(switch, HOST, ifindex("vl"))
    equal(advised_of_entry("vl", "vl", frames=100),
          f"{DROPPED}Look at ve below it: tc -s qdisc show dev ve; ip -s link show dev ve.")
    remove("vl", "ve", "ta")


try:
    run()
finally:
    os.close(switch)
    sh(f"rm -rf {PIN}; ip netns del {NAMED}")
    sys.stdout.flush()
