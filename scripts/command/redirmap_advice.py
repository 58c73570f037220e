# SPDX-License-Identifier: GPL-2.0-only
"""Advice for a device that does not take frames. It depends on the kind and the
present state of the device, and on the reason and the errno of the loss.

There is advice only if the present state explains the loss, or if the cause has
gone. Otherwise the text of the reason is used: see redirmap_reasons.py.
"""
import errno
import os

from redirmap_links import XDP_BASIC, XDP_NDO_XMIT, XDP_NDO_XMIT_SG, Network, Place
from redirmap_netlink import Refused
from redirmap_proc import quoted
from redirmap_table import named_netns, this_netns

NATIVE = "xdpdrv"
GENERIC = "attach the program in generic mode (xdpgeneric)"
# The parameter of the module that selects maps whose frames always leave as
# packets
QDISC = "/sys/module/redirmap/parameters/qdisc"
READY = "The device was not ready for XDP frames."

# Drivers by the names that they report: see Documentation/drivers.rst. Without
# an XDP program, they do not announce ndo_xdp_xmit, or return these errnos.
ANNOUNCE = {
    "bnxt_en", "ena", "fec", "funeth", "gve", "i40e", "ice", "igb", "igc", "ixgbe",
    "rvu_nicpf", "rvu_nicvf", "virtio_net", "vmxnet3",
}
WANT_PROGRAM = {
    errno.ENXIO: {"ena", "i40e", "ice", "igb", "ixgbe", "rvu_nicpf", "rvu_nicvf", "virtio_net"},
    errno.EINVAL: {"bnxt_en", "gve"},
    errno.ENETDOWN: {"funeth"},
}
# These need a channel for each CPU, or a carrier.
WANT_CHANNELS = {errno.ENXIO: {"i40e", "mlx5_core"}}
WANT_CARRIER = {errno.ENETDOWN: {"fsl_enetc", "fsl_enetc_vf", "igc"}}

# Kinds of devices without ndo_xdp_xmit that are above another device, and the
# work of the program if it redirects to that device instead.
ABOVE = {
    "vlan": "let the program add the tag",
    "macvlan": None,
    "macvtap": None,
    "ipvlan": None,
    "ipvtap": None,
    "macsec": None,
}

# linux/if_arp.h: lo, and the types of devices without a MAC header, as in
# rmap_port_packet_kind()
LOOPBACK = 772
GRE = {778, 823}
WITHOUT_MAC = {512, 519, 768, 769, 776, 778, 823, 0xfffe}

# linux/if_bonding.h
MODES = ("balance-rr", "active-backup", "balance-xor", "broadcast", "802.3ad", "balance-tlb",
         "balance-alb")
ROUND_ROBIN, ACTIVE_BACKUP, XOR, LACP = 0, 1, 2, 4
VLAN_SRCMAC = 5


class Whole(str):
    """An advice that includes the cause."""


class Cured(Whole):
    """An advice that reports that the cause has gone."""


class Why:
    """A loss: its reason, the errno, if a driver has returned one, and whether
    the target's frames may leave as packets."""

    def __init__(self, reason, code=None, packets="never"):
        self.reason, self.code, self.packets = reason, code, packets
        self.native = reason != "xmit_drop"


def set_up(place, link):
    return place.ip(f"link set dev {quoted(link.name)} up")


# --- software devices -------------------------------------------------------


def peer_has_gro(network, link, there, peer):
    """Has a peer without a native program GRO? None if this is unknown."""
    wanted = there.wanted(peer) if there else None
    if wanted is not None:
        return "rx-gro" in wanted
    # The XDP features of a veth depend on its peer, unless the peer has more
    # queues.
    features = network.xdp_features(link) or 0
    return bool(features & XDP_NDO_XMIT) if features & XDP_BASIC else None


def missing_at_peer(network, link, there, place, peer):
    """A sentence, if the peer has neither an XDP program nor GRO."""
    if NATIVE in peer.programs:
        return None
    has_gro = peer_has_gro(network, link, there, peer)
    if has_gro:
        return None
    gro = place.tool(f"ethtool -K {quoted(peer.name)} gro on")
    if has_gro is None:
        name = f"Its peer {place.of(peer)} needs" if peer.up else "It also needs"
        return (f"{name} an XDP program or GRO; this command cannot see whether it has one of "
                f"them: {gro}.")
    if not peer.up:
        return f"It also needs an XDP program or GRO: {gro}."
    if peer.programs:
        return (f"Its peer {place.of(peer)} runs its XDP program in generic mode: attach the "
                f"program in native mode ({NATIVE}), or {gro}.")
    return f"Its peer {place.of(peer)} needs an XDP program or GRO: {gro}."


