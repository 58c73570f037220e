# SPDX-License-Identifier: GPL-2.0-only
"""Devices that need more than Debian 12's ip(8), which knows neither netkit nor
the modes of team: requests of netlink, for tests in Python."""
import socket
import struct

from nllib import attributes
from testlib import Skip, checked, ifindex, sh

NETLINK_GENERIC, GENL_ID_CTRL, CTRL_CMD_GETFAMILY = 16, 16, 3
NLMSG_ERROR = 2
RTM_NEWLINK = 16
# Types of a team's options
STRING, U32 = 5, 3


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

    # IFLA_LINKINFO, IFLA_INFO_KIND, IFLA_INFO_DATA; IFLA_NETKIT_PEER_INFO,
    # _MODE
    data = attribute(1, link(peer)) + attribute(5, struct.pack("I", 0))
    body = link(name) + attribute(18, attribute(1, b"netkit\0") + attribute(2, data))
    try:
        # Create, exclusive
        request(socket.NETLINK_ROUTE, RTM_NEWLINK, 0x400 | 0x200, body)
    except OSError as error:
        if error.errno == 95:
            raise Skip("the kernel has no device of the type netkit") from None
        raise


def set_team(name, option, kind, data):
    """Set an option, as teamd would do it."""
    def generic(command, body):
        return struct.pack("BBH", command, 1, 0) + body

    answer = request(NETLINK_GENERIC, GENL_ID_CTRL, 0,
                     generic(CTRL_CMD_GETFAMILY, attribute(2, b"team\0")))
    family, = struct.unpack("H", attributes(answer[4:])[1])
    # TEAM_ATTR_OPTION_NAME, _TYPE, _DATA; TEAM_ATTR_ITEM_OPTION
    one = attribute(1, attribute(1, option + b"\0") + attribute(3, bytes([kind])) +
                    attribute(4, data))
    try:
        # TEAM_CMD_OPTIONS_SET; TEAM_ATTR_TEAM_IFINDEX, _LIST_OPTION
        request(NETLINK_GENERIC, family, 0,
                generic(1, attribute(1, struct.pack("I", ifindex(name))) + attribute(2, one)))
    except ProcessLookupError:
        # The option is set, but no process listens to the event that says so.
        pass


def set_active_port(name, port):
    set_team(name, b"activeport", U32, struct.pack("I", ifindex(port)))


def add_team(name, mode, *ports, mtu=1500):
    """A team of these devices, which have to be down. All are up then."""
    told = sh(f"ip link add {name} mtu {mtu} type team 2>&1 || :")
    if "Unknown device type" in told or "Operation not supported" in told:
        raise Skip(f"the kernel has no team: {told.strip()}")
    assert not told, told
    set_team(name, b"mode", STRING, mode.encode() + b"\0")
    for port in ports:
        sh(f"ip link set {port} master {name}")
    if mode == "activebackup":
        set_active_port(name, ports[0])
    sh(f"ip link set {name} up")
