# SPDX-License-Identifier: GPL-2.0-only
"""redirmap watch: show rates repeatedly, like top."""
import os
import time

from redirmap_table import (Text, accepted_of, closing_of, drops_of, failed_of, missed_of,
                            netns_column, print_json, restarted, short, table)

# The counters of socket maps, and those by reason or errno
SOCK_NUMBERS = ("msg_egress", "msg_ingress", "skb_egress", "skb_ingress", "msg_closing",
                "skb_closing", "inserts", "deletes")
SOCK_TABLES = ("refused", "failed")


def identity(one):
    """Identifies a map or target. An id alone is not enough, because ids are
    reused."""
    return tuple(
        one.get(key) for key in ("id", "netns", "name", "ifindex", "prog_id", "entry")
    )


def snapshot(args, family):
    """The counters of all maps and targets, and the time at which they were
    read."""
    things = {
        "maps": family.maps(None, args.all_netns),
        "targets": family.targets(None, args.all_netns),
    }
    return time.monotonic(), {
        kind: {identity(one): one for one in ones} for kind, ones in things.items()
    }


def rates(before, after, seconds):
    """Yield each map or target with its rates per second."""
    nothing = {"packets": 0, "bytes": 0, "drops": {}, "missed": {}}
    for key, one in after.items():
        # This kind of map has no counters that the command knows.
        if not one["stats"]:
            continue
        old = before[key]["stats"] if key in before else nothing
        new = one["stats"]
        # The counters have restarted, because the entry was replaced.
        if restarted(old, new):
            old = nothing
        drops, missed = (
            {
                name: (number - old[kind].get(name, 0)) / seconds
                for name, number in new[kind].items()
                if number != old[kind].get(name, 0)
            }
            for kind in ("drops", "missed")
        )
        yield {
            **one,
            "rates": {
                "packets": (new["packets"] - old["packets"]) / seconds,
                "bytes": (new["bytes"] - old["bytes"]) / seconds,
                "drops": drops,
                "missed": missed,
            },
        }


def sock_rates(before, after, seconds):
    """Yield each socket map with its rates per second."""
    nothing = {**dict.fromkeys(SOCK_NUMBERS, 0), "refused": {}, "failed": {}}
    for key, one in after.items():
        new = one["sock"]
        if not new:
            continue
        old = before[key]["sock"] if key in before else nothing
        # Another map has the id and the name of the former one.
        if any(new[name] < old[name] for name in SOCK_NUMBERS):
            old = nothing
        yield {**one, "rates": {
            **{name: (new[name] - old[name]) / seconds for name in SOCK_NUMBERS},
            **{
                kind: {
                    name: (number - old[kind].get(name, 0)) / seconds
                    for name, number in new[kind].items() if number > old[kind].get(name, 0)
                }
                for kind in SOCK_TABLES
            },
        }}


def busiest_sock_first(maps):
    return sorted(maps, key=lambda one: (-accepted_of(one["rates"]), -failed_of(one["rates"]),
                                         one["id"]))


def busiest_first(things):
    return sorted(
        things, key=lambda one: (-one["rates"]["packets"], -drops_of(one["rates"]), one["id"])
    )


def reasons_text(drops):
    names = sorted(drops, key=drops.get, reverse=True)
    return ", ".join(name.replace("_", " ") for name in names)


def show_sock_rates(args, maps, out):
    head, netns = netns_column(args, maps)

    def reasons(rates):
        found = {**rates["refused"], **rates["failed"]}
        if closing_of(rates):
            found["closing"] = closing_of(rates)
        return reasons_text(found)

    table(
        ["MAP", Text("NAME"), *head, "USED", "MSG/S", "SKB/S", "REFUSED/S", "CLOSING/S",
         "FAILED/S", Text("REASONS")],
        [
            [
                one["id"],
                one["name"] or "-",
                *where,
                one["used"],
                short(rates["msg_egress"] + rates["msg_ingress"]),
                short(rates["skb_egress"] + rates["skb_ingress"]),
                short(sum(rates["refused"].values())),
                short(closing_of(rates)),
                short(sum(rates["failed"].values())),
                reasons(rates),
            ]
            for one, rates, where in zip(maps, (one["rates"] for one in maps), netns)
        ],
        out,
    )


def show_rates(args, maps, targets, out):
    head, netns = netns_column(args, targets)
    table(
        [Text("DEVICE"), *head, "PROGRAM", "PACKETS/S", "BYTES/S", "LOST/S", Text("REASONS")],
        [
            [
                one["ifname"],
                *where,
                one["prog_id"],
                short(one["rates"]["packets"]),
                short(one["rates"]["bytes"]),
                short(drops_of(one["rates"])),
                reasons_text(one["rates"]["drops"]),
            ]
            for one, where in zip(targets, netns)
        ],
        out,
        empty="No targets.",
    )
    print(file=out)
    head, netns = netns_column(args, maps)
    table(
        ["MAP", Text("NAME"), *head, "USED", "MISSED/S", "LOST/S", Text("REASONS")],
        [
            [
                one["id"],
                one["name"] or "-",
                *where,
                one["used"],
                short(missed_of(one["rates"])),
                short(drops_of(one["rates"])),
                reasons_text(one["rates"]["drops"]),
            ]
            for one, where in zip(maps, netns)
        ],
        out,
        empty="No claimed maps.",
    )


class Screen:
    """Output that replaces the previous output on a terminal."""

    def __init__(self, out):
        self.out = out
        self.lines = []

    def write(self, text):
        self.lines.append(text)

    def show(self):
        text = "".join(self.lines)
        self.lines = []
        if self.out.isatty():
            size = os.get_terminal_size(self.out.fileno())
            # Some terminals report a size of 0.
            columns, rows = size.columns or 80, size.lines or 24
            shown = [line[:columns] for line in text.splitlines()[: rows - 1]]
            text = "\033[H\033[J" + "\n".join(shown) + "\n"
        self.out.write(text)
        self.out.flush()


def run(args, family, out):
    screen = Screen(out)
    then, before = snapshot(args, family)
    left = args.count
    while left is None or left:
        time.sleep(args.seconds)
        now, after = snapshot(args, family)
        maps, targets = (
            busiest_first(rates(before[kind], after[kind], now - then))
            for kind in ("maps", "targets")
        )
        socks = busiest_sock_first(sock_rates(before["maps"], after["maps"], now - then))
        if args.json:
            told = {"seconds": now - then, "maps": maps + socks, "targets": targets}
            print_json(told, screen)
        else:
            print(time.strftime("%H:%M:%S"), f"rates of {now - then:.1f} seconds\n", file=screen)
            # Without device maps, the tables of socket maps are enough.
            if maps or targets or not socks:
                show_rates(args, maps, targets, screen)
            if socks:
                if maps or targets:
                    print(file=screen)
                show_sock_rates(args, socks, screen)
            if not out.isatty():
                print(file=screen)
        screen.show()
        then, before = now, after
        if left is not None:
            left -= 1