def missing_queues(network, link, there, place, peer):
    """A sentence, if the veth has fewer receive queues than its peer has
    transmit queues. A veth whose channels change then announces no
    ndo_xdp_xmit."""
    ours = network.channels(link)
    theirs = there.channels(peer) if there else None
    if not (ours and theirs) or theirs["tx"] <= ours["rx"]:
        return None
    more = network.place.tool(f"ethtool -L {quoted(link.name)} rx {theirs['tx']}")
    fewer = place.tool(f"ethtool -L {quoted(peer.name)} tx {ours['rx']}")
    return (f"It has fewer receive queues ({ours['rx']}) than its peer {place.of(peer)} has "
            f"transmit queues ({theirs['tx']}): "
            f"{more if ours['rx_max'] >= theirs['tx'] else fewer}.")


def veth(network, link, why):
    if why.reason == "driver_error" and why.code != errno.ENXIO:
        return None
    peer = network.link(link.other, link.other_netns) if link.other else None
    if not peer:
        return ("Its peer has to be up, and needs an XDP program or GRO; this command cannot see "
                "the peer.") if why.native else None
    there = network.at(link.other_netns)
    place = there.place if there else Place(None)
    needs = [] if peer.up else [f"Its peer {place.of(peer)} is down: {set_up(place, peer)}."]
    missing = missing_at_peer(network, link, there, place, peer) if why.native else None
    if not missing and why.reason == "no_xmit":
        missing = missing_queues(network, link, there, place, peer)
    if missing:
        needs.append(missing)
    if why.native and not needs and why.reason == "driver_error":
        return Cured(f"Its peer {place.of(peer)} is up now, and has an XDP program or GRO: the "
                     "cause of the loss has gone.")
    return " ".join(needs) or None


def bond_refuses(link):
    """A sentence, if the configuration of a bond excludes native XDP."""
    if link.mode is not None and link.mode not in (ROUND_ROBIN, ACTIVE_BACKUP, XOR, LACP):
        return Whole(f"A bond of mode {MODES[link.mode] if link.mode < len(MODES) else link.mode} "
                     "transmits no XDP frames: use balance-rr, active-backup, balance-xor or "
                     f"802.3ad; or {GENERIC}.")
    if link.mode in (XOR, LACP) and link.policy == VLAN_SRCMAC:
        return Whole("A bond whose transmit hash policy is vlan+srcmac transmits no XDP frames: "
                     f"use another policy; or {GENERIC}.")
    return None


def bond(network, link, why):
    refuses = bond_refuses(link) if why.native else None
    if refuses:
        return refuses
    slaves = network.slaves(link)
    if not slaves:
        words = network.place.ip(f"link set dev SLAVE master {quoted(link.name)}")
        return f"The bond has no slave: {words}."
    if why.code not in (None, errno.ENXIO):
        return slave_that(network, why, slaves)
    down = None
    if not any(one.up for one in slaves):
        down = f"No slave of the bond is up: {set_up(network.place, slaves[0])}."
    if why.reason == "no_xmit":
        # A bond announces ndo_xdp_xmit if all of its slaves do, up or down.
        text = slave_that(network, why, [
            one for one in slaves if not (network.xdp_features(one) or 0) & XDP_NDO_XMIT])
        return " ".join(filter(None, (down, text))) or None
    if down:
        return down
    if link.mode == ACTIVE_BACKUP:
        if not link.active:
            return "The bond has no active slave: none of its slaves is up with a carrier."
        slaves = [one for one in slaves if one.ifindex == link.active]
        return slave_that(network, why, slaves, "active slave")
    return slave_that(network, why, [one for one in slaves if one.up])


def slave_that(network, why, slaves, name="slave"):
    """A sentence about the first slave of a bond that is not ready."""
    cured = 0
    for slave in slaves:
        text = advice(network, slave, why)
        if isinstance(text, Cured):
            cured += 1
        elif text:
            return f"Its {name} {slave.name} is not ready. {text}"
    # The state of the other slaves is unknown.
    return Cured("The cause of the loss has gone.") if 0 < cured == len(slaves) else None


