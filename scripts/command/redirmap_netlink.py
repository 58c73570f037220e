# SPDX-License-Identifier: GPL-2.0-only
"""The generic netlink family "redirmap", for Python.

    with Family() as family:
        for one in family.maps():
            print(one["name"], one["stats"]["drops"])

Maps, targets and the state are dictionaries; Documentation/redirmap.8.rst
describes them for --json. If the kernel refuses a request, Refused is raised
with the kernel's error text.

This module implements netlink without pyroute2, whose import takes 17 times as
many instructions as the start of Python; the import of this module takes a
third of them. It uses _socket, because "socket" imports enum and selectors.
"""
import errno
import os
from _socket import AF_INET, AF_INET6, AF_NETLINK, SOCK_CLOEXEC, SOCK_RAW, inet_ntop, socket
from struct import Struct

from redirmap_reasons import REASONS, REFUSALS

NAME = "redirmap"
VERSION = 1

STATE_GET, MAP_GET, TARGET_GET, SOCKET_GET = 1, 2, 3, 4

TOO_OLD = "The loaded module is too old for this request; redirmap --version shows its version"

# The number of attempts at a dump during which nothing is added or removed.
TRIES = 5

HOOK_KINDS = ("observe", "replace", "return")
# Actions that a lookup without an entry returns: enum xdp_action.
ACTIONS = ("aborted", "drop", "pass", "tx")
# As bpftool(8) calls them.
# enum redirmap_packets
PACKETS = ("never", "fallback", "always")
MAP_TYPES = {14: "devmap", 15: "sockmap", 16: "cpumap", 17: "xskmap", 18: "sockhash",
             25: "devmap_hash"}
# Of sockets, as ss(8) and bpftool(8) call them.
FAMILIES = {1: "unix", 2: "inet", 10: "inet6", 40: "vsock"}
SOCKET_TYPES = {1: "stream", 2: "dgram", 5: "seqpacket"}
STATES = ("0", "established", "syn_sent", "syn_recv", "fin_wait1", "fin_wait2", "time_wait",
          "close", "close_wait", "last_ack", "listen", "closing", "new_syn_recv")
SHUTDOWNS = ("none", "receive", "send", "both")
# enum bpf_attach_type
ATTACH_TYPES = {7: "msg_verdict", 4: "stream_parser", 5: "stream_verdict", 38: "skb_verdict"}
REASON_NAMES = [reason.name for reason in REASONS]
REFUSAL_NAMES = [reason.name for reason in REFUSALS]

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

# More than the largest message: the state can have attributes of 64 KiB.
ROOM = (1 << 16) + (1 << 12)


def errno_name(code):
    """The kernel's name of an errno; Python prefers ENOTSUP and EDEADLOCK."""
    if code in (errno.EOPNOTSUPP, errno.EDEADLK):
        return "EOPNOTSUPP" if code == errno.EOPNOTSUPP else "EDEADLK"
    return errno.errorcode.get(code, str(code))


class Refused(Exception):
    """The kernel has refused a request."""

    def __init__(self, code, words=None):
        self.code = code
        # Was there an error text, and not only an errno?
        self.told = words is not None
        super().__init__(f"{words or os.strerror(code)} ({errno_name(code)})")


class NotLoaded(Exception):
    """The netlink family does not exist: the module is not loaded."""


# --- attributes -------------------------------------------------------------


def encoded(number, data):
    """An encoded attribute."""
    return ATTRIBUTE.pack(4 + len(data), number) + data + bytes(-len(data) % 4)


def each_attribute(data, at, end):
    """Yield the number, the start and the end of each attribute."""
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


# Functions that read values of a fixed size.
FIXED = {u32: U32.unpack_from, u64: U64.unpack_from}


def string(data, at, end):
    return data[at:end].rstrip(b"\0").decode(errors="replace")


def binary(data, at, end):
    return data[at:end]


def flag(_data, _at, _end):
    return True


def pad(_data, _at, _end):
    return None


