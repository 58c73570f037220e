# SPDX-License-Identifier: GPL-2.0-only
"""The command redirmap: see redirmap(8), Documentation/redirmap.8.rst.

To start fast, the command imports a module only if the given command needs it.
"""
import errno
import os
import sys

import redirmap_args as cli
import redirmap_version
from redirmap_args import BadUsage, Command, Option
from redirmap_netlink import Family, NotLoaded, Refused
from redirmap_table import (Text, accepted_of, drops_of, frames, lookups, missed_of, netns_column,
                            print_json, redirects, short, table)
from redirmap_which import (NotFound, all_of, chosen_maps, chosen_targets, elsewhere,
                            leads_elsewhere)

EXIT_REFUSED, EXIT_USAGE, EXIT_NOT_LOADED, EXIT_NOT_PERMITTED = 1, 2, 3, 4

ABOUT = "Show claimed redirect maps, their targets, and lost frames."
EPILOG = """exit status: 0 success, 1 the request failed or the object does not exist,
2 bad usage, 3 the module is not loaded, 4 not permitted, 130 interrupted"""


# --- list -------------------------------------------------------------------


def show_maps(args, maps, out, empty):
    head, netns = netns_column(args, maps)
    table(
        ["MAP", Text("NAME"), Text("TYPE"), *head, "USED", "CAPACITY", "MEMBERS", "USERS",
         "MEMORY", "MISSED", "LOST"],
        [
            [
                one["id"],
                one["name"] or "-",
                one["type"],
                *where,
                one["used"],
                one["capacity"],
                one["members"],
                one["users"],
                short(one["memory"], 1024, "B"),
                missed_of(one["stats"]) if one["stats"] else None,
                drops_of(one["stats"]) if one["stats"] else None,
            ]
            for one, where in zip(maps, netns)
        ],
        out,
        empty,
    )


def add_programs(maps):
    """Add the programs that are attached to each map: ids by attach type; None
    for maps without attached programs, or if they are not known."""
    for one in maps:
        one["programs"] = None
    found = [one for one in maps if one["sock"]]
    if not found:
        return
    try:
        from redirmap_bpf import socket_programs
    except OSError:
        # Without libbpf
        return
    for one in found:
        one["programs"] = socket_programs(one["id"])


def show_sock(maps, out):
    """The counters of socket maps, and their programs."""
    if any(one["programs"] is not None for one in maps):
        from redirmap_sockets import Names, programs_text
        names = Names()
    table(
        ["MAP", Text("NAME"), "MSG EGRESS", "MSG INGRESS", "SKB EGRESS", "SKB INGRESS", "REFUSED",
         "CLOSING", "INSERTS", "DELETES", "LEFT", "FAILED", Text("PROGRAMS")],
        [
            [
                one["id"],
                one["name"] or "-",
                sock["msg_egress"],
                sock["msg_ingress"],
                sock["skb_egress"],
                sock["skb_ingress"],
                sum(sock["refused"].values()),
                sock["msg_closing"] + sock["skb_closing"],
                sock["inserts"],
                sock["deletes"],
                sock["left"],
                sum(sock["failed"].values()),
                "?" if one["programs"] is None else programs_text(one["programs"], names),
            ]
            for one, sock in ((one, one["sock"]) for one in maps)
        ],
        out,
    )


def show_targets(args, targets, out, empty):
    head, netns = netns_column(args, targets)
    table(
        ["TARGET", Text("DEVICE"), *head, "IFINDEX", "PROGRAM", "MAPS", "PACKETS", "BYTES",
         "AS-PACKETS", "LOST"],
        [
            [
                one["id"],
                one["ifname"] + (" (entry)" if one["entry"] else ""),
                *where,
                one["ifindex"],
                one["prog_id"],
                one["refs"],
                one["stats"]["packets"],
                one["stats"]["bytes"],
                one["stats"]["as_packets"],
                drops_of(one["stats"]),
            ]
            for one, where in zip(targets, netns)
        ],
        out,
        empty,
    )


def show_gone(args, state, out):
    """The counters that belong to no map or target in the tables, unless they
    are 0."""
    # The tables may cover all namespaces; these counters cover the present one.
    where = " in this network namespace" if args.all_netns else ""
    gone, lost = state["gone"], drops_of(state["lost"])
    if gone["packets"] or gone["drops"] or gone["missed"]:
        print(f"\n{text_of_gone(gone, where)}", file=out)
    if lost:
        print(f"\nInvalid redirects{where} have lost {frames(lost)}.", file=out)
    text = text_of_sock_gone(state["sock_gone"], where)
    if text:
        print(f"\n{text}", file=out)