def tun(network, link, why):
    if link.carrier or why.reason == "driver_error" and why.code != errno.ENXIO:
        return None
    return f"No process has {link.name} open: start the process that reads from it."


def above(network, link, why):
    lower = network.link(link.other, link.other_netns) if link.other else None
    if why.reason == "xmit_drop":
        if not lower:
            return None
        place = network.place_of(link.other_netns)
        tc = place.tool(f"tc -s qdisc show dev {quoted(lower.name)}")
        ip = place.ip(f"-s link show dev {quoted(lower.name)}")
        return f"Check the device below, {place.of(lower)}: {tc}; {ip}."
    if why.reason != "no_xmit":
        return None
    text = f"A {link.kind} transmits no XDP frames."
    if link.kind == "macsec":
        return Whole(f"{text} The device below it would send them unencrypted: {GENERIC}.")
    if lower and link.other_netns is None:
        behind = ABOVE[link.kind]
        return Whole(f"{text} Redirect to {lower.name}, the device below"
                     f"{f', and {behind}' if behind else ''}; or {GENERIC}.")
    return Whole(f"{text} Redirect to another device; or {GENERIC}.")


def bridge(network, link, why):
    if why.reason != "no_xmit":
        return None
    return Whole("A bridge transmits no XDP frames. Redirect to one of its ports; or "
                 f"{GENERIC}.")


def makes_local(link):
    """Does the device treat what it transmits as packets of this machine? As in
    port_makes_local()."""
    return link.type == LOOPBACK or link.kind == "vrf" or (
        link.kind in ("ipvlan", "ipvtap") and not link.arp)


def local(link):
    return Whole(f"A packet to {link.name} counts as one of this machine. So frames leave by "
                 f"{link.name} only if the module's parameter qdisc has selected the map when it "
                 f"was made: add its name to the list in {QDISC}, and make the map again. Select "
                 "only maps whose frames you trust.")


def without_mac(link):
    tunnel = " A tunnel without a remote address takes no frames." if link.type in GRE else ""
    return Whole(f"The device {link.name} has no MAC header, and takes only IPv4 and IPv6. The "
                 "frames were of another protocol, such as ARP: let the program answer or drop "
                 f"them.{tunnel}")


def other_kind(network, link, why):
    if why.reason != "no_xmit":
        return None
    return Whole(f"A device of the kind {link.kind} transmits no XDP frames: {GENERIC}.")


# --- hardware ---------------------------------------------------------------


def needs_program(driver, link):
    return Whole(f"The driver {driver} needs an XDP program on {link.name} itself; a program that "
                 "returns XDP_PASS is sufficient.")


def hardware(network, link, why):
    driver = link.driver()
    if not (why.native and driver):
        return None
    if why.reason == "no_xmit":
        return no_announcement(network, link, driver)
    if not link.up:
        return f"It is down: {set_up(network.place, link)}."
    if driver in WANT_PROGRAM.get(why.code, ()) and NATIVE not in link.programs:
        return needs_program(driver, link)
    if driver in WANT_CARRIER.get(why.code, ()) and not link.carrier:
        return "It has no carrier: check the cable, and the device at its other end."
    if driver in WANT_CHANNELS.get(why.code, ()):
        return too_few_channels(network, link, driver)
    return None


def no_announcement(network, link, driver):
    """For hardware that cannot transmit XDP frames, as its driver reports."""
    features = network.xdp_features(link)
    if features is None:
        if driver in ANNOUNCE | {"mlx5_core"}:
            # Before 6.3, a driver with ndo_xdp_xmit always gets frames of one
            # buffer.
            return Whole("This kernel redirects no frames of several buffers: lower the MTU of "
                         f"the ingress devices; or {GENERIC}.")
        return Whole(f"The driver {driver} has no ndo_xdp_xmit, or the frames had several "
                     f"buffers, which this kernel does not redirect: {GENERIC}.")
    if not features & XDP_BASIC:
        if driver == "mlx5_core" and {"rx-lro", "rx-gro-hw"} & (network.wanted(link) or set()):
            lro = network.place.tool(f"ethtool -K {quoted(link.name)} lro off rx-gro-hw off")
            return Whole(f"The driver {driver} has no XDP while LRO or hardware GRO is on: {lro}.")
        return Whole(f"The driver {driver} does not support XDP on {link.name}, and an XDP "
                     f"program does not change that: {GENERIC}.")
    if NATIVE in link.programs:
        return Whole(f"The driver {driver} does not transmit XDP frames: {GENERIC}.")
    if driver in ANNOUNCE:
        return needs_program(driver, link)
    return Whole(f"The driver {driver} may need an XDP program on {link.name} itself. If that "
                 f"does not help, {GENERIC}.")


