# SPDX-License-Identifier: GPL-2.0-only
"""The generic netlink family "redirmap", for Python.

    with Family() as family:
        for one in family.maps():
            print(one["name"], one["stats"]["drops"])

Maps, targets and the state are dictionaries, as Documentation/redirmap.8.rst
describes them for --json. A request that the kernel refuses is a Refused,
with its words.

This speaks netlink by itself: to import pyroute2 takes 17 times the instructions
of a start of Python, all that is here a third of one. Not by "socket" either,
which imports enum and selectors.
"""
import errno
import os
from _socket import AF_NETLINK, SOCK_CLOEXEC, SOCK_RAW, socket
from struct import Struct

from redirmap_reasons import REASONS

NAME = "redirmap"
VERSION = 1

STATE_GET, MAP_GET, TARGET_GET = 1, 2, 3

# How often a dump is tried again that something has come or gone in.
TRIES = 5

HOOK_KINDS = ("observe", "replace", "return")
# Actions that a look-up without an entry returns: enum xdp_action.
ACTIONS = ("aborted", "drop", "pass", "tx")
MAP_TYPES = {14: "devmap", 25: "devmap_hash"}
REASON_NAMES = [reason.name for reason in REASONS]

# linux/netlink.h, linux/genetlink.h
NETLINK_ROUTE, NETLINK_GENERIC = 0, 16
SOL_NETLINK, NETLINK_CAP_ACK, NETLINK_EXT_ACK = 270, 10, 11
NLM_F_REQUEST, NLM_F_ACK, NLM_F_DUMP_INTR, NLM_F_DUMP = 1, 4, 0x10, 0x300
NLM_F_ACK_TLVS = 0x200
NLMSG_NOOP, NLMSG_ERROR, NLMSG_DONE = 1, 2, 3
NLMSGERR_ATTR_MSG = 1
NLA_TYPE_MASK = 0x3FFF
GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_ID, CTRL_ATTR_FAMILY_NAME = 16, 3, 1, 2

MESSAGE = Struct("=IHHII")
GENERIC = Struct("=BBH")
ATTRIBUTE = Struct("=HH")
ERROR = Struct("=i")
U16, U32, U64 = (Struct(kind) for kind in ("=H", "=I", "=Q"))

# The largest part of a dump, and more.
ROOM = 1 << 16


def errno_name(code):
    """As the kernel calls it, which has no ENOTSUP and no EDEADLOCK in its messages."""
    if code in (errno.EOPNOTSUPP, errno.EDEADLK):
        return "EOPNOTSUPP" if code == errno.EOPNOTSUPP else "EDEADLK"
    return errno.errorcode.get(code, str(code))


class Refused(Exception):
    """The kernel's answer to a request that it does not grant."""

    def __init__(self, code, words=None):
        self.code = code
        # Did it say more than the errno does?
        self.told = words is not None
        super().__init__(f"{words or os.strerror(code)} ({errno_name(code)})")


class NotLoaded(Exception):
    """There is no such family: the module is not loaded."""


# --- attributes -------------------------------------------------------------


def encoded(number, data):
    """An attribute."""
    return ATTRIBUTE.pack(4 + len(data), number) + data + bytes(-len(data) % 4)


def each_attribute(data, at, end):
    """Their numbers, where they begin and where they end."""
    while at + 4 <= end:
        length, number = ATTRIBUTE.unpack_from(data, at)
        if length < 4:
            return
        yield number & NLA_TYPE_MASK, at + 4, at + length
        at += length + 3 & ~3


def u32(data, at, _end):
    return U32.unpack_from(data, at)[0]


def u64(data, at, _end):
    return U64.unpack_from(data, at)[0]


# Of these, what reads them.
FIXED = {u32: U32.unpack_from, u64: U64.unpack_from}


def string(data, at, end):
    return data[at:end].rstrip(b"\0").decode(errors="replace")


def flag(_data, _at, _end):
    return True


def pad(_data, _at, _end):
    return None


class Attributes:
    """Attributes of a set, in the header's order, which begins with 1: for each
    how its value is read. Those that may come several times are in a list."""

    def __init__(self, prefix, **kinds):
        self.prefix = prefix
        self.numbers = {name: number for number, name in enumerate(kinds, 1)}
        self._multi = tuple(name for name, kind in kinds.items() if isinstance(kind, list))
        self._known = {}
        for name, kind in kinds.items():
            multi = isinstance(kind, list)
            kind = kind[0] if multi else kind
            known = name, FIXED.get(kind), getattr(kind, "read", kind), multi
            self._known[self.numbers[name]] = known

    def read(self, data, at, end):
        """The attributes that are there, by name."""
        found = {name: [] for name in self._multi}
        known = self._known
        # each_attribute() in place, and numbers without a call of a function: this
        # is what listing 10,000 maps consists of.
        while at + 4 <= end:
            length, number = ATTRIBUTE.unpack_from(data, at)
            if length < 4:
                break
            number &= NLA_TYPE_MASK
            # A newer module may know more.
            if number in known:
                name, unpack, read, multi = known[number]
                if unpack:
                    found[name], = unpack(data, at + 4)
                elif multi:
                    found[name].append(read(data, at + 4, at + length))
                else:
                    found[name] = read(data, at + 4, at + length)
            at += length + 3 & ~3
        return found


