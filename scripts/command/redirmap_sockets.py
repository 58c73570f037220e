# SPDX-License-Identifier: GPL-2.0-only
"""redirmap sockets: the sockets of socket maps, the programs that they run, the
data that waits in them, and what is wrong with them.

The module reports the sockets. The programs of the map itself are asked of the
kernel by bpf(2).
"""
import errno
import sys

import redirmap_bpf as bpf
from redirmap_netlink import TRIES, Refused, left_of
from redirmap_table import Text, netns_column, print_json, table
from redirmap_which import NotFound, chosen_maps, here

# The number of keys that a sentence lists.
LISTED = 5

NO_PROGRAMS = ("The programs of the map are unknown, so they are not compared: a map is opened by "
               "its id with CAP_SYS_ADMIN only.")
INCONSISTENT = (f"Sockets came or went during all {TRIES} attempts: entries may be missing or "
                "doubled.")
# A socket that leaves its only map loses its data. One that stays in another
# map keeps its program of messages, and is refused by a map that has one. Bytes
# that a program has passed leave a gap in the stream of TCP in any case.
DRAINED = "First wait until INGRESS, BACKLOG and CORK are 0"
AGAIN = (f"{DRAINED}, or, if no program has passed bytes to the socket itself (SK_PASS), insert "
         "it into a second map without programs; then delete the entry, and insert the socket "
         "again.")
AGAIN_MSG = f"{DRAINED}; then delete the socket from all maps, and insert it again."


# --- flags ------------------------------------------------------------------


def is_tcp(sock):
    return sock["family"] in ("inet", "inet6") and sock["protocol"] == 6


def text_of_missing(sock, kind, number, attached):
    """Why the socket does not run a program of the map, or None if there is
    nothing to be done."""
    if is_tcp(sock) and sock["state"] == "listen":
        return None
    if kind in ("msg_verdict", "stream_parser") and not is_tcp(sock):
        return f"The kernel runs a {kind} for TCP sockets only."
    if kind == "stream_parser" and "stream_verdict" not in attached:
        return "A stream_parser runs only if the map has a stream_verdict as well."
    running = sock["programs"].get(kind)
    what = f"It runs program {running}, not" if running else "It does not run"
    again = AGAIN_MSG if running and kind == "msg_verdict" else AGAIN
    return (f"{what} program {number}, the {kind} of the map. A program has no effect on sockets "
            f"that are in the map when it is attached. {again}")


def program_flags(sock, attached):
    """The programs of the map that the socket does not run, and the other way
    round."""
    for kind, number in attached.items():
        if sock["programs"].get(kind) != number:
            text = text_of_missing(sock, kind, number, attached)
            if text:
                yield "program_missing", text
    for kind, number in sock["programs"].items():
        if kind not in attached:
            yield "program_kept", (
                f"It runs program {number}, a {kind} that the map does not have: a detached "
                "program stays in the sockets, and another map may have given it.")


def flags_of(sock, attached):
    """What is wrong with a socket: names and sentences."""
    if attached is not None:
        yield from program_flags(sock, attached)
    backlog = f"{sock['backlog']:,} packet{'' if sock['backlog'] == 1 else 's'}"
    if sock["stopped"]:
        waits = f" {backlog} in its backlog will not leave." if sock["backlog"] else ""
        yield "stopped", (f"The kernel has disabled transmit, and drops all data for it.{waits} "
                          "Close the socket.")
    elif sock["backlog_waits"]:
        yield "backlog_waits", (f"{backlog} wait in its backlog, because the first one found no "
                                "room: the socket, or its peer, is read too slowly or not at all.")
    if sock["error"]:
        yield "error", (f"The error {sock['error']} is pending; the next call of its owner "
                        "returns it.")


# --- as text ----------------------------------------------------------------


def key_text(sock):
    return sock["key"] if sock["index"] is None else str(sock["index"])


def name_of_socket(sock):
    """As ss(8) calls it: tcp, tcp6, unix and so on."""
    six = "6" if sock["family"] == "inet6" else ""
    if sock["family"] in ("inet", "inet6"):
        protocol = {6: "tcp", 17: "udp"}.get(sock["protocol"], str(sock["protocol"]))
        return protocol + six
    return sock["family"] if sock["type"] == "stream" else f"{sock['family']}_{sock['type']}"


def state_text(sock):
    shutdown = "" if sock["shutdown"] == "none" else f" (shutdown {sock['shutdown']})"
    return sock["state"] + shutdown


def programs_text(programs, names):
    return ", ".join(f"{kind} {number}{names(number)}" for kind, number in programs.items()) or "-"


class Names:
    """The names of programs, each asked for once, as " (NAME)"."""

    def __init__(self):
        self._known = {}

    def __call__(self, number):
        if number not in self._known:
            one = bpf.describe("program", number)
            self._known[number] = f" ({one['name']})" if one and one["name"] else ""
        return self._known[number]