def too_few_channels(network, link, driver):
    cpus, found = os.cpu_count(), network.channels(link)
    if not found or found["combined"] >= cpus:
        return None
    text = f"The driver {driver} needs a channel for each of the {cpus} CPUs, and has "
    if found["combined_max"] < cpus:
        return Whole(f"{text}{found['combined_max']} at most: let interrupts of the ingress "
                     f"devices go to the first CPUs only; or {GENERIC}.")
    more = network.place.tool(f"ethtool -L {quoted(link.name)} combined {cpus}")
    return Whole(f"{text}{found['combined']}: {more}.")


# --- all --------------------------------------------------------------------

KINDS = {"veth": veth, "bond": bond, "tun": tun, "bridge": bridge, **dict.fromkeys(ABOVE, above)}
# Kinds whose support of ndo_xdp_xmit depends on their configuration
UNSURE = {"netkit", "team", "dsa"}


def announced(network, link):
    """An advice for a device that announces ndo_xdp_xmit now."""
    features = network.xdp_features(link)
    if features is None:
        if link.kind in ("veth", "bond", "tun"):
            return Whole("This kernel redirects no frames of several buffers: lower the MTU of "
                         f"the ingress devices; or {GENERIC}.")
        return None
    if not features & XDP_NDO_XMIT:
        return None
    if not features & XDP_NDO_XMIT_SG:
        return Whole("The device transmits XDP frames now, but no frames of several buffers. If "
                     "the loss goes on, lower the MTU of the ingress devices; or "
                     f"{GENERIC}.")
    return Cured("The device transmits XDP frames now: the cause of the loss has gone.")


def advice(network, link, why):
    """The advice for a device that has refused native frames, or dropped a
    packet of generic XDP. None if its kind and state do not explain the
    loss."""
    if why.reason == "no_xmit":
        if makes_local(link):
            return local(link)
        if link.type in WITHOUT_MAC and why.packets != "never":
            return without_mac(link)
        text = announced(network, link)
        if text:
            return text
    if link.kind is None:
        return hardware(network, link, why)
    if link.kind in UNSURE:
        return None
    return KINDS.get(link.kind, other_kind)(network, link, why)


class Adviser:
    """Advice for the devices of losses."""

    def __init__(self):
        # By inode; None if the namespace cannot be entered
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
        for name, path, number in named_netns():
            if number != inode:
                continue
            try:
                fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
            except OSError:
                return None
            try:
                return Network(Place(name), fd)
            except PermissionError:
                return None
            finally:
                os.close(fd)
        return None

    def text(self, loss, packets):
        """The advice for a loss of a target, as redirmap_drops.losses() returns
        it; @packets: whether its frames may leave as packets. The text of the
        loss, if there is no advice, or no permission to see the device."""
        try:
            return self._text(loss, packets) or loss["text"]
        except (OSError, Refused):
            return loss["text"]

    def cure(self, one):
        """The change that makes the device of a target take XDP frames; None if
        there is no such change, or if it is unknown."""
        try:
            network = self._network(one["netns"])
            link = network and network.link(one["ifindex"])
            why = Why("no_xmit")
            if link and link.kind in ("veth", "bond") and network.xdp_features(link) is None:
                # Their drivers refuse frames, on kernels without XDP features.
                why = Why("driver_error", errno.ENXIO)
            text = link and advice(network, link, why)
        except (OSError, Refused):
            return None
        # Generic XDP is no cure for frames that arrive.
        return text if text and GENERIC not in text else None

    def _text(self, loss, packets):
        network = self._network(loss["netns"])
        if not network:
            return (f"{loss['text']} (The kind of the device is unknown: this command cannot "
                    "enter its network namespace.)")
        why = Why(loss["reason"], loss["error"], packets)
        link = network.link(loss["ifindex"])
        text = link and advice(network, link, why)
        if not text:
            return None
        if not why.native:
            return f"The device dropped the packet. {text}"
        return text if isinstance(text, Whole) else f"{READY} {text}"
