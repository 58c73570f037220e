#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The advice of redirmap drops for a device that takes no frames: by its kind, its
driver and its state, in native and generic XDP, here and in other namespaces."""
import contextlib
import errno
import json
import os
import re
import subprocess
import sys

import testlib
from testlib import (OUTPUT, becomes, equal, frame_to, ifindex, in_a_net, open_pinned,
                     redirmap, run, send, sh, test, update)

in_a_net()

import redirmap_main as command  # noqa: E402
from redirmap_advice import GENERIC as IN_GENERIC, Cured, Why, advice, hardware  # noqa: E402
from redirmap_links import Network, Place  # noqa: E402
from redirmap_netlink import Family  # noqa: E402
from redirmap_table import drops_of  # noqa: E402

PIN = "/sys/fs/bpf/redirmap-advice"
NAMED = "rmadvice"
OLD = os.uname().release.startswith("6.1.")
FRAMES, HOST = 3, 7

READY = "The device was not ready for XDP frames. "
DROPPED = "The device dropped the packet. "
GENERIC = f"{IN_GENERIC}."
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
    """The words on a device that loses all frames."""
    update(switch, HOST, ifindex(device))
    return advised_of_entry(device, device)


def advised_of_entry(device, *args, frames=FRAMES):
    """The same of one that HOST's entry leads to, if it loses at least some."""
    before = lost_by(device)
    send("in1", frame_to(HOST, 100), frames)
    assert becomes(lambda: lost_by(device) >= before + FRAMES), said("--all-netns")
    return told_of(device, *args)


def told_of(device, *args, reason=None):
    """The words on a device's loss; of several, on the one for a reason."""
    if reason:
        one, = [one for one in json.loads(said("--json", device))["drops"]
                if one["reason"] == reason and one["target"] is not None]
        return one["text"]
    text, = [line for line in said(*args).splitlines()
             if line.startswith(device + " ") and "(gone)" not in line]
    found = re.fullmatch(
        rf"{device}(?: in network namespace \w+)? lost \d+ of \d+ frames, the last one "
        r"(?:just now|\d+ s ago)\. (.*)", text)
    assert found, text
    return found[1]


def advice_now(device, reason="driver_error", code=errno.ENXIO):
    """For a loss that is thought of, of a real device in its present state."""
    network = Network(Place(""))
    try:
        return advice(network, network.link(ifindex(device)), Why(reason, code))
    finally:
        network.close()


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
    equal(advised("ve"), f"{READY}Its peer vep runs its XDP program in generic mode: attach the "
                         f"program in native mode (xdpdrv), or ethtool -K vep gro on.{ASKED}")
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


@test("a veth whose peer has GRO: what else is missing, or nothing more")
def _():
    testlib.add_veth("ve", "vep")
    refused = advised("ve")
    assert "needs an XDP program or GRO" in refused, refused
    sh("ethtool -K vep gro on")
    # The loss is of a while ago; its reason is no more.
    now = ("Its peer vep is up now, and has an XDP program or GRO: the cause of the loss has gone."
           if OLD else "The device transmits XDP frames now: the cause of the loss has gone.")
    equal(told_of("ve"), now + ASKED)
    remove("ve")

    testlib.add_veth("ve", "vep")
    sh("ethtool -K vep gro on; ip link set vep down")
    equal(advised("ve"), f"{READY}Its peer vep is down: ip link set dev vep up.{ENXIO}")
    remove("ve")


@test("a veth that has fewer receive queues than its peer has transmit queues")
def _():
    for most, cure in ((4, "ethtool -L ve rx 4"), (1, "ethtool -L vep tx 1")):
        sh(f"ip link add ve numrxqueues {most} type veth peer name vep numtxqueues 4; "
           "ip link set ve up; ip link set vep up; ethtool -L ve rx 1; ethtool -K vep gro on; "
           "ethtool -L vep tx 4")
        if OLD:
            before = lost_by("ve")
            update(switch, HOST, ifindex("ve"))
            send("in1", frame_to(HOST, 100), FRAMES)
            equal(lost_by("ve"), before)
        else:
            equal(advised("ve"), f"{READY}It has fewer receive queues (1) than its peer vep has "
                                 f"transmit queues (4): {cure}.")
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
        peer = "Its peer vep (in a network namespace without a name)"
        unseen = "; this command cannot see whether it has one of them" if OLD else ""
        needs = (f"{peer} needs an XDP program or GRO{unseen}: inside that namespace, "
                 "ethtool -K vep gro on.")
        equal(advised("ve"), f"{READY}{needs}{ASKED}")
        # What cannot be looked at is not taken for missing.
        sh(f"nsenter -t {pid} -n ethtool -K vep gro on")
        equal(advice_now("ve"), needs if OLD else
              f"{peer} is up now, and has an XDP program or GRO: the cause of the loss has gone.")
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


