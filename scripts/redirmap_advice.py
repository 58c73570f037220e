# SPDX-License-Identifier: GPL-2.0-only
"""What helps a device that does not take frames: that depends on its kind.

The kernel's rtnetlink tells the kind and the state; a driver's name comes from
/sys/bus, which is the same in all network namespaces. An advice is given only where
the present state explains the loss.
"""
import errno
import os

from redirmap_netlink import (NETLINK_ROUTE, U32, Netlink, Refused, each_attribute, encoded,
                              string, u32)
from redirmap_proc import CLONE_NEWNET, enter, quoted
from redirmap_rtnl import LINK, RTM_GETLINK, Device
from redirmap_table import this_netns

# linux/if.h, linux/if_link.h, linux/net_namespace.h
IFF_UP = 1
IFLA_LINK, IFLA_MASTER, IFLA_LINKINFO, IFLA_CARRIER, IFLA_LINK_NETNSID = 5, 10, 18, 33, 37
IFLA_TARGET_NETNSID, IFLA_PARENT_DEV_NAME, IFLA_PARENT_DEV_BUS_NAME = 46, 56, 57
IFLA_INFO_KIND = 1
RTM_GETNSID, NETNSA_NSID, NETNSA_FD = 90, 1, 3

NATIVE = "xdpdrv"
GENERIC = "attach the program in generic mode (xdpgeneric)"

# Drivers, as they call themselves: see Documentation/drivers.rst. Those that need a
# program, for their transmit rings, or (igc, fec, vmxnet3) to announce them,
WANT_PROGRAM = {
    "bnxt_en", "ena", "fec", "funeth", "gve", "i40e", "ice", "igb", "igc", "ixgbe",
    "rvu_nicpf", "rvu_nicvf", "virtio_net", "vmxnet3",
}
# and those that have a ring for each CPU, or answer with an error.
WANT_RINGS = {"funeth", "i40e", "ice", "mlx5_core", "sfc", "sfc_ef100", "sfc_siena"}

# What a device of a kind without ndo_xdp_xmit stands for, and what its program has
# to do to leave it out.
ABOVE = {
    "vlan": "let the program add the tag",
    "macvlan": None,
    "macvtap": None,
    "ipvlan": None,
    "ipvtap": None,
    "macsec": None,
}

READY = "The device was not ready for XDP frames."


class Link(Device):
    """A device: its kind and state, and what it belongs to."""

    def __init__(self, data, at, end):
        super().__init__(data, at, end)
        _, _, _, flags, _ = LINK.unpack_from(data, at)
        self.up, self.carrier, self.kind = bool(flags & IFF_UP), True, None
        # Another device, a VLAN's or a veth's, and the namespace that it is in
        self.other = self.other_netns = None
        bus = name = None
        for number, start, stop in each_attribute(data, at + LINK.size, end):
            if number == IFLA_LINK:
                self.other = u32(data, start, stop)
            elif number == IFLA_LINK_NETNSID:
                self.other_netns = u32(data, start, stop)
            elif number == IFLA_CARRIER:
                self.carrier = bool(data[start])
            elif number == IFLA_LINKINFO:
                for kind, where, until in each_attribute(data, start, stop):
                    if kind == IFLA_INFO_KIND:
                        self.kind = string(data, where, until)
            elif number == IFLA_PARENT_DEV_NAME:
                name = string(data, start, stop)
            elif number == IFLA_PARENT_DEV_BUS_NAME:
                bus = string(data, start, stop)
        self.parent = (bus, name) if bus and name else None

    def driver(self):
        """The name of the hardware's driver, where there is hardware."""
        if not self.parent:
            return None
        bus, name = self.parent
        try:
            return os.path.basename(os.readlink(f"/sys/bus/{bus}/devices/{name}/driver"))
        except OSError:
            return None


class Place:
    """A network namespace, as a command reaches it: its name, "" for the present one,
    None where it has none."""

    def __init__(self, name):
        self.name = name

    def of(self, link):
        """A device by its name, and where that is."""
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
        """Where no name leads; here it would be for another device of the same name."""
        return f"inside that namespace, {command}" if self.name is None else command


