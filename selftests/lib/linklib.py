# SPDX-License-Identifier: GPL-2.0-only
"""Devices that Debian 12's ip(8) cannot make: requests of netlink, for tests in Python."""
import socket
import struct

from testlib import Skip, checked

NLMSG_ERROR = 2
RTM_NEWLINK = 16


def attribute(number, data):
    return struct.pack("HH", 4 + len(data), number) + data + bytes(-len(data) % 4)


def request(family, kind, flags, body):
    """The body of the kernel's answer, or b"" if it has none."""
    # A request to be acknowledged
    head = struct.pack("IHHII", 16 + len(body), kind, 1 | 4 | flags, 1, 0)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, family) as sock:
        sock.send(head + body)
        answer = sock.recv(1 << 14)
    if struct.unpack_from("H", answer, 4)[0] != NLMSG_ERROR:
        return answer[16:]
    checked(struct.unpack_from("i", answer, 16)[0])
    return b""


def add_netkit(name, peer):
    """A pair of the layer 2."""
    def link(name):
        return struct.pack("BxHiII", 0, 0, 0, 0, 0) + attribute(3, name.encode() + b"\0")

    # IFLA_LINKINFO, IFLA_INFO_KIND, IFLA_INFO_DATA; IFLA_NETKIT_PEER_INFO, _MODE
    data = attribute(1, link(peer)) + attribute(5, struct.pack("I", 0))
    body = link(name) + attribute(18, attribute(1, b"netkit\0") + attribute(2, data))
    try:
        # Create, exclusive
        request(socket.NETLINK_ROUTE, RTM_NEWLINK, 0x400 | 0x200, body)
    except OSError as error:
        if error.errno == 95:
            raise Skip("the kernel has no device of the type netkit") from None
        raise