@test("a macsec: not the device below, which would send all in the clear")
def _():
    sh("modprobe macsec; ip link add base type dummy; ip link set base up; "
       "ip link add link base name ms type macsec; ip link set ms up")
    equal(advised("ms"), "A macsec transmits no XDP frames. The device below it would send them "
                         f"unencrypted: {GENERIC}")
    remove("ms", "base")


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
    slave = "Its slave bs is not ready. Its peer bsp needs an XDP program or GRO: "
    slave += "ethtool -K bsp gro on."
    # A driver that is asked sees no slave; an announcement is that of all slaves.
    also = "" if OLD else f" {slave}"
    equal(advised("bo"), f"{READY}No slave of the bond is up: ip link set dev bs up.{also}{ASKED}")
    sh("ip link set bs up")
    assert becomes(lambda: "UP" in sh("cat /proc/net/bonding/bo | grep -i 'MII Status: up' "
                                      "&& echo UP || true")), "the bond has no carrier"
    equal(advised("bo"), f"{READY}{slave}{ASKED}")
    remove("bo", "bs")


@test("a bond: its mode, its active slave, the slave that cannot")
def _():
    sh("ip link add bo type bond mode balance-alb; ip link set bo up")
    testlib.add_veth("bs", "bsp")
    sh("ethtool -K bsp gro on; ip link set bs down; ip link set bs master bo; ip link set bs up")
    equal(advised("bo"), "A bond of mode balance-alb transmits no XDP frames: use balance-rr, "
                         f"active-backup, balance-xor or 802.3ad; or {GENERIC}{ASKED}")
    remove("bo", "bs")

    # Two slaves; the second one's peer has no GRO.
    sh("ip link add bo type bond mode active-backup miimon 10; ip link set bo up")
    for slave, gro in (("bs1", "on"), ("bs2", "off")):
        testlib.add_veth(slave, f"{slave}p")
        sh(f"ethtool -K {slave}p gro {gro}; ip link set {slave} down; "
           f"ip link set {slave} master bo; ip link set {slave} up")

    def activate(slave):
        """So that it stays."""
        sh(f"ip link set bo type bond primary {slave}")
        assert becomes(lambda: f"active_slave {slave} " in sh("ip -d link show bo"))

    activate("bs2")
    name = "active slave" if OLD else "slave"
    equal(advised("bo"), f"{READY}Its {name} bs2 is not ready. Its peer bs2p needs an XDP program "
                         f"or GRO: ethtool -K bs2p gro on.{ASKED}")
    if OLD:
        # The other one has no part in that.
        sh("ethtool -K bs1p gro off")
        assert "Its active slave bs2 is not ready." in told_of("bo"), told_of("bo")
    remove("bo", "bs1", "bs2")


@test("a bond: a slave that is ready is not the one that is reported")
def _():
    sh("ip link add bo type bond mode balance-rr; ip link set bo up")
    for slave, gro in (("bs1", "on"), ("bs2", "off")):
        testlib.add_veth(slave, f"{slave}p")
        sh(f"ethtool -K {slave}p gro {gro}; ip link set {slave} down; "
           f"ip link set {slave} master bo; ip link set {slave} up")
    equal(advice_now("bo"), "Its slave bs2 is not ready. Its peer bs2p needs an XDP program or "
                            "GRO: ethtool -K bs2p gro on.")
    sh("ethtool -K bs2p gro on")
    text = advice_now("bo")
    equal((type(text), text), (Cured, "The cause of the loss has gone."))
    remove("bo", "bs1", "bs2")


@test("a driver's errno, of a device that is up")
def _():
    testlib.load_faulty()
    sh("ip link add f0 type faulty; ip link set f0 up")
    table = errnos_of_drivers()
    assert {"ENXIO", "ENETDOWN", "EINVAL", "EIO"} <= table, table
    seen = set()
    for name in sorted(table | {"EFAULT"}):
        number = getattr(errno, name)
        knob("f0", "error", number)
        refused = advised("f0")
        words = f" The last error was {name} ({os.strerror(number)})."
        assert refused.startswith("The driver refused with an error. "), refused
        assert refused.endswith(words), refused
        equal("lists no driver with this errno" in refused, name == "EFAULT")
        seen.add(refused.removesuffix(words))
    # One sentence for each.
    equal(len(seen), len(table) + 1)
    knob("f0", "error", 0)
    remove("f0")


