# SPDX-License-Identifier: GPL-2.0-only
"""The generic netlink family "redirmap", for Python.

    with Family() as family:
        for one in family.maps():
            print(one["name"], one["stats"]["drops"])

Maps, targets and the state are dictionaries, as Documentation/redirmap.8.rst
describes them for --json. What the kernel refuses is a Refused, with its words.
"""
import errno
import os

from pyroute2.netlink import NLM_F_DUMP, NLM_F_REQUEST, genlmsg, nla
from pyroute2.netlink.exceptions import NetlinkDumpInterrupted, NetlinkError
from pyroute2.netlink.generic import GenericNetlinkSocket

from redirmap_reasons import REASONS

NAME = "redirmap"
VERSION = 1

STATE_GET, MAP_GET, TARGET_GET = 1, 2, 3

# How often a dump is tried again that something has come or gone in.
TRIES = 5

HOOK_KINDS = ("observe", "replace", "return")
MAP_TYPES = {14: "devmap", 25: "devmap_hash"}


class Refused(Exception):
    """The kernel's answer to a request that it does not grant."""

    def __init__(self, error):
        self.code = error.code
        # Did it say more than the errno does?
        self.told = error.args[1] != os.strerror(error.code)
        super().__init__(f"{error.args[1]} ({errno.errorcode.get(error.code, error.code)})")


class NotLoaded(Exception):
    """There is no such family: the module is not loaded."""


def numbered(prefix, **types):
    """Attributes of a set, in the header's order, which begins with 1."""
    return (
        (prefix + "UNSPEC", "none"),
        *((prefix + name.upper(), kind) for name, kind in types.items()),
    )


class drop(nla):
    prefix = "REDIRMAP_A_DROP_"
    nla_map = numbered(prefix, reason="uint32", packets="uint64", pad="none")


class stats(nla):
    prefix = "REDIRMAP_A_STATS_"
    nla_map = numbered(
        prefix, packets="uint64", bytes="uint64", drop="drop", error="uint32", pad="none"
    )
    drop = drop


class hook(nla):
    prefix = "REDIRMAP_A_HOOK_"
    nla_map = numbered(prefix, name="asciiz", kind="uint32")


class layout(nla):
    prefix = "REDIRMAP_A_LAYOUT_"
    nla_map = numbered(prefix, type="asciiz", member="asciiz", where="uint32")


class map_msg(genlmsg):
    prefix = "REDIRMAP_A_MAP_"
    nla_map = numbered(
        prefix,
        id="uint32",
        name="asciiz",
        type="uint32",
        value_size="uint32",
        capacity="uint32",
        used="uint32",
        members="uint32",
        netns="uint64",
        memory="uint64",
        stats="stats",
        all_netns="flag",
        pad="none",
    )
    stats = stats


class target_msg(genlmsg):
    prefix = "REDIRMAP_A_TARGET_"
    nla_map = numbered(
        prefix,
        id="uint32",
        ifindex="uint32",
        ifname="asciiz",
        prog_id="uint32",
        refs="uint32",
        netns="uint64",
        entry="flag",
        stats="stats",
        all_netns="flag",
        pad="none",
    )
    stats = stats


class state_msg(genlmsg):
    prefix = "REDIRMAP_A_STATE_"
    nla_map = numbered(
        prefix, version="asciiz", claim="asciiz", hook="hook", layout="layout", gone="stats"
    )
    hook = hook
    layout = layout
    stats = stats


def each(msg, name):
    """All attributes of a name."""
    return msg.get_attrs(msg.prefix + name.upper())


def first(msg, name, default=None):
    """The first one."""
    return msg.get_attr(msg.prefix + name.upper(), default)


def read(msg, *names):
    """Some attributes; those that are not there are None."""
    return {name: first(msg, name) for name in names}


def name_of(names, number):
    """names[number], or the number where a newer module knows more."""
    return names[number] if number < len(names) else str(number)


def read_stats(msg):
    reasons = [reason.name for reason in REASONS]
    drops = {
        name_of(reasons, first(one, "reason")): first(one, "packets")
        for one in each(msg, "drop")
    }
    return {**read(msg, "packets", "bytes"), "drops": drops, **read(msg, "error")}


def read_map(msg):
    kind = first(msg, "type")
    return {
        **read(msg, "id", "name"),
        "type": MAP_TYPES.get(kind, str(kind)),
        **read(msg, "value_size", "capacity", "used", "members", "netns", "memory"),
        "stats": read_stats(first(msg, "stats")),
    }


def read_target(msg):
    return {
        **read(msg, "id", "ifindex", "ifname", "prog_id", "refs", "netns"),
        "entry": first(msg, "entry", False),
        "stats": read_stats(first(msg, "stats")),
    }


def read_state(msg):
    return {
        **read(msg, "version", "claim"),
        "hooks": [
            {**read(one, "name"), "kind": name_of(HOOK_KINDS, first(one, "kind"))}
            for one in each(msg, "hook")
        ],
        "layouts": [read(one, "type", "member", "where") for one in each(msg, "layout")],
        "gone": read_stats(first(msg, "gone")),
    }


class Family(GenericNetlinkSocket):
    """A socket of the present network namespace."""

    # Said by who catches NotLoaded.
    module_err_level = "debug"

    def __init__(self):
        self.interrupted = 0
        super().__init__(ext_ack=True)
        try:
            self.bind(NAME, state_msg)
        except NetlinkError as error:
            self.close()
            raise (NotLoaded() if error.code == errno.ENOENT else Refused(error)) from error

    def ask(self, msg_class, command, dump=False, **attributes):
        """The messages that answer a request."""
        # Each command has attributes of its own.
        self.marshal.msg_map[self.prid] = msg_class
        flags = NLM_F_REQUEST | (NLM_F_DUMP if dump else 0)
        for _ in range(TRIES):
            msg = msg_class()
            msg["cmd"] = command
            msg["version"] = VERSION
            msg["attrs"] = [
                (msg_class.prefix + name.upper(), value) for name, value in attributes.items()
            ]
            answer = []
            try:
                # The messages come first, and then that they are of several moments.
                # (The instance's own nlm_request() keeps them then.)
                answer.extend(super().nlm_request(msg, msg_type=self.prid, msg_flags=flags))
                break
            except NetlinkDumpInterrupted:
                self.interrupted += 1
            except NetlinkError as error:
                refused = Refused(error)
                # Without a word about what is missing, it is the family.
                if error.code == errno.ENOENT and not refused.told:
                    raise NotLoaded() from error
                raise refused from error
        # Where that never ends: what has been there all the time is told.
        return answer

    def state(self):
        return read_state(self.ask(state_msg, STATE_GET)[0])

    def _get(self, msg_class, command, number, all_netns):
        attributes = {"all_netns": True} if all_netns else {}
        if number is None:
            return self.ask(msg_class, command, dump=True, **attributes)
        return self.ask(msg_class, command, id=number, **attributes)

    def maps(self, number=None, all_netns=False):
        """All claimed maps, or the one of an id."""
        return [read_map(msg) for msg in self._get(map_msg, MAP_GET, number, all_netns)]

    def targets(self, number=None, all_netns=False):
        """All targets, or the one of an id."""
        return [
            read_target(msg) for msg in self._get(target_msg, TARGET_GET, number, all_netns)
        ]