class Network:
    """The devices of a network namespace."""

    def __init__(self, place, fd=None):
        """fd: of the namespace, if it is not the present one."""
        self.place = place
        if fd is None:
            self._socket = Netlink(NETLINK_ROUTE)
            return
        home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            # A socket stays in the namespace that it was opened in.
            enter(fd, CLONE_NEWNET)
            try:
                self._socket = Netlink(NETLINK_ROUTE)
            finally:
                enter(home, CLONE_NEWNET)
        finally:
            os.close(home)

    def close(self):
        self._socket.close()

    def link(self, ifindex, netns_id=None):
        """A device, of this namespace or one that this namespace has a number for; None
        if it is not there, or may not be seen."""
        request = LINK.pack(0, 0, ifindex, 0, 0)
        if netns_id is not None:
            request += encoded(IFLA_TARGET_NETNSID, U32.pack(netns_id))
        try:
            return self._socket.ask(RTM_GETLINK, request, Link)[0]
        except (Refused, IndexError):
            return None

    def slaves(self, link):
        request = LINK.pack(0, 0, 0, 0, 0) + encoded(IFLA_MASTER, U32.pack(link.ifindex))
        return self._socket.ask(RTM_GETLINK, request, Link, True)

    def _number_of(self, path):
        """What this namespace calls another one."""
        def number(data, at, end):
            return next(u32(data, start, stop)
                        for name, start, stop in each_attribute(data, at + 4, end)
                        if name == NETNSA_NSID)

        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            request = bytes(4) + encoded(NETNSA_FD, U32.pack(fd))
            return self._socket.ask(RTM_GETNSID, request, number)[0]
        finally:
            os.close(fd)

    def place_of(self, netns_id):
        """A namespace that this one has a number for."""
        if netns_id is None:
            return self.place
        paths = {"": "/proc/self/ns/net", **{name: path for name, path, _ in named()}}
        for name, path in paths.items():
            try:
                if self._number_of(path) == netns_id:
                    return Place(name)
            except (OSError, Refused, IndexError, StopIteration):
                continue
        return Place(None)


def named():
    """The network namespaces that have names: name, path, inode."""
    folder = "/run/netns"
    for name in sorted(os.listdir(folder)) if os.path.isdir(folder) else ():
        path = f"{folder}/{name}"
        try:
            yield name, path, os.stat(path).st_ino
        except OSError:
            continue


# --- what each kind needs ---------------------------------------------------


def set_up(network, place, link):
    return place.ip(f"link set dev {quoted(link.name)} up")


def veth(network, link, native=True):
    peer = network.link(link.other, link.other_netns) if link.other else None
    if not peer:
        return ("Its peer, which cannot be seen from here, has to be up, and to have an XDP "
                "program or GRO.") if native else None
    place = network.place_of(link.other_netns)
    name = place.of(peer)
    gro = place.tool(f"ethtool -K {quoted(peer.name)} gro on")
    has_program = NATIVE in peer.programs
    if not peer.up:
        down = f"Its peer {name} is down: {set_up(network, place, peer)}."
        if native and not has_program:
            down += f" It also needs an XDP program or GRO: {gro}."
        return down
    if not native or has_program:
        return None
    if peer.programs:
        return (f"Its peer {name} runs its XDP program in generic mode: attach that natively "
                f"({NATIVE}), or {gro}.")
    return f"Its peer {name} needs an XDP program or GRO: {gro}."


def bond(network, link, native=True):
    slaves = network.slaves(link)
    if not slaves:
        words = network.place.ip(f"link set dev SLAVE master {quoted(link.name)}")
        return f"The bond has no slave: {words}."
    down = [one for one in slaves if not one.up]
    if len(down) == len(slaves):
        return (f"No slave of the bond is up: {set_up(network, network.place, down[0])}.")
    for slave in slaves:
        text = advice(network, slave, native)
        if text:
            return f"Its slave {slave.name} is the cause. {text}"
    return None