class Attributes:
    """A set of attributes, in the order of the header, numbered from 1. Each
    has a function that reads its value; a list with this function means a
    multi-attr."""

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
        """The values of the attributes in a message, by name."""
        found = {name: [] for name in self._multi}
        known = self._known
        # each_attribute() is inlined, and numbers are read without a function
        # call, because a list of 10,000 maps spends most of its time here.
        while at + 4 <= end:
            length, number = ATTRIBUTE.unpack_from(data, at)
            if length < 4:
                break
            number &= NLA_TYPE_MASK
            # A newer module may send other attributes.
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
    as_packets=u64,
)
hook = Attributes("REDIRMAP_A_HOOK_", name=string, kind=u32)
layout = Attributes("REDIRMAP_A_LAYOUT_", type=string, member=string, where=u32)
refused = Attributes("REDIRMAP_A_REFUSED_", reason=u32, redirects=u64, pad=pad, age=u64)
failed = Attributes("REDIRMAP_A_FAILED_", errno=u32, updates=u64, pad=pad)
sock = Attributes(
    "REDIRMAP_A_SOCK_",
    msg_egress=u64,
    msg_ingress=u64,
    skb_egress=u64,
    skb_ingress=u64,
    msg_closing=u64,
    skb_closing=u64,
    pad=pad,
    refused=[refused],
    inserts=u64,
    deletes=u64,
    failed=[failed],
    present=u32,
)
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
    sock=sock,
    packets=u32,
    users=u32,
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
    packets=u32,
)
address = Attributes("REDIRMAP_A_ADDRESS_", ip=binary, port=u32, name=binary)
program = Attributes("REDIRMAP_A_PROGRAM_", type=u32, id=u32)
socket_msg = Attributes(
    "REDIRMAP_A_SOCKET_",
    map=u32,
    all_netns=flag,
    key=binary,
    cookie=u64,
    pad=pad,
    inode=u64,
    netns=u64,
    family=u32,
    type=u32,
    protocol=u32,
    state=u32,
    shutdown=u32,
    local=address,
    remote=address,
    program=[program],
    ingress=u64,
    ingress_more=flag,
    backlog=u32,
    backlog_waits=flag,
    cork=u32,
    apply=u32,
    drops=u32,
    error=u32,
    stopped=flag,
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
    sock_gone=sock,
    packets=string,
    qdisc=string,
    loaded=u64,
    early=string,
)


# --- dictionaries -----------------------------------------------------------


def name_of(names, number):
    """names[number], or the number itself if only a newer module knows it."""
    return names[number] if number < len(names) else str(number)


# For a module that reports no counters.
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
        "packets": get("packets", 0), "bytes": get("bytes", 0),
        "as_packets": get("as_packets", 0), "drops": drops, "missed": missed,
        "error": get("error"), "ages": ages, "unsegmented": unsegmented,
        "missed_ages": missed_ages,
    }


# For a module that does not claim socket maps.
NO_SOCK = {"refused": [], "failed": []}


def left_of(sock, present):
    """The sockets that have left a map without a delete; None if that is not
    known. present is the number of sockets in the map, or None."""
    left = None if present is None else sock["inserts"] - sock["deletes"] - present
    # The sum is negative if inserts were not counted, or if other tasks have
    # changed the map while its sockets were counted.
    return None if left is None or left < 0 else left


def sock_of(found):
    """The counters of a socket map, or the sums over removed ones."""
    numbers = {
        name: found.get(name, 0) for name in (
            "msg_egress", "msg_ingress", "skb_egress", "skb_ingress", "msg_closing",
            "skb_closing", "inserts", "deletes")
    }
    reasons = {name_of(REFUSAL_NAMES, one["reason"]): one for one in found["refused"]}
    return {
        **numbers,
        "refused": {name: one["redirects"] for name, one in reasons.items()},
        "refused_ages": {name: one["age"] / 1000 for name, one in reasons.items()},
        "failed": {
            errno_name(one["errno"]) if one["errno"] else "other": one["updates"]
            for one in found["failed"]
        },
        "left": left_of(numbers, found.get("present")),
    }


def packets_of(found):
    """May frames leave as packets? None if the module does not report it."""
    return name_of(PACKETS, found["packets"]) if "packets" in found else None


def map_of(data, at, end):
    found = map_msg.read(data, at, end)
    get = found.get
    kind, members = get("type"), get("members")
    return {
        "id": get("id"),
        "name": get("name"),
        "type": MAP_TYPES.get(kind) or str(kind),
        "value_size": get("value_size"),
        "capacity": get("capacity"),
        # A socket map reports its entries among its counters.
        "used": found["sock"].get("present") if "sock" in found else get("used"),
        "members": members,
        # The module leaves out a 0.
        "elsewhere": get("elsewhere", None if members is None else 0),
        "netns": get("netns"),
        "users": get("users"),
        "memory": get("memory"),
        "packets": packets_of(found),
        # Some kinds of maps have other counters, or no counters.
        "stats": stats_of(found["stats"]) if "stats" in found else None,
        "sock": sock_of(found["sock"]) if "sock" in found else None,
    }


def target_of(data, at, end):
    found = target_msg.read(data, at, end)
    names = ("id", "ifindex", "ifname", "prog_id", "refs", "netns")
    return {
        **{name: found.get(name) for name in names},
        "entry": found.get("entry", False),
        "packets": packets_of(found),
        "stats": stats_of(found.get("stats", NO_STATS)),
    }


def address_of(found):
    """An address as text, or None."""
    if not found:
        return None
    if "name" in found:
        # An abstract name begins with a 0, which ss(8) shows as @.
        name = found["name"]
        name = b"@" + name[1:] if name[:1] == b"\0" else name.rstrip(b"\0")
        return name.decode(errors="replace")
    if len(found["ip"]) == 4:
        return f"{inet_ntop(AF_INET, found['ip'])}:{found['port']}"
    return f"[{inet_ntop(AF_INET6, found['ip'])}]:{found['port']}"


