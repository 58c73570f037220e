#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The advice of redirmap drops for a device that takes no frames, by its kind
and its state, in native and generic XDP, in this and in other namespaces. For
drivers and their errnos see cmd_advice_drivers.py."""
import contextlib
import os
import re
import subprocess

import testlib
from advicelib import (ASKED, DROPPED, ENXIO, FRAMES, GENERIC, HOST, NAMED, OLD, READY, advice_now,
                       advised, advised_of_entry, at_host, attach, elsewhere, leave, lost_by,
                       nameless, remove, switch, told_of)
from redirmap_advice import Cured
from testlib import becomes, equal, frame_to, ifindex, run, send, sh, test, update

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


@test("a veth whose peer has GRO: other causes, or none")
def _():
    testlib.add_veth("ve", "vep")
    refused = advised("ve")
    assert "needs an XDP program or GRO" in refused, refused
    sh("ethtool -K vep gro on")
    # The loss is older; its cause has gone.
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
        # A property that cannot be read does not count as missing.
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
    # The driver itself sees no slave; the features depend on all slaves.
    also = "" if OLD else f" {slave}"
    equal(advised("bo"), f"{READY}No slave of the bond is up: ip link set dev bs up.{also}{ASKED}")
    sh("ip link set bs up")
    assert becomes(lambda: "UP" in sh("cat /proc/net/bonding/bo | grep -i 'MII Status: up' "
                                      "&& echo UP || true")), "the bond has no carrier"
    equal(advised("bo"), f"{READY}{slave}{ASKED}")
    remove("bo", "bs")


@test("a bond: its mode, its active slave, a slave that cannot transmit")
def _():
    sh("ip link add bo type bond mode balance-alb; ip link set bo up")
    testlib.add_veth("bs", "bsp")
    sh("ethtool -K bsp gro on; ip link set bs down; ip link set bs master bo; ip link set bs up")
    equal(advised("bo"), "A bond of mode balance-alb transmits no XDP frames: use balance-rr, "
                         f"active-backup, balance-xor or 802.3ad; or {GENERIC}{ASKED}")
    remove("bo", "bs")

    # Two slaves; the peer of the second one has no GRO.
    sh("ip link add bo type bond mode active-backup miimon 10; ip link set bo up")
    for slave, gro in (("bs1", "on"), ("bs2", "off")):
        testlib.add_veth(slave, f"{slave}p")
        sh(f"ethtool -K {slave}p gro {gro}; ip link set {slave} down; "
           f"ip link set {slave} master bo; ip link set {slave} up")

    def activate(slave):
        """Disable it permanently."""
        sh(f"ip link set bo type bond primary {slave}")
        assert becomes(lambda: f"active_slave {slave} " in sh("ip -d link show bo"))

    activate("bs2")
    name = "active slave" if OLD else "slave"
    equal(advised("bo"), f"{READY}Its {name} bs2 is not ready. Its peer bs2p needs an XDP program "
                         f"or GRO: ethtool -K bs2p gro on.{ASKED}")
    if OLD:
        # The other slave is not mentioned.
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


@test("devices of other namespaces: if they can be read")
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


@test("a file among the names of namespaces that is no namespace is ignored")
def _():
    # Opening a FIFO would wait for ever; the name of a namespace is a file of
    # nsfs.
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
                    # This succeeds only while another process reads the FIFO.
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


@test("if a device cannot be read, the text of the reason is printed")
def _():
    testlib.add_veth("ve", "vep")
    advised("ve")
    # One descriptor for the module's family, one for another socket, none for
    # the next.
    done = subprocess.run(["sh", "-c", f"ulimit -n 5; exec {testlib.COMMAND} drops ve"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    equal((done.returncode, done.stderr), (0, ""))
    assert re.match(r"ve lost \d+ of \d+ frames, .*\. The d(river refused with an error|"
                    r"evice cannot transmit such XDP frames)[.,] ", done.stdout), done.stdout
    remove("ve")


# --- generic XDP ------------------------------------------------------------


@test("generic XDP: a veth whose peer is down, a tap without a reader, a VLAN's queue")
def _():
    attach("xdpgeneric")
    testlib.add_veth("ve", "vep")
    sh("ip link set vep down")
    equal(advised("ve"), f"{DROPPED}Its peer vep is down: ip link set dev vep up.")
    sh("modprobe tun; ip tuntap add ta mode tap; ip link set ta up")
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
    leave()