def text_of_sock_gone(sock, where=""):
    """The counters of removed socket maps, if there are any: a number for each
    column of the table."""
    failed = sum(sock["failed"].values())
    if not (accepted_of(sock) or sock["refused"] or sock["inserts"] or failed):
        return None
    return (f"Removed socket maps{where} have accepted {redirects(accepted_of(sock))} "
            f"(msg egress {sock['msg_egress']:,}, msg ingress {sock['msg_ingress']:,}, "
            f"skb egress {sock['skb_egress']:,}, skb ingress {sock['skb_ingress']:,}; "
            f"{sock['msg_closing'] + sock['skb_closing']:,} to closing sockets) and refused "
            f"{sum(sock['refused'].values()):,}. They had {sock['inserts']:,} inserts, "
            f"{sock['deletes']:,} deletes and {failed:,} failed updates.")


def text_of_gone(gone, where=""):
    """The counters of removed maps and targets: a number for each column of the
    tables."""
    return (f"Removed maps and targets{where} have sent {frames(gone['packets'])} "
            f"({gone['bytes']:,} bytes; {gone['as_packets']:,} as packets), missed "
            f"{lookups(missed_of(gone))} and lost {frames(drops_of(gone))}.")


def list_command(args, family, out):
    maps = targets = gone = None
    if not args.selected():
        maps, targets, gone = all_of(args, family)
    if args.maps or args.names:
        maps = chosen_maps(args, family)
    if args.targets or args.devices:
        targets = chosen_targets(args, family)
    add_programs(maps or ())

    if args.json:
        told = {"maps": maps, "targets": targets}
        if gone:
            told.update(gone=gone["gone"], lost=gone["lost"], sock_gone=gone["sock_gone"])
        print_json({key: value for key, value in told.items() if value is not None}, out)
        return

    def empty(text, things, ask):
        """The sentence for an empty list. Only then another dump is needed."""
        more = len(elsewhere(args, ask)) if things == [] else 0
        return (f"{text} in this network namespace, {more} in others: see --all-netns." if more
                else f"{text}.")

    if maps is not None:
        show_maps(args, maps, out, empty("No claimed maps", maps, family.maps))
    sock_maps = [one for one in maps or () if one["sock"]]
    if sock_maps:
        print(file=out)
        show_sock(sock_maps, out)
    if maps is not None and targets is not None:
        print(file=out)
    if targets is not None:
        show_targets(args, targets, out, empty("No targets", targets, family.targets))
    if gone:
        show_gone(args, gone, out)
    if maps and leads_elsewhere(args, maps):
        print("\nEntries of these maps point to devices in other network namespaces: see "
              "--all-netns.", file=out)


# --- state ------------------------------------------------------------------


def state_command(args, family, out):
    state = family.state()
    if args.json:
        print_json(state, out)
        return

    def named(globs):
        return {"": "no maps", "*": "all maps"}.get(globs, f"maps named {globs}")

    claims = named(state["claim"])
    print(f"redirmap {state['version']}, claims {claims}\n", file=out)
    if state["packets"] is not None:
        print(f"Frames may leave as packets: {named(state['packets'])}.", file=out)
        print(f"Frames always leave as packets: {named(state['qdisc'])}.", file=out)
    if state["early"] is not None:
        print(f"Inserts run programs on early data: {named(state['early'])}.", file=out)
    if state["packets"] is not None:
        print(file=out)
    table(
        [Text("FUNCTION"), Text("HOOK")],
        [[one["name"], one["kind"]] for one in state["hooks"]],
        out,
    )
    print(file=out)
    table(
        [Text("STRUCTURE"), Text("MEMBER"), "BYTES"],
        [
            [one["type"], one["member"] or "(size)", one["where"]]
            for one in state["layouts"]
        ],
        out,
    )
    print(f"\n{text_of_gone(state['gone'])}", file=out)
    text = text_of_sock_gone(state["sock_gone"])
    if text:
        print(text, file=out)
    print(f"{state['copy_memory'] // 1024:,} KiB are kept for copies of broadcasts.", file=out)


# --- commands in modules of their own ---------------------------------------


def drops_command(args, family, out):
    import redirmap_drops

    redirmap_drops.run(args, family, out)


def holders_command(args, family, out):
    import redirmap_holders

    redirmap_holders.run(args, family, out)


def metrics_command(args, family, out):
    import redirmap_metrics

    redirmap_metrics.run(args, family, out)


def sockets_command(args, family, out):
    import redirmap_sockets

    redirmap_sockets.run(args, family, out)


def watch_command(args, family, out):
    import redirmap_watch

    redirmap_watch.run(args, family, out)


# --- the command line -------------------------------------------------------

WHICH = "[[map] ID | map name NAME | target ID | [dev] DEVICE]..."