drop = Attributes(
    "REDIRMAP_A_DROP_", reason=u32, packets=u64, pad=pad, age=u64, unsegmented=u64
)
miss = Attributes("REDIRMAP_A_MISS_", action=u32, lookups=u64, pad=pad, age=u64)
stats = Attributes(
    "REDIRMAP_A_STATS_",
    packets=u64,
    bytes=u64,
    drop=[drop],
    error=u32,
    pad=pad,
    missed=[miss],
)
hook = Attributes("REDIRMAP_A_HOOK_", name=string, kind=u32)
layout = Attributes("REDIRMAP_A_LAYOUT_", type=string, member=string, where=u32)
map_msg = Attributes(
    "REDIRMAP_A_MAP_",
    id=u32,
    name=string,
    type=u32,
    value_size=u32,
    capacity=u32,
    used=u32,
    members=u32,
    netns=u64,
    memory=u64,
    stats=stats,
    all_netns=flag,
    pad=pad,
    elsewhere=u32,
)
target_msg = Attributes(
    "REDIRMAP_A_TARGET_",
    id=u32,
    ifindex=u32,
    ifname=string,
    prog_id=u32,
    refs=u32,
    netns=u64,
    entry=flag,
    stats=stats,
    all_netns=flag,
    pad=pad,
)
gone_msg = Attributes("REDIRMAP_A_GONE_", ifindex=u32, ifname=string, stats=stats)
state_msg = Attributes(
    "REDIRMAP_A_STATE_",
    version=string,
    claim=string,
    hook=[hook],
    layout=[layout],
    gone=stats,
    gone_device=[gone_msg],
    lost=stats,
    copy_memory=u64,
    pad=pad,
    gone_count=u64,
)


# --- what they make up ------------------------------------------------------


def name_of(names, number):
    """names[number], or the number where a newer module knows more."""
    return names[number] if number < len(names) else str(number)


# What an older module does not tell of.
NO_STATS = {"drop": [], "missed": []}


def stats_of(found):
    get = found.get
    drops, ages, unsegmented = {}, {}, 0
    for one in found["drop"]:
        name = name_of(REASON_NAMES, one["reason"])
        drops[name] = one["packets"]
        # A module that was loaded before an upgrade reports neither of these.
        if "age" in one:
            ages[name] = one["age"] / 1000
        unsegmented += one.get("unsegmented", 0)
    missed, missed_ages = {}, {}
    for one in found["missed"]:
        name = name_of(ACTIONS, one["action"])
        missed[name] = one["lookups"]
        if "age" in one:
            missed_ages[name] = one["age"] / 1000
    return {
        "packets": get("packets", 0), "bytes": get("bytes", 0), "drops": drops, "missed": missed,
        "error": get("error"), "ages": ages, "unsegmented": unsegmented,
        "missed_ages": missed_ages,
    }


def map_of(data, at, end):
    found = map_msg.read(data, at, end)
    get = found.get
    kind = get("type")
    return {
        "id": get("id"),
        "name": get("name"),
        "type": MAP_TYPES.get(kind) or str(kind),
        "value_size": get("value_size"),
        "capacity": get("capacity"),
        "used": get("used"),
        "members": get("members"),
        "elsewhere": get("elsewhere", 0),
        "netns": get("netns"),
        "memory": get("memory"),
        "stats": stats_of(found.get("stats", NO_STATS)),
    }


def target_of(data, at, end):
    found = target_msg.read(data, at, end)
    names = ("id", "ifindex", "ifname", "prog_id", "refs", "netns")
    return {
        **{name: found.get(name) for name in names},
        "entry": found.get("entry", False),
        "stats": stats_of(found.get("stats", NO_STATS)),
    }


def state_of(data, at, end):
    found = state_msg.read(data, at, end)
    return {
        "version": found.get("version"),
        "claim": found.get("claim"),
        "hooks": [
            {"name": one["name"], "kind": name_of(HOOK_KINDS, one["kind"])}
            for one in found["hook"]
        ],
        "layouts": [
            {name: one.get(name) for name in ("type", "member", "where")}
            for one in found["layout"]
        ],
        "gone": stats_of(found.get("gone", NO_STATS)),
        "gone_devices": [
            {"ifindex": one["ifindex"], "ifname": one["ifname"], "stats": stats_of(one["stats"])}
            for one in found["gone_device"]
        ],
        # A module that was loaded before an upgrade does not report these.
        "lost": stats_of(found.get("lost", NO_STATS)),
        "copy_memory": found.get("copy_memory", 0),
        "gone_count": found.get("gone_count"),
    }


# --- sockets ----------------------------------------------------------------