def errnos_of_drivers():
    """Those that drivers return: Documentation/drivers.rst."""
    text = (testlib.TOP / "Documentation/drivers.rst").read_text(encoding="utf-8")
    return set(re.findall("^(E[A-Z]+) ", text[text.index("\nErrnos\n"):], re.M))


def knob(device, name, value):
    """Of faulty_dev.c. The sysfs that is mounted is another namespace's."""
    sh(f"unshare --mount sh -c 'mount -t sysfs sysfs /sys && "
       f"echo {value} >/sys/class/net/{device}/faulty/{name}'")


@test("a device that may announce that it transmits, by its kind")
def _():
    if OLD:
        print("# skipped: Linux 6.1 has no announcements")
        return
    sh("ip link add f0 type faulty; ip link set f0 up")
    knob("f0", "feature", 0)
    equal(advised("f0"), f"A device of the kind faulty transmits no XDP frames: {GENERIC}")
    knob("f0", "feature", 1)
    equal(told_of("f0"), "The device transmits XDP frames now: the cause of the loss has gone.")
    # It is none of a kind that transmits nothing, when it gives an errno.
    knob("f0", "error", errno.EIO)
    send("in1", frame_to(HOST, 100), FRAMES)
    assert becomes(lambda: "driver_error" in said("--json", "f0"))
    text = told_of("f0", reason="driver_error")
    assert text.startswith("The driver refused with an error. The transmit ring "), text
    remove("f0")


@test("hardware: its driver has no XDP, wants a program, a carrier, channels")
def _():
    # A dummy, as if it were a NIC.
    sh("ip link add du type dummy; ip link set du up")
    network = Network(Place(""))

    def nic_says(driver, reason, code=None, programs=(), **more):
        link = network.link(ifindex("du"))
        link.kind, link.driver, link.programs = None, lambda: driver, dict.fromkeys(programs)
        for name, value in more.items():
            setattr(link, name, value)
        return hardware(network, link, Why(reason, code))

    def features(number):
        network.xdp_features = lambda link: number

    def channels(combined, most):
        network.channels = lambda link: {"combined": combined, "combined_max": most}

    program = "needs an XDP program on du itself; a program that returns XDP_PASS is sufficient."
    if OLD:
        equal(nic_says("e1000", "no_xmit"),
              "The driver e1000 has no ndo_xdp_xmit, or the frames had several buffers, which "
              f"this kernel does not redirect: {GENERIC}")
        text = nic_says("igb", "no_xmit")
        assert text.startswith("This kernel redirects no frames of several buffers: "), text
    else:
        # By the features that the kernel really has for a device without XDP.
        equal(nic_says("e1000", "no_xmit"),
              "The driver e1000 does not support XDP on du, and an XDP program does not change "
              f"that: {GENERIC}")
        features(1)
        equal(nic_says("igb", "no_xmit"), f"The driver igb {program}")
        equal(nic_says("new", "no_xmit"),
              "The driver new may need an XDP program on du itself. If that does not help, "
              f"{GENERIC}")
        for driver in ("igb", "new"):
            equal(nic_says(driver, "no_xmit", programs=["xdpdrv"]),
                  f"The driver {driver} does not transmit XDP frames: {GENERIC}")
        # Rings are nothing that a driver which has refused no frame lacks.
        channels(1, 64)
        equal(nic_says("i40e", "no_xmit"), f"The driver i40e {program}")

    for driver, code, needs in (
            ("igb", errno.ENXIO, program), ("bnxt_en", errno.EINVAL, program),
            ("funeth", errno.ENETDOWN, program), ("igb", errno.ENETDOWN, None),
            ("bnxt_en", errno.ENXIO, None), ("mlx5_core", errno.ENETDOWN, None)):
        equal(nic_says(driver, "driver_error", code), needs and f"The driver {driver} {needs}")
        equal(nic_says(driver, "driver_error", code, ["xdpdrv"]), None)
        equal(nic_says(driver, "driver_error", code, up=False),
              "It is down: ip link set dev du up.")
    equal(nic_says("igc", "driver_error", errno.ENETDOWN), None)
    equal(nic_says("igc", "driver_error", errno.ENETDOWN, carrier=False),
          "It has no carrier: check the cable, and the device at its other end.")

    cpus = os.cpu_count()
    text = f"The driver mlx5_core needs a channel for each of the {cpus} CPUs, and has "
    channels(cpus - 1, cpus)
    equal(nic_says("mlx5_core", "driver_error", errno.ENXIO),
          f"{text}{cpus - 1}: ethtool -L du combined {cpus}.")
    channels(cpus, cpus)
    equal(nic_says("mlx5_core", "driver_error", errno.ENXIO), None)
    channels(1, cpus - 1)
    equal(nic_says("mlx5_core", "driver_error", errno.ENXIO),
          f"{text}{cpus - 1} at most: let interrupts of the ingress devices go to the first CPUs "
          f"only; or {GENERIC}")
    network.close()
    remove("du")