ONE_MAP = Option(
    ["--map"], "maps", "show only the map with this id", "ID", cli.number, several=True
)
ONE_TARGET = Option(
    ["--target"], "targets", "show only the target with this id", "ID", cli.number, several=True
)
SHARED = (
    Option(["-j", "--json"], "json", "print JSON"),
    Option(["--all-netns"], "all_netns", "show all network namespaces"),
    Option(["-h", "--help"], "help", "print this help"),
    Option(["-V", "--version"], "version", "print the versions of the command and the module"),
)
COMMANDS = {
    command.name: command
    for command in (
        Command(
            "list", list_command, "list maps and targets (the default)", WHICH, cli.take_which,
            (ONE_MAP, ONE_TARGET),
        ),
        Command(
            "drops", drops_command, "list lost frames, with the reason and the cure", WHICH,
            cli.take_which,
            (
                ONE_MAP,
                ONE_TARGET,
                Option(
                    ["--since"], "since", "wait, and list the frames lost in this time",
                    "SECONDS", cli.seconds,
                ),
            ),
        ),
        Command(
            "watch", watch_command, "show rates repeatedly", "[SECONDS]",
            cli.take_seconds,
            (Option(["--count"], "count", "exit after N times", "N", cli.number),),
        ),
        Command(
            "holders", holders_command, "list the holders of maps and of the module",
            "[[map] ID | map name NAME]...", cli.take_maps, (ONE_MAP,),
        ),
        Command(
            "sockets", sockets_command, "list the sockets of socket maps",
            "[[map] ID | map name NAME]...", cli.take_maps, (ONE_MAP,),
        ),
        Command(
            "metrics", metrics_command, "print all counters for Prometheus", options=(
                Option(["--output"], "output", "write this file, instead of stdout", "FILE", str),
            ),
        ),
        Command("state", state_command, "show the claim policy, hooks and checked structures"),
        Command("help", None, "print help, of all commands or one", "[COMMAND]", cli.take_command),
    )
}


def print_help(command, out):
    out.write(cli.help_of(command, COMMANDS, SHARED, ABOUT, EPILOG))


def print_version(out):
    running = redirmap_version.loaded()
    module = f"module {running} is loaded" if running else "no module is loaded"
    print(f"redirmap {redirmap_version.VERSION}; {module}", file=out)
    more = redirmap_version.change_over()
    if more:
        print(more, file=out)


def without_module(args, out):
    """Print help or versions, which need no module; return whether it did."""
    if args.version:
        print_version(out)
    elif args.help:
        print_help(COMMANDS.get(args.given), out)
    elif args.given == "help":
        if args.about and args.about not in COMMANDS:
            raise BadUsage(f"unknown command {args.about!r}", COMMANDS["help"])
        print_help(COMMANDS.get(args.about), out)
    else:
        return False
    return True


def complain(text):
    """Write to stderr, if stderr is open and writable."""
    try:
        if sys.stderr:
            sys.stderr.write(text)
            sys.stderr.flush()
    except OSError:
        let_go_of(sys.stderr)


def let_go_of(stream):
    """Let the interpreter's flush at its end write to /dev/null."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def fail(text, status):
    complain(f"redirmap: {text}\n")
    return status


def bad_usage(error):
    complain(cli.usage_of(error.command))
    return fail(f"{error}; see 'redirmap help'", EXIT_USAGE)


def not_loaded():
    release = os.uname().release
    how = f"'make && insmod build/{release}/redirmap.ko' in the folder of its sources"
    try:
        with open(f"/lib/modules/{release}/modules.dep", encoding="utf-8") as file:
            if "/redirmap.ko" in file.read():
                how = "'modprobe redirmap'"
    except OSError:
        pass
    return fail(f"the module redirmap is not loaded; load it with {how}", EXIT_NOT_LOADED)


def not_permitted(refused):
    if refused.told:
        return fail(refused, EXIT_NOT_PERMITTED)
    who = "" if not os.geteuid() else "; you are not root"
    return fail(
        f"the command needs CAP_NET_ADMIN for this network namespace{who}", EXIT_NOT_PERMITTED
    )


def unwritable(error, out):
    """Report an error that output may have caused; writing the buffered rest
    would cause another error."""
    if out:
        try:
            out.flush()
        except OSError:
            let_go_of(out)
    return fail(error, EXIT_REFUSED)


def run_command(args, out):
    try:
        family = Family()
    except NotLoaded:
        # redirmap_loaded is 0 then.
        if args.run is not metrics_command:
            raise
        args.run(args, None, out)
        return
    with family:
        note = redirmap_version.note()
        if note:
            complain(f"redirmap: {note}\n")
        args.run(args, family, out)


def main(argv=None, out=None):
    out = out or sys.stdout
    try:
        args = cli.parse(sys.argv[1:] if argv is None else argv, COMMANDS, SHARED, "list")
        if not out:
            raise OSError(errno.EBADF, "standard output is closed")
        if not without_module(args, out):
            run_command(args, out)
        out.flush()
    except BadUsage as error:
        return bad_usage(error)
    except NotFound as error:
        return fail(error, EXIT_REFUSED)
    except NotLoaded:
        return not_loaded()
    except Refused as refused:
        if refused.code == errno.EPERM:
            return not_permitted(refused)
        return fail(refused, EXIT_REFUSED)
    except BrokenPipeError:
        # The reader has closed the pipe.
        let_go_of(sys.stdout)
    except OSError as error:
        return unwritable(error, out)
    return 0