class Netlink:
    """A netlink socket of the present network namespace, for requests that the
    kernel answers at once. With fileno, one that somebody else has opened."""

    def __init__(self, protocol, fileno=None):
        # How many dumps were of several moments.
        self.interrupted = 0
        self._seq = 0
        self._sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol, fileno)
        # Words for errors, and no copy of the request.
        for option in (NETLINK_EXT_ACK, NETLINK_CAP_ACK):
            self._sock.setsockopt(SOL_NETLINK, option, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._sock.close()

    def send(self, kind, payload, dump=False):
        """A request. Without an address: who gives one answers for it himself."""
        self._seq += 1
        flags = NLM_F_REQUEST | (NLM_F_DUMP if dump else NLM_F_ACK)
        self._sock.send(
            MESSAGE.pack(MESSAGE.size + len(payload), kind, flags, self._seq, 0) + payload
        )

    @staticmethod
    def _check(data, at, end, kind, flags):
        """Raise the error of an NLMSG_ERROR, or of the end of a dump."""
        code = -ERROR.unpack_from(data, at)[0] if at + ERROR.size <= end else 0
        if code <= 0:
            return
        words = None
        at += ERROR.size
        if kind == NLMSG_ERROR:
            # The header of the request.
            at += MESSAGE.size
        if flags & NLM_F_ACK_TLVS:
            for number, start, stop in each_attribute(data, at, end):
                if number == NLMSGERR_ATTR_MSG:
                    words = string(data, start, stop)
        raise Refused(code, words)

    def _answer(self, read):
        """The results of read() of each message, and whether they are of one moment."""
        answer, consistent = [], True
        while True:
            data, at = self._sock.recv(ROOM), 0
            while at + MESSAGE.size <= len(data):
                length, kind, flags, seq, _ = MESSAGE.unpack_from(data, at)
                start, end = at + MESSAGE.size, at + length
                at += max(length + 3 & ~3, MESSAGE.size)
                if seq != self._seq or kind == NLMSG_NOOP:
                    continue
                if flags & NLM_F_DUMP_INTR:
                    consistent = False
                if kind in (NLMSG_ERROR, NLMSG_DONE):
                    self._check(data, start, end, kind, flags)
                    return answer, consistent
                answer.append(read(data, start, end))

    def ask(self, kind, payload, read, dump=False):
        """The results of read() of each message that answers a request."""
        for _ in range(TRIES):
            self.send(kind, payload, dump)
            answer, consistent = self._answer(read)
            if consistent:
                break
            self.interrupted += 1
        # Where that never ends: what has been there all the time is told.
        return answer

    def find_family(self, name):
        """The number of a generic netlink family; Refused with ENOENT without one."""
        def number(data, at, end):
            return next(
                U16.unpack_from(data, start)[0]
                for attribute, start, _ in each_attribute(data, at + GENERIC.size, end)
                if attribute == CTRL_ATTR_FAMILY_ID
            )

        payload = GENERIC.pack(CTRL_CMD_GETFAMILY, 1, 0) + encoded(
            CTRL_ATTR_FAMILY_NAME, name.encode() + b"\0"
        )
        return self.ask(GENL_ID_CTRL, payload, number)[0]


class Family(Netlink):
    """The module's family."""

    def __init__(self, fileno=None):
        super().__init__(NETLINK_GENERIC, fileno)
        try:
            self.number = self.find_family(NAME)
        except BaseException as error:
            self.close()
            if isinstance(error, Refused) and error.code == errno.ENOENT:
                raise NotLoaded() from error
            raise

    def request(self, command, attributes=b"", dump=False):
        """Sends a request; the answer is the caller's."""
        self.send(self.number, GENERIC.pack(command, VERSION, 0) + attributes, dump)

    def _get(self, command, of, number, all_netns, make):
        attributes = b""
        if all_netns:
            attributes += encoded(of.numbers["all_netns"], b"")
        if number is not None:
            attributes += encoded(of.numbers["id"], U32.pack(number))
        payload = GENERIC.pack(command, VERSION, 0) + attributes
        try:
            return self.ask(
                self.number,
                payload,
                lambda data, at, end: make(data, at + GENERIC.size, end),
                dump=of is not state_msg and number is None,
            )
        except Refused as refused:
            # Without a word about what is missing, it is the family.
            if refused.code == errno.ENOENT and not refused.told:
                raise NotLoaded() from refused
            raise

    def state(self):
        return self._get(STATE_GET, state_msg, None, False, state_of)[0]

    def settled(self, look):
        """What look() returns when nothing of this network namespace has gone while it
        looked, so that counters of all that is listed, and of what is gone, have
        each map and target once."""
        before = self.state()["gone_count"]
        for _ in range(TRIES):
            found = look()
            after = self.state()["gone_count"]
            if after == before:
                break
            before = after
        # Where that never ends, some may be in it twice, or missing.
        return found

    def maps(self, number=None, all_netns=False):
        """All claimed maps, or the one of an id."""
        return self._get(MAP_GET, map_msg, number, all_netns, map_of)

    def targets(self, number=None, all_netns=False):
        """All targets, or the one of an id."""
        return self._get(TARGET_GET, target_msg, number, all_netns, target_of)