@test("a tap that nobody has open")
def _():
    sh("modprobe tun; ip tuntap add ta mode tap; ip link set ta up")
    equal(advised("ta"), f"{READY}No process has ta open: start the process that reads from "
                         f"it.{ENXIO}")
    remove("ta")


@test("a driver that wants a program first")
def _():
    name = nic()
    if not name:
        print("# skipped: no virtio NIC, see scripts/lab/vm --nics")
        return
    try:
        equal(advised(name), f"The driver virtio_net needs an XDP program on {name} itself; a "
                             f"program that returns XDP_PASS is sufficient.{ASKED}")
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
        assert text.endswith(" (The kind of the device is unknown: this command cannot enter "
                             f"its network namespace.){ASKED}"), text


@test("a file that is no namespace, among the names of these, is left alone")
def _():
    # Opening a FIFO would wait for ever; a namespace's name is a file of nsfs.
    fifo = "/run/netns/0-fifo"
    sh(f"ip link add ve type veth peer name vep netns {NAMED}; ip link set ve up; "
       f"ip -n {NAMED} link set vep up; mkfifo {fifo}")
    try:
        update(switch, HOST, ifindex("ve"))
        send("in1", frame_to(HOST, 100), FRAMES)
        assert becomes(lambda: lost_by("ve") >= FRAMES)
        with subprocess.Popen([testlib.COMMAND, "drops", "ve"], stdout=subprocess.PIPE,
                              text=True) as drops:
            opened = []

            def has_opened():
                with contextlib.suppress(OSError):
                    # Only where somebody reads.
                    os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
                    opened.append(True)
                return opened

            assert becomes(lambda: drops.poll() is not None or has_opened())
            text = drops.communicate()[0]
        equal(opened, [])
        assert f"Its peer vep (in network namespace {NAMED}) needs " in text, text
    finally:
        os.unlink(fifo)
        remove("ve")


@test("where a device may not be looked at, the reason's own text stands")
def _():
    testlib.add_veth("ve", "vep")
    advised("ve")
    # One descriptor for the module's family, one for another socket, none for the next.
    done = subprocess.run(["sh", "-c", f"ulimit -n 5; exec {testlib.COMMAND} drops ve"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    equal((done.returncode, done.stderr), (0, ""))
    assert re.match(r"ve lost \d+ of \d+ frames, .*\. The d(river refused with an error|"
                    r"evice cannot transmit such XDP frames)\. ", done.stdout), done.stdout
    remove("ve")


# --- generic XDP ------------------------------------------------------------


@test("generic XDP: a veth whose peer is down, a tap that nobody reads, a VLAN's queue")
def _():
    attach("xdpgeneric")
    testlib.add_veth("ve", "vep")
    sh("ip link set vep down")
    equal(advised("ve"), f"{DROPPED}Its peer vep is down: ip link set dev vep up.")
    sh("ip tuntap add ta mode tap; ip link set ta up")
    equal(advised("ta"), f"{DROPPED}No process has ta open: start the process that reads from it.")
    sh("ip link set vep up; ip link add link ve name vl type vlan id 5; ip link set vl up; "
       "tc qdisc add dev ve root tbf rate 8kbit burst 1540 limit 1540")
    update(switch, HOST, ifindex("vl"))
    equal(advised_of_entry("vl", "vl", frames=100),
          f"{DROPPED}Check the device below, ve: tc -s qdisc show dev ve; ip -s link show dev ve.")
    remove("vl", "ve", "ta")


try:
    run()
finally:
    os.close(switch)
    sh(f"rm -rf {PIN}; ip netns del {NAMED}")
    sys.stdout.flush()
