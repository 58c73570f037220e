#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Ping and TCP through each kind of device without a MAC header that takes
packets: see trafficlib.py. For devices of Ethernet see
dev_packets_traffic.py."""
import contextlib
import fcntl
import os
import select
import struct
import threading

from hostlib import FAR, add_outer, add_wire, far, inside, ip, ip_far, route
from testlib import Skip, sh
from trafficlib import can_make, kind, run_kinds


def open_tun(name):
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    # TUNSETIFF; IFF_TUN | IFF_NO_PI
    fcntl.ioctl(fd, 0x400454ca, struct.pack("16sH22x", name.encode(), 0x1001))
    return fd


def relay(one, other):
    """Pass packets between two tuns, until one is deleted."""
    try:
        while True:
            for fd in select.select([one, other], [], [])[0]:
                with contextlib.suppress(BlockingIOError):
                    while True:
                        os.write(other if fd == one else one, os.read(fd, 1 << 16))
    except OSError:
        os.close(one)
        os.close(other)


@kind("tun")
def _():
    sh("modprobe tun 2>/dev/null || :")
    if not os.path.exists("/dev/net/tun"):
        raise Skip("the kernel has no tun")
    here = open_tun("t0")
    with inside(FAR):
        there = open_tun("t0")
    threading.Thread(target=relay, args=(here, there), daemon=True).start()
    route("t0", "t0")
    return "t0"


def add_tunnel(args):
    can_make(f"{args} local 10.8.0.3 remote 10.8.0.4")
    add_outer()
    ip(f"link add t0 type {args} local 10.8.0.1 remote 10.8.0.2")
    ip_far(f"link add t0 type {args} local 10.8.0.2 remote 10.8.0.1")
    route("t0", "t0")
    return "t0"


@kind("ipip")
def _():
    return add_tunnel("ipip")


@kind("gre")
def _():
    return add_tunnel("gre")


@kind("sit")
def _():
    return add_tunnel("sit mode any")


def add_tunnel6(args):
    if not os.path.isdir("/proc/sys/net/ipv6"):
        raise Skip("the kernel has no IPv6")
    can_make(f"{args} local fd08::3 remote fd08::4")
    add_wire()
    for where, device, address in ((sh, "far0", "fd08::1"), (far, "eth0", "fd08::2")):
        where(f"sysctl -qw net.ipv6.conf.{device}.disable_ipv6=0; "
              f"ip addr add {address}/64 dev {device} nodad")
    ip(f"link add t0 type {args} local fd08::1 remote fd08::2")
    ip_far(f"link add t0 type {args} local fd08::2 remote fd08::1")
    route("t0", "t0")
    return "t0"


@kind("ip6tnl")
def _():
    return add_tunnel6("ip6tnl mode any encaplimit none")


@kind("ip6gre")
def _():
    return add_tunnel6("ip6gre encaplimit none")


@kind("WireGuard")
def _():
    can_make("wireguard")
    if not sh("command -v wg || :"):
        raise Skip("there is no wg(8)")
    add_outer()
    ip("link add wg0 type wireguard")
    ip_far("link add wg0 type wireguard")
    keys = [sh("wg genkey").strip() for _ in range(2)]
    public = [sh(f"echo {key} | wg pubkey").strip() for key in keys]
    for where, me, other in ((sh, 0, 1), (far, 1, 0)):
        where(f"echo {keys[me]} >/tmp/wg.key; wg set wg0 listen-port 5182 private-key /tmp/wg.key "
              f"peer {public[other]} allowed-ips 0.0.0.0/0 endpoint 10.8.0.{other + 1}:5182")
    route("wg0", "wg0")
    return "wg0"


run_kinds()
