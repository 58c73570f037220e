# SPDX-License-Identifier: GPL-2.0-only
"""Devices: their kinds, states, features and network namespaces.

rtnetlink reports the kind and the state. The netlink families "ethtool" and
"netdev" report the features and queues. The name of the driver comes from
/sys/bus, which is the same in all network namespaces.
"""
import os

from redirmap_netlink import (GENERIC, NETLINK_GENERIC, NETLINK_ROUTE, U32, U64, Netlink, Refused,
                              each_attribute, encoded, string, u32)
from redirmap_proc import CLONE_NEWNET, enter, quoted
from redirmap_rtnl import LINK, RTM_GETLINK, Device
from redirmap_table import named_netns

# linux/if.h, linux/if_link.h, linux/net_namespace.h
IFF_UP = 1
IFF_NOARP = 0x80
IFLA_LINK, IFLA_MASTER, IFLA_LINKINFO, IFLA_CARRIER, IFLA_LINK_NETNSID = 5, 10, 18, 33, 37
IFLA_TARGET_NETNSID, IFLA_PARENT_DEV_NAME, IFLA_PARENT_DEV_BUS_NAME = 46, 56, 57
IFLA_INFO_KIND, IFLA_INFO_DATA = 1, 2
IFLA_BOND_MODE, IFLA_BOND_ACTIVE_SLAVE, IFLA_BOND_XMIT_HASH_POLICY = 1, 2, 14
RTM_GETNSID, NETNSA_NSID, NETNSA_FD = 90, 1, 3
NLA_F_NESTED = 0x8000

# linux/netdev.h
NETDEV_CMD_DEV_GET, NETDEV_A_DEV_IFINDEX, NETDEV_A_DEV_XDP_FEATURES = 1, 1, 3
XDP_BASIC, XDP_NDO_XMIT, XDP_NDO_XMIT_SG = 1, 4, 64

# linux/ethtool_netlink.h
ETHTOOL_A_HEADER, ETHTOOL_A_HEADER_DEV_INDEX = 1, 1
ETHTOOL_MSG_FEATURES_GET, ETHTOOL_A_FEATURES_WANTED = 11, 3
ETHTOOL_A_BITSET_BITS, ETHTOOL_A_BITSET_BITS_BIT, ETHTOOL_A_BITSET_BIT_NAME = 3, 1, 2
ETHTOOL_MSG_CHANNELS_GET = 17
CHANNELS = {2: "rx_max", 3: "tx_max", 5: "combined_max", 6: "rx", 7: "tx", 9: "combined"}


class Link(Device):
    """A device: its kind, its state, and its relations to other devices."""

    def __init__(self, data, at, end):
        super().__init__(data, at, end)
        _, self.type, _, flags, _ = LINK.unpack_from(data, at)
        self.up, self.carrier, self.kind = bool(flags & IFF_UP), True, None
        self.arp = not flags & IFF_NOARP
        # The device below a VLAN, or the peer of a veth, and its namespace
        self.other = self.other_netns = None
        # Only for a bond
        self.mode = self.active = self.policy = None
        bus = name = None
        for number, start, stop in each_attribute(data, at + LINK.size, end):
            if number == IFLA_LINK:
                self.other = u32(data, start, stop)
            elif number == IFLA_LINK_NETNSID:
                self.other_netns = u32(data, start, stop)
            elif number == IFLA_CARRIER:
                self.carrier = bool(data[start])
            elif number == IFLA_LINKINFO:
                self._read_kind(data, start, stop)
            elif number == IFLA_PARENT_DEV_NAME:
                name = string(data, start, stop)
            elif number == IFLA_PARENT_DEV_BUS_NAME:
                bus = string(data, start, stop)
        self.parent = (bus, name) if bus and name else None

    def _read_kind(self, data, at, end):
        parts = {number: (start, stop) for number, start, stop in each_attribute(data, at, end)}
        if IFLA_INFO_KIND in parts:
            self.kind = string(data, *parts[IFLA_INFO_KIND])
        if self.kind != "bond" or IFLA_INFO_DATA not in parts:
            return
        for number, start, stop in each_attribute(data, *parts[IFLA_INFO_DATA]):
            if number == IFLA_BOND_MODE:
                self.mode = data[start]
            elif number == IFLA_BOND_ACTIVE_SLAVE:
                self.active = u32(data, start, stop)
            elif number == IFLA_BOND_XMIT_HASH_POLICY:
                self.policy = data[start]

    def driver(self):
        """The name of the driver of a hardware device; None for other
        devices."""
        if not self.parent:
            return None
        bus, name = self.parent
        try:
            return os.path.basename(os.readlink(f"/sys/bus/{bus}/devices/{name}/driver"))
        except OSError:
            return None


class Place:
    """A network namespace in commands: its name, "" for the present one, None
    if it has no name."""

    def __init__(self, name):
        self.name = name

    def of(self, link):
        """The name of a device, with its namespace."""
        if self.name == "":
            return link.name
        if self.name is None:
            return f"{link.name} (in a network namespace without a name)"
        return f"{link.name} (in network namespace {self.name})"

    def ip(self, words):
        return f"ip -n {quoted(self.name)} {words}" if self.name else self._there(f"ip {words}")

    def tool(self, words):
        return f"ip netns exec {quoted(self.name)} {words}" if self.name else self._there(words)

    def _there(self, command):
        """A command for a namespace without a name; run here, it would affect
        another device of the same name."""
        return f"inside that namespace, {command}" if self.name is None else command