def sentences(sockets):
    """Yield each sentence about sockets, after their keys."""
    keys = {}
    for sock in sockets:
        for one in sock["flags"]:
            keys.setdefault(one["text"], []).append(key_text(sock))
    for text, which in keys.items():
        more = len(which) - LISTED
        listed = ", ".join(which[:LISTED]) + (f" and {more:,} more" if more > 0 else "")
        yield f"Key{'' if len(which) == 1 else 's'} {listed}: {text}"


def show_identities(args, sockets, out):
    head, netns = netns_column(args, sockets)
    table(
        [Text("KEY"), "COOKIE", "INODE", Text("SOCKET"), Text("STATE"), *head, Text("LOCAL"),
         Text("REMOTE")],
        [
            [
                key_text(sock),
                sock["cookie"],
                sock["inode"] or None,
                name_of_socket(sock),
                state_text(sock),
                *where,
                sock["local"],
                sock["remote"],
            ]
            for sock, where in zip(sockets, netns)
        ],
        out,
    )


def show_work(sockets, names, out):
    table(
        [Text("KEY"), "INGRESS", "BACKLOG", "CORK", "APPLY", "DROPS", Text("PROGRAMS")],
        [
            [
                key_text(sock),
                f"{sock['ingress']}{'+' if sock['ingress_more'] else ''}",
                sock["backlog"],
                "?" if sock["cork"] is None else sock["cork"],
                sock["apply"],
                sock["drops"],
                programs_text(sock["programs"], names),
            ]
            for sock in sockets
        ],
        out,
    )


def show(args, one, out):
    names = Names()
    attached = one["programs"]
    gone = "" if one["left"] is None else f", {one['left']:,} left without a delete"
    print(f"Map {one['id']} ({one['name'] or '-'}), {one['type']}, {one['used']:,} of "
          f"{one['capacity']:,} sockets{gone}, programs: "
          f"{'unknown' if attached is None else programs_text(attached, names)}", file=out)
    texts = []
    if one["sockets"]:
        show_identities(args, one["sockets"], out)
        print(file=out)
        show_work(one["sockets"], names, out)
        texts += sentences(one["sockets"])
        if attached is None:
            texts.append(NO_PROGRAMS)
    else:
        print("No sockets.", file=out)
    if not one["consistent"]:
        texts.append(INCONSISTENT)
    if texts:
        print("", *texts, sep="\n", file=out)


# --- the command ------------------------------------------------------------


def explain_stock(args, family):
    """Raise NotFound if the command line names a stock map by its id."""
    try:
        claimed = {one["id"] for one in family.maps(None, True)}
    except Refused:
        # Then the map may be a claimed one of another namespace.
        return
    for number in args.maps:
        one = bpf.describe("map", number)
        if one and number not in claimed:
            raise NotFound(
                f"map {number} ({one['name'] or '-'}) is the kernel's own, not a claimed map: the "
                "parameter claim did not select its name when it was created, or the module was "
                "loaded later")


def maps_of(args, family):
    """The selected maps, or all socket maps."""
    if not args.selected():
        return [one for one in family.maps(None, args.all_netns) if one["sock"]]
    try:
        return chosen_maps(args, family)
    except Refused as refused:
        if refused.code == errno.ENOENT:
            explain_stock(args, family)
        raise


def left(one, present, args, family):
    """The sockets that have left a map without a delete; None if the map has
    changed since it was read. A delete that runs may be included."""
    after = family.maps(one["id"], args.all_netns)[0]
    same = all(one["sock"][name] == after["sock"][name] for name in ("inserts", "deletes"))
    return left_of(one["sock"], present) if same else None


def look(one, args, family):
    """A map with its sockets, its programs, and the flags of the sockets."""
    sockets = family.sockets(one["id"], args.all_netns)
    consistent = family.consistent
    attached = bpf.socket_programs(one["id"])
    return {
        **{name: one[name] for name in ("id", "name", "type", "netns", "capacity")},
        "used": len(sockets),
        "left": left(one, len(sockets), args, family) if consistent else None,
        "programs": attached,
        "consistent": consistent,
        "sockets": [
            {
                "index": int.from_bytes(bytes.fromhex(sock["key"]), sys.byteorder)
                if one["type"] == "sockmap" else None,
                **sock,
                "flags": [{"flag": name, "text": text} for name, text in flags_of(sock, attached)],
            }
            for sock in sockets
        ],
    }


def looks(args, family):
    """Yield the maps. If none is selected, a map may be closed meanwhile."""
    for one in maps_of(args, family):
        try:
            yield look(one, args, family)
        except Refused as refused:
            if args.selected() or refused.code != errno.ENOENT:
                raise


def run(args, family, out):
    told = list(looks(args, family))
    if args.json:
        print_json({"maps": told}, out)
        return
    if not told:
        print(f"No claimed socket maps{here(args)}.", file=out)
    for number, one in enumerate(told):
        if number:
            print(file=out)
        show(args, one, out)
