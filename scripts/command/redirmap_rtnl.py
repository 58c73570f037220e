# SPDX-License-Identifier: GPL-2.0-only
"""The XDP and tc programs that devices run, in all network namespaces."""
import os
from struct import Struct

from redirmap_netlink import (NETLINK_ROUTE, U32, Netlink, Refused, each_attribute, encoded,
                              string)
from redirmap_proc import CLONE_NEWNET, enter, quoted
from redirmap_table import netns_names

# linux/rtnetlink.h, linux/if_link.h, linux/pkt_sched.h, linux/pkt_cls.h
RTM_GETLINK, RTM_GETTFILTER = 18, 46
IFLA_IFNAME, IFLA_EXT_MASK, IFLA_XDP = 3, 29, 43
RTEXT_FILTER_SKIP_STATS = 8
XDP_MODES = {5: "xdpdrv", 6: "xdpgeneric", 7: "xdpoffload"}
TC_PARENTS = {"ingress": 0xFFFFFFF2, "egress": 0xFFFFFFF3}
TCA_KIND, TCA_OPTIONS, TCA_BPF_ID = 1, 2, 11

# struct ifinfomsg, struct tcmsg
LINK = Struct("=BxHiII")
FILTER = Struct("=BxxxiIII")


class Device:
    """A device: its name, its ifindex, and its XDP programs by mode."""

    def __init__(self, data, at, end):
        _, _, self.ifindex, _, _ = LINK.unpack_from(data, at)
        self.name, self.programs = "", {}
        for number, start, stop in each_attribute(data, at + LINK.size, end):
            if number == IFLA_IFNAME:
                self.name = string(data, start, stop)
            elif number == IFLA_XDP:
                self.programs = {
                    XDP_MODES[mode]: U32.unpack_from(data, where)[0]
                    for mode, where, _ in each_attribute(data, start, stop)
                    if mode in XDP_MODES
                }


class Filter:
    """A tc filter, and the BPF program that it runs, if any."""

    def __init__(self, data, at, end):
        _, _, self.handle, _, info = FILTER.unpack_from(data, at)
        self.pref, self.kind, self.prog_id = info >> 16, "", None
        for number, start, stop in each_attribute(data, at + FILTER.size, end):
            if number == TCA_KIND:
                self.kind = string(data, start, stop)
            elif number == TCA_OPTIONS and self.kind == "bpf":
                for name, where, _ in each_attribute(data, start, stop):
                    if name == TCA_BPF_ID:
                        self.prog_id = U32.unpack_from(data, where)[0]


class Networks:
    """The devices of all network namespaces."""

    def __init__(self, machine):
        self._names = netns_names()
        self._own = os.stat("/proc/self/ns/net").st_ino
        self._found = []
        home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            for namespace in machine.nets.values():
                try:
                    self._look(namespace, home)
                except (OSError, Refused) as error:
                    machine.notes.append(f"Network namespace {namespace.inode}: {error}")
        finally:
            os.close(home)

    def _look(self, namespace, home):
        # A socket stays in the namespace in which it was opened.
        if namespace.inode != self._own:
            there = os.open(namespace.path, os.O_RDONLY | os.O_CLOEXEC)
            enter(there, CLONE_NEWNET)
            os.close(there)
        try:
            socket = Netlink(NETLINK_ROUTE)
        finally:
            if namespace.inode != self._own:
                enter(home, CLONE_NEWNET)
        request = LINK.pack(0, 0, 0, 0, 0) + encoded(
            IFLA_EXT_MASK, U32.pack(RTEXT_FILTER_SKIP_STATS)
        )
        self._found.append((namespace, socket, socket.ask(RTM_GETLINK, request, Device, True)))

    def close(self):
        for _, socket, _ in self._found:
            socket.close()

    def _command(self, namespace, tool, words):
        """A command line of ip(8) or tc(8) for a namespace."""
        if namespace.inode == self._own:
            return f"{tool} {words}"
        if namespace.inode in self._names:
            return f"{tool} -n {quoted(self._names[namespace.inode])} {words}"
        return f"{namespace.nsenter('net')}{tool} {words}"

    def _device(self, namespace, device, mode, command):
        return {
            "kind": "device", "ifname": device.name, "ifindex": device.ifindex,
            "netns": namespace.inode, "mode": mode, "command": command,
        }

    def xdp(self):
        """Yield (id of a program, the device that runs it)."""
        for namespace, _, devices in self._found:
            for device in devices:
                for mode, prog_id in device.programs.items():
                    command = self._command(
                        namespace, "ip", f"link set dev {quoted(device.name)} {mode} off"
                    )
                    yield prog_id, self._device(namespace, device, mode, command)

    def tc(self):
        """The same for the ingress and egress filters of tc."""
        for namespace, socket, devices in self._found:
            for device in devices:
                for side, parent in TC_PARENTS.items():
                    request = FILTER.pack(0, device.ifindex, 0, parent, 0)
                    try:
                        filters = socket.ask(RTM_GETTFILTER, request, Filter, True)
                    except Refused:
                        # The device has no qdisc with filters.
                        continue
                    for one in filters:
                        if one.prog_id is None:
                            continue
                        command = self._command(
                            namespace, "tc",
                            f"filter del dev {quoted(device.name)} {side} pref {one.pref} "
                            f"handle {one.handle:#x} bpf",
                        )
                        yield one.prog_id, self._device(
                            namespace, device, f"tc {side}", command
                        )