def socket_of(data, at, end):
    found = socket_msg.read(data, at, end)
    get = found.get
    numbers = ("cookie", "inode", "netns", "ingress", "backlog", "cork", "apply", "drops")
    flags = ("ingress_more", "backlog_waits", "stopped")
    return {
        "key": found["key"].hex(),
        **{name: get(name) for name in numbers},
        **{name: get(name, False) for name in flags},
        "family": FAMILIES.get(get("family")) or str(get("family")),
        "type": SOCKET_TYPES.get(get("type")) or str(get("type")),
        "protocol": get("protocol"),
        "state": name_of(STATES, get("state")),
        "shutdown": name_of(SHUTDOWNS, get("shutdown")),
        "local": address_of(get("local")),
        "remote": address_of(get("remote")),
        # A program that is being freed has the id 0.
        "programs": {ATTACH_TYPES.get(one["type"]) or str(one["type"]): one["id"]
                     for one in found["program"] if one["id"]},
        "error": errno_name(found["error"]) if "error" in found else None,
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
        "sock_gone": sock_of(found.get("sock_gone", NO_SOCK)),
        "packets": found.get("packets"),
        "qdisc": found.get("qdisc"),
        "loaded": found.get("loaded"),
        "early": found.get("early"),
    }


# --- sockets ----------------------------------------------------------------


class Netlink:
    """A netlink socket of the present network namespace, for requests that the
    kernel answers at once. fileno is a socket that was opened elsewhere."""

    def __init__(self, protocol, fileno=None):
        # The number of dumps that were interrupted by changes.
        self.interrupted = 0
        # Was the last dump of ask() not interrupted?
        self.consistent = True
        self._seq = 0
        self._sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol, fileno)
        # Request error texts, and no copy of the request in errors.
        for option in (NETLINK_EXT_ACK, NETLINK_CAP_ACK):
            self._sock.setsockopt(SOL_NETLINK, option, 1)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._sock.close()

    def send(self, kind, payload, dump=False):
        """Send a request, without an address. With an address, the kernel would
        not check the permissions of the process that opened the socket."""
        self._seq += 1
        flags = NLM_F_REQUEST | (NLM_F_DUMP if dump else NLM_F_ACK)
        self._sock.send(
            MESSAGE.pack(MESSAGE.size + len(payload), kind, flags, self._seq, 0) + payload
        )

    @staticmethod
    def _check(data, at, end, kind, flags):
        """Raise Refused for an error in NLMSG_ERROR, or at a dump's end."""
        code = -ERROR.unpack_from(data, at)[0] if at + ERROR.size <= end else 0
        if code <= 0:
            return
        words = None
        at += ERROR.size
        if kind == NLMSG_ERROR:
            # Skip the header of the request.
            at += MESSAGE.size
        if flags & NLM_F_ACK_TLVS:
            for number, start, stop in each_attribute(data, at, end):
                if number == NLMSGERR_ATTR_MSG:
                    words = string(data, start, stop)
        raise Refused(code, words)

    def _answer(self, read):
        """The results of read() by message, and whether they are consistent."""
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
        """The results of read() for each message that answers a request."""
        for _ in range(TRIES):
            self.send(kind, payload, dump)
            answer, self.consistent = self._answer(read)
            if self.consistent:
                break
            self.interrupted += 1
        # After the last attempt the answer still has all objects that have
        # stayed.
        return answer

    def find_family(self, name):
        """The number of a generic netlink family; Refused if there is none."""
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
        """Send a request; the caller reads the answer."""
        self.send(self.number, GENERIC.pack(command, VERSION, 0) + attributes, dump)

    def _get(self, command, of, number, all_netns, make, dump):
        attributes = b""
        if all_netns:
            attributes += encoded(of.numbers["all_netns"], b"")
        if number is not None:
            attributes += encoded(of.numbers["map" if of is socket_msg else "id"],
                                  U32.pack(number))
        payload = GENERIC.pack(command, VERSION, 0) + attributes
        try:
            return self.ask(
                self.number,
                payload,
                lambda data, at, end: make(data, at + GENERIC.size, end),
                dump,
            )
        except Refused as refused:
            # An ENOENT without an error text means that the family is missing.
            if refused.code == errno.ENOENT and not refused.told:
                raise NotLoaded() from refused
            # So answers generic netlink for a command that the family lacks.
            if refused.code == errno.EOPNOTSUPP and not refused.told:
                raise Refused(refused.code, TOO_OLD) from refused
            raise

    def state(self):
        return self._get(STATE_GET, state_msg, None, False, state_of, False)[0]

    def settled(self, look):
        """The result of look(), repeated until no map or target of this network
        namespace was removed meanwhile. Lists and sums then contain each of
        them once."""
        before = self.state()["gone_count"]
        for _ in range(TRIES):
            found = look()
            after = self.state()["gone_count"]
            if after == before:
                break
            before = after
        # After the last attempt, some may be contained twice, or not at all.
        return found

    def maps(self, number=None, all_netns=False):
        """All claimed maps, or the map with an id."""
        return self._get(MAP_GET, map_msg, number, all_netns, map_of, number is None)

    def targets(self, number=None, all_netns=False):
        """All targets, or the target with an id."""
        return self._get(TARGET_GET, target_msg, number, all_netns, target_of, number is None)

    def sockets(self, number, all_netns=False):
        """The sockets in a socket map."""
        return self._get(SOCKET_GET, socket_msg, number, all_netns, socket_of, True)
