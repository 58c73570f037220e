#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""TCP and UDP of hosts that leave segments and checksums to hardware, through
generic XDP: stock beside claimed. See gsolib.py and dev_packets_gso.py."""
import contextlib
import json
import os
import re
import socket
import struct
import subprocess
import threading

from gsolib import PARAMETER, PIN, Refused, run_all, stats_of
from hostlib import connection, inside
from offloadlib import MSS
from testlib import OUTPUT, becomes, equal, ifindex, open_pinned, sh, test, update

SO_RCVBUFFORCE, UDP_SEGMENT = 33, 103
SENDER, RECEIVER = "rmgsosender", "rmgsoreceiver"
ADDRESS = ("10.9.0.2", 5001)


@contextlib.contextmanager
def hosts(kind, packets="*", egress_offloads=True, segments=False):
    """Two hosts behind in1 and in2, which a map connects in generic XDP; all
    MTUs are 1500. The receiver computes checksums itself. If the sender
    @segments, it is behind a VLAN on in1, its packets have final checksums, and
    in1 merges them (GRO) before the program sees them at the VLAN."""
    PARAMETER.write_text(packets + "\n")
    sh(f"mkdir -p {PIN}/hosts; "
       f"bpftool prog loadall {OUTPUT}/hosts.bpf.o {PIN}/hosts/p pinmaps {PIN}/hosts/m")
    PARAMETER.write_text("*\n")
    switch = open_pinned(f"{PIN}/hosts/m/{kind}")
    for number, name in ((1, SENDER), (2, RECEIVER)):
        sh(f"ip netns add {name}; ip link add in{number} type veth peer name eth0 netns {name}; "
           f"ip link set in{number} up; ip -n {name} link set eth0 up")
        vlan = ".5" if segments and number == 1 else ""
        if vlan:
            sh(f"ip link add link in1 name in1.5 type vlan id 5; ip link set in1.5 up; "
               f"ip -n {name} link add link eth0 name eth0.5 type vlan id 5; "
               f"ip -n {name} link set eth0.5 up")
        sh(f"ip -n {name} addr add 10.9.0.{number}/24 dev eth0{vlan}; "
           f"bpftool net attach xdpgeneric pinned {PIN}/hosts/p/to_{kind} dev in{number}{vlan}")
        update(switch, number, ifindex(f"in{number}{vlan}"))
    if not egress_offloads:
        sh("ethtool -K in2 tx off; ethtool -K in1 tx off")
    if segments:
        # Acknowledgements come from the stack of the receiver, as they are.
        sh(f"ip netns exec {SENDER} ethtool -K eth0 tso off gso off tx off; "
           f"ip netns exec {RECEIVER} ethtool -K eth0 tx off; ethtool -K in1 gro on")
    try:
        yield switch
    finally:
        os.close(switch)
        sh(f"ip link del in1; ip link del in2; ip netns del {SENDER}; ip netns del {RECEIVER}; "
           f"rm -rf {PIN}/hosts")


def tcp(size, meanwhile=lambda: None):
    """Send so many bytes, and compare them. Returns the segments that the
    sender has sent again."""
    data = os.urandom(1 << 16) * (size >> 16) + os.urandom(size & 0xffff)
    with connection(SENDER, RECEIVER, ADDRESS) as (sender, receiver):
        thread = threading.Thread(target=sender.sendall, args=[data], daemon=True)
        thread.start()
        meanwhile()
        got = bytearray()
        while len(got) < size:
            got += receiver.recv(1 << 20)
        thread.join()
        assert got == data
        # total_retrans of struct tcp_info
        return struct.unpack_from("I", sender.getsockopt(socket.IPPROTO_TCP, 11, 104), 100)[0]


def longest(device):
    """TCP has used packets that are longer than any segment."""
    stats = stats_of(device)
    return stats["bytes"] / stats["packets"]


def bad_checksums():
    text = sh(f"ip netns exec {RECEIVER} nstat -az TcpInCsumErrors UdpInCsumErrors")
    return [int(value) for value in re.findall(r"InCsumErrors +(\d+)", text)]


def lost_by(device):
    stats = json.loads(sh(f"ip -json -stats link show {device}"))[0]["stats64"]
    return stats["tx"]["dropped"] + stats["rx"]["dropped"]


SIZES = (200 << 10, 8 << 20)

for kind in ("rm_array", "rm_hash"):
    for offloads in (True, False):
        @test(f"{kind}: TCP of a sender with TSO, to a veth {'with' if offloads else 'without'} "
              "offloads")
        def _(kind=kind, offloads=offloads):
            with hosts(kind, egress_offloads=offloads), Refused() as refused:
                for size in SIZES:
                    # Where the machine is slow, a sender may time out without a
                    # loss, and send a packet of 45 segments again.
                    again, segments = tcp(size), size // 1448
                    assert again <= 100 + segments // 2, (again, segments)
                assert longest("in2") > 1600, stats_of("in2")
                equal([lost_by(device) for device in ("in1", "in2")], [0, 0])
                equal((stats_of("in2")["drops"], stats_of("in1")["drops"]), ({}, {}))
                equal((refused.count(), bad_checksums()), (0, [0, 0]))


@test("TCP that a NIC has merged: its first long packet is lost, and all others leave in segments")
def _():
    for mtu in (1500, 1600):
        with hosts("rm_hash", egress_offloads=False, segments=True), Refused() as refused:
            # The ingress may have a larger MTU than the target.
            sh(f"ip link set in1 mtu {mtu}; ip link set in1.5 mtu {mtu}")
            tcp(SIZES[1])
            assert longest("in2") > 1600, stats_of("in2")
            # Before the first long packet, or not at all, if it came behind a
            # short one
            lost = refused.count()
            assert lost <= 1, lost
            equal((stats_of("in2")["drops"].get("too_large", 0), bad_checksums()), (lost, [0, 0]))


for kind, policy in (("st_hash", "*"), ("rm_hash", "")):
    @test(f"{kind}, packets='{policy}': TCP of a sender with TSO loses unsegmented packets")
    def _(kind=kind, policy=policy):
        with hosts(kind, policy), Refused() as refused:
            def cure(refused=refused):
                assert becomes(refused.count), "nothing was lost"
                sh(f"ip netns exec {SENDER} ethtool -K eth0 tso off gso off")

            again = tcp(SIZES[0], cure)
            lost = refused.count()
            assert lost and again, (lost, again)
            if kind == "rm_hash":
                equal((stats_of("in2")["drops"], stats_of("in2")["unsegmented"]),
                      ({"too_large": lost}, lost))


@test("UDP GSO of a host: its datagrams arrive")
def _():
    with hosts("rm_hash", egress_offloads=False), Refused() as refused:
        with inside(RECEIVER):
            receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with inside(SENDER):
            sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        data = os.urandom(40 * MSS)
        with receiver, sender:
            receiver.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 1 << 20)
            receiver.settimeout(60)
            receiver.bind(ADDRESS)
            # ARP, and a first datagram
            sender.sendto(b"first", ADDRESS)
            equal(receiver.recv(100), b"first")
            sender.setsockopt(socket.SOL_UDP, UDP_SEGMENT, MSS)
            sender.sendto(data, ADDRESS)
            equal(b"".join(receiver.recv(2000) for _ in range(40)), data)
        equal((stats_of("in2")["drops"], refused.count(), bad_checksums()), ({}, 0, [0, 0]))


try:
    run_all()
finally:
    for name in (SENDER, RECEIVER):
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
