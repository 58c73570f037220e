# SPDX-License-Identifier: GPL-2.0-only
"""Output of the command: tables, numbers, names of namespaces, JSON."""
import os


class Text(str):
    """The head of a column that is aligned to the left."""


def plain(text):
    """A text that is safe on a terminal: a name may contain any byte."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def texts_of(cells):
    """Convert cells to printable texts."""
    # One call for all cells is faster: 10,000 maps have ten cells each.
    texts = list(map(str, cells))
    if None in cells:
        texts = ["-" if cell is None else text for cell, text in zip(cells, texts)]
    return texts if "".join(texts).isprintable() else list(map(plain, texts))


def table(head, rows, out, empty=None):
    """Print rows under a head, or the text empty if there are no rows. Numbers
    are aligned to the right."""
    if not rows and empty:
        print(empty, file=out)
        return
    columns = [[name, *texts_of(cells)] for name, *cells in zip(head, *rows)]
    line = "  ".join(
        f"%{'-' if isinstance(name, Text) else ''}{max(map(len, texts))}s"
        for name, texts in zip(head, columns)
    )
    out.write("".join([(line % row).rstrip() + "\n" for row in zip(*columns)]))


def short(number, base=1000, unit=""):
    """1234567 becomes 1235k. A base of 1024 gives KiB, MiB and so on."""
    value = float(number)
    for scale in ("", "K" if base == 1024 else "k", "M", "G", "T", "P"):
        if value < 10 * base or scale == "P":
            break
        value /= base
    infix = "i" if base == 1024 and scale else ""
    return f"{value:.0f}{' ' if unit else ''}{scale}{infix}{unit}"


def frames(number):
    return f"{number:,} frame{'' if number == 1 else 's'}"


def lookups(number):
    return f"{number:,} lookup{'' if number == 1 else 's'}"


def redirects(number):
    return f"{number:,} redirect{'' if number == 1 else 's'}"


def updates(number):
    return f"{number:,} update{'' if number == 1 else 's'}"


def map_name(one):
    return f"Map {one['id']}" + (f" ({one['name']})" if one["name"] else "")


def ago(loss, what="packets"):
    """The time of the last loss, to follow the number of losses."""
    age = loss["age"]
    if age is None:
        return ""
    words = "just now"
    for most, unit, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h"),
                             (age + 1, 86400, "days")):
        if age < most:
            if age >= 1:
                words = f"{age // unit:.0f} {name} ago"
            break
    return f", {'' if loss[what] == 1 else 'the last one '}{words}"


def seconds(since):
    """The seconds of an interval, with three digits, or without decimals."""
    number = since["seconds"]
    return f"{number:.3g}" if number < 100 else f"{number:,.0f}"


def drops_of(stats):
    return sum(stats["drops"].values())


def missed_of(stats):
    return sum(stats["missed"].values())


def accepted_of(sock):
    return sum(sock[name] for name in ("msg_egress", "msg_ingress", "skb_egress", "skb_ingress"))


def closing_of(sock):
    return sock["msg_closing"] + sock["skb_closing"]


def failed_of(sock):
    """Redirects that were refused, or accepted to a closing socket."""
    return sum(sock["refused"].values()) + closing_of(sock)


def restarted(before, after):
    """Have the counters restarted? A counter may already exceed its former
    value."""
    return any(after[name] < before[name] for name in ("packets", "bytes")) or any(
        after["drops"].get(reason, 0) < packets for reason, packets in before["drops"].items())


def this_netns():
    return os.stat("/proc/self/ns/net").st_ino


def named_netns():
    """The network namespaces that have names: name, path, inode. Only files of
    nsfs are returned, because opening any other file of that folder may
    block."""
    folder = "/run/netns"
    nsfs = os.stat("/proc/self/ns/net").st_dev
    try:
        names = sorted(os.listdir(folder))
    except OSError:
        return
    for name in names:
        path = f"{folder}/{name}"
        try:
            status = os.stat(path)
        except OSError:
            continue
        if status.st_dev == nsfs:
            yield name, path, status.st_ino


def netns_names():
    """The names of network namespaces, by inode."""
    return {inode: name for name, _, inode in named_netns()}


def netns_column(args, things):
    """The head and the cells of a column NETNS; both are empty without
    --all-netns."""
    if not args.all_netns:
        return [], [[] for _ in things]
    names = {**netns_names(), this_netns(): "this one"}
    return [Text("NETNS")], [[names.get(one["netns"], one["netns"])] for one in things]


def print_json(told, out):
    """Print JSON in one line, as bpftool(8) and ip(8) do. Indented output takes
    four times as long."""
    # Imported only here: the import takes as long as all others together.
    import json

    print(json.dumps(told), file=out)