def tun(network, link, native=True):
    if link.carrier:
        return None
    return f"No process has {link.name} open: start the one that reads from it."


def above(network, link, native=True):
    lower = network.link(link.other, link.other_netns) if link.other else None
    if not native:
        if not lower:
            return None
        place = network.place_of(link.other_netns)
        tc = place.tool(f"tc -s qdisc show dev {quoted(lower.name)}")
        ip = place.ip(f"-s link show dev {quoted(lower.name)}")
        return f"Look at {place.of(lower)} below it: {tc}; {ip}."
    text = f"A {link.kind} transmits no XDP frames."
    if lower and link.other_netns is None:
        behind = ABOVE[link.kind]
        return (f"{text} Redirect to {lower.name}, the device below"
                f"{f', and {behind}' if behind else ''}; or {GENERIC}.")
    return f"{text} Redirect to another device; or {GENERIC}."


def bridge(network, link, native=True):
    if not native:
        return None
    return f"A bridge transmits no XDP frames. Redirect to one of its ports; or {GENERIC}."


def other_kind(network, link, native=True):
    if not native:
        return None
    return f"A device of the kind {link.kind} transmits no XDP frames: {GENERIC}."


def hardware(network, link, native=True):
    driver = link.driver()
    if not (native and driver):
        return None
    has_program = NATIVE in link.programs
    if driver in WANT_PROGRAM and not has_program:
        return (f"The driver {driver} wants an XDP program on {link.name} itself: one that "
                "returns XDP_PASS will do.")
    if driver in WANT_RINGS:
        rings = network.place.tool(f"ethtool -L {quoted(link.name)} combined {os.cpu_count()}")
        return f"The driver {driver} needs a transmit ring for each CPU: {rings}."
    if has_program:
        return None
    return (f"The driver {driver} may want an XDP program on {link.name} itself. If that does "
            f"not help, {GENERIC}.")


KINDS = {"veth": veth, "bond": bond, "tun": tun, "bridge": bridge, **dict.fromkeys(ABOVE, above)}
# Kinds whose driver may learn it, or that have hardware
UNSURE = {"netkit", "team", "dsa"}


def advice(network, link, native=True):
    """What helps a device that has refused native frames, or dropped a packet of
    generic XDP; None where its kind and state do not tell."""
    if link.kind is None:
        return hardware(network, link, native)
    if link.kind in UNSURE:
        return None
    return KINDS.get(link.kind, other_kind)(network, link, native)


class Adviser:
    """What helps the devices of losses."""

    # Errors that say: not ready
    ERRORS = (errno.ENXIO, errno.EINVAL)

    def __init__(self):
        # By inode; None where it cannot be looked into
        self._networks = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for network in self._networks.values():
            if network:
                network.close()

    def _network(self, inode):
        if inode not in self._networks:
            self._networks[inode] = self._open(inode)
        return self._networks[inode]

    @staticmethod
    def _open(inode):
        if inode == this_netns():
            return Network(Place(""))
        for name, path, number in named():
            if number != inode:
                continue
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            except OSError:
                return None
            try:
                return Network(Place(name), fd)
            except OSError:
                return None
            finally:
                os.close(fd)
        return None

    def text(self, loss):
        """What to say of a target's loss, as redirmap_drops.losses() makes it; or None."""
        reason = loss["reason"]
        if reason == "driver_error" and loss["error"] not in self.ERRORS:
            return None
        network = self._network(loss["netns"])
        if not network:
            return (f"{loss['text']} (Its kind is not known: it is in a network namespace that "
                    "cannot be looked into.)")
        link = network.link(loss["ifindex"])
        text = link and advice(network, link, reason != "xmit_drop")
        if not text:
            return None
        if reason == "xmit_drop":
            return f"The device dropped the packet. {text}"
        if text.startswith(("A ", "The driver ")):
            return text
        return f"{READY} {text}"
