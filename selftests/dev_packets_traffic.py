#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Ping and TCP through each kind of device of Ethernet that takes packets: see
trafficlib.py. For the others see dev_packets_tunnels.py."""
import os
import socket

import hostlib
from hostlib import (BELOW, FAR, FAR_IP, MTU, NEAR, add_outer, add_wire, attach, back_from, far,
                     give_ip, inside, ip, ip_far, lead, links, near, ping)
from linklib import add_netkit, add_team
from testlib import becomes, equal, ifindex, open_pinned, test, until_up, update
from trafficlib import can_make, kind, made, run_kinds


@kind("veth without a program behind it")
def bare_veth():
    add_wire()
    give_ip("eth0")
    # Back by XDP as well, to another veth without a program.
    far("ethtool -K eth0 tx off")
    fd = open_pinned(f"{hostlib.PIN}/m/rm_array")
    update(fd, 1, ifindex("near0"))
    os.close(fd)
    attach("far0", "to_rm_array")
    return "far0"


@kind("bridge")
def _():
    add_wire()
    give_ip("eth0")
    ip("link add br0 type bridge", "link set far0 master br0", "link set br0 up")
    back_from("far0")
    return "br0"


def add_vlan(lower):
    ip(f"link add link {lower} name {lower}.5 type vlan id 5", f"link set {lower}.5 up")
    ip_far("link add link eth0 name eth0.5 type vlan id 5")
    give_ip("eth0.5")
    back_from(f"{lower}.5")
    return f"{lower}.5"


@kind("VLAN")
def _():
    add_wire()
    return add_vlan("far0")


def add_bond():
    add_wire()
    ip(f"link add bond0 mtu {BELOW} type bond mode active-backup", "link set far0 down",
       "link set far0 master bond0", "link set bond0 up")


@kind("bond")
def _():
    add_bond()
    give_ip("eth0")
    back_from("bond0")
    return "bond0"


@kind("VLAN on a bond")
def _():
    add_bond()
    return add_vlan("bond0")


@kind("macvlan")
def _():
    add_wire()
    give_ip("eth0")
    ip("link add link far0 name m0 type macvlan mode bridge", "link set m0 up")
    back_from("far0")
    return "m0"


@kind("macvtap")
def _():
    add_wire()
    give_ip("eth0")
    can_make("macvtap")
    ip("link add link far0 name m0 type macvtap mode bridge", "link set m0 up")
    back_from("far0")
    return "m0"


@kind("team")
def _():
    add_wire()
    give_ip("eth0")
    ip("link set far0 down")
    add_team("team0", "roundrobin", "far0", mtu=BELOW)
    until_up("team0")
    back_from("team0")
    return "team0"


@kind("ipvlan")
def _():
    add_wire()
    give_ip("eth0")
    can_make("ipvlan")
    ip("link add link far0 name i0 type ipvlan mode l2", "link set i0 up")
    back_from("far0")
    return "i0"


@kind("macsec")
def _():
    can_make("macsec")
    add_wire()
    keys = ("11" * 16, "22" * 16)

    here, there = links()["far0"]["address"], links(far)["eth0"]["address"]

    def secure(where, lower, send, receive, peer):
        where(f"link add link {lower} name sec0 mtu {MTU} type macsec port 1 encrypt on",
              f"macsec add sec0 tx sa 0 pn 1 on key 01 {keys[send]}",
              f"macsec add sec0 rx port 1 address {peer}",
              f"macsec add sec0 rx port 1 address {peer} sa 0 pn 1 on key 02 {keys[receive]}",
              "link set sec0 up")

    secure(ip, "far0", 0, 1, there)
    secure(ip_far, "eth0", 1, 0, here)
    give_ip("sec0")
    back_from("sec0")
    return "sec0"


@kind("vxlan")
def _():
    can_make("vxlan id 6 dstport 4788")
    add_outer()
    args = f"mtu {MTU} type vxlan id 7 dstport 4789 remote"
    ip(f"link add x0 {args} 10.8.0.2", "link set x0 up")
    ip_far(f"link add x0 {args} 10.8.0.1")
    give_ip("x0")
    back_from("x0")
    return "x0"


@kind("dummy, whose tc egress sends on")
def _():
    add_wire()
    give_ip("eth0")
    ip(f"link add d0 mtu {MTU} type dummy", "link set d0 up")
    ip("qdisc add dev d0 clsact",
       "filter add dev d0 egress matchall action mirred egress redirect dev far0", tool="tc")
    back_from("far0")
    return "d0"


@kind("netkit")
def _():
    add_netkit("nk0", "nk1")
    ip(f"link set nk0 mtu {MTU} up", f"link set nk1 netns {FAR}")
    give_ip("nk1")
    back_from("nk0")
    return "nk0"


@test("the sender's checksums have to be complete: those of its device are lost")
def _():
    def refused():
        """Packets with a wrong checksum that TCP has refused."""
        rows = [line.split() for line in far("cat /proc/net/snmp").splitlines()
                if line.startswith("Tcp:")]
        return int(dict(zip(*rows, strict=True))["InCsumErrors"])

    with made(bare_veth) as device:
        near("ethtool -K eth0 tx on")
        lead("rm_array", device)
        assert ping(1, "-w 20")
        with inside(NEAR):
            sender = socket.socket()
        with sender:
            sender.setblocking(False)
            equal(sender.connect_ex((FAR_IP, 7000)), 115)
            assert becomes(lambda: refused() > 0)
        near("ethtool -K eth0 tx off")


run_kinds()