class Network:
    """The devices of a network namespace."""

    def __init__(self, place, fd=None):
        """fd: a descriptor of the namespace; None for the present one."""
        self.place = place
        self._sockets = []
        # Numbers of generic netlink families by name; None if the kernel lacks
        # one
        self._families = {}
        # Other networks, by the netns id that this namespace has for them
        self._others = {}
        try:
            if fd is None:
                self._open()
            else:
                self._open_in(fd)
        except BaseException:
            self.close()
            raise

    def _open(self):
        for protocol in (NETLINK_ROUTE, NETLINK_GENERIC):
            self._sockets.append(Netlink(protocol))

    def _open_in(self, fd):
        home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            # A socket stays in the namespace in which it was opened.
            enter(fd, CLONE_NEWNET)
            try:
                self._open()
            finally:
                enter(home, CLONE_NEWNET)
        finally:
            os.close(home)

    def close(self):
        for one in self._sockets + [one for one in self._others.values() if one]:
            one.close()

    # --- rtnetlink ---

    def link(self, ifindex, netns_id=None):
        """A device of this namespace, or of a namespace for which this one has
        an id. None if the device does not exist, or is not visible."""
        request = LINK.pack(0, 0, ifindex, 0, 0)
        if netns_id is not None:
            request += encoded(IFLA_TARGET_NETNSID, U32.pack(netns_id))
        try:
            return self._sockets[0].ask(RTM_GETLINK, request, Link)[0]
        except (Refused, IndexError):
            return None

    def slaves(self, link):
        request = LINK.pack(0, 0, 0, 0, 0) + encoded(IFLA_MASTER, U32.pack(link.ifindex))
        return self._sockets[0].ask(RTM_GETLINK, request, Link, True)

    def _number_of(self, fd):
        """The id that this namespace has for another one, or None."""
        def number(data, at, end):
            return next((u32(data, start, stop)
                         for name, start, stop in each_attribute(data, at + 4, end)
                         if name == NETNSA_NSID), None)

        request = bytes(4) + encoded(NETNSA_FD, U32.pack(fd))
        return self._sockets[0].ask(RTM_GETNSID, request, number)[0]

    # --- generic netlink ---

    def _tell(self, family, command, attributes):
        """The answer of a family about a device: (data, at, end) of the
        attributes. None if the kernel lacks the family, or has no answer."""
        sock = self._sockets[1]
        try:
            if family not in self._families:
                self._families[family] = None
                self._families[family] = sock.find_family(family)
            if self._families[family] is None:
                return None
            return sock.ask(self._families[family], GENERIC.pack(command, 1, 0) + attributes,
                            lambda data, at, end: (data, at + GENERIC.size, end))[0]
        except (Refused, IndexError):
            return None

    def _ethtool(self, command, ifindex):
        header = encoded(ETHTOOL_A_HEADER_DEV_INDEX, U32.pack(ifindex))
        return self._tell("ethtool", command, encoded(ETHTOOL_A_HEADER | NLA_F_NESTED, header))

    def xdp_features(self, link):
        """NETDEV_XDP_ACT_*; None before Linux 6.3."""
        told = self._tell("netdev", NETDEV_CMD_DEV_GET,
                          encoded(NETDEV_A_DEV_IFINDEX, U32.pack(link.ifindex)))
        for number, start, _ in each_attribute(*told) if told else ():
            if number == NETDEV_A_DEV_XDP_FEATURES:
                return U64.unpack_from(told[0], start)[0]
        return None

    def wanted(self, link):
        """The names of the wanted features of a device, as ethtool(8) sets
        them. None if they are unknown."""
        told = self._ethtool(ETHTOOL_MSG_FEATURES_GET, link.ifindex)
        if not told:
            return None

        def inside(at, end, wanted):
            return ((start, stop) for number, start, stop in each_attribute(told[0], at, end)
                    if number == wanted)

        return {
            string(told[0], *name)
            for bitset in inside(*told[1:], ETHTOOL_A_FEATURES_WANTED)
            for bits in inside(*bitset, ETHTOOL_A_BITSET_BITS)
            for bit in inside(*bits, ETHTOOL_A_BITSET_BITS_BIT)
            for name in inside(*bit, ETHTOOL_A_BITSET_BIT_NAME)
        }

    def channels(self, link):
        """The present and the maximum numbers of queues, as in ethtool -l. None
        if they are unknown."""
        told = self._ethtool(ETHTOOL_MSG_CHANNELS_GET, link.ifindex)
        if not told:
            return None
        found = dict.fromkeys(CHANNELS.values(), 0)
        for number, start, stop in each_attribute(*told):
            if number in CHANNELS:
                found[CHANNELS[number]] = u32(told[0], start, stop)
        return found

    # --- other namespaces ---

    def place_of(self, netns_id):
        """The place of the namespace with an id of this one."""
        other = self.at(netns_id)
        return other.place if other else Place(None)

    def at(self, netns_id):
        """The network with an id of this one; None if the namespace has no
        name."""
        if netns_id is None:
            return self
        if netns_id not in self._others:
            self._others[netns_id] = None
            self._others[netns_id] = self._find(netns_id)
        return self._others[netns_id]

    def _find(self, netns_id):
        paths = {"": "/proc/self/ns/net", **{name: path for name, path, _ in named_netns()}}
        for name, path in paths.items():
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except OSError:
                continue
            try:
                if self._number_of(fd) == netns_id:
                    return Network(Place(name), fd if name else None)
            except (OSError, Refused, IndexError):
                continue
            finally:
                os.close(fd)
        return None
