# SPDX-License-Identifier: GPL-2.0-only
"""How the command prints what it was told: tables, numbers, namespaces, JSON."""
import os


class Text(str):
    """The head of a column whose cells begin at the left."""


def plain(text):
    """A text for a terminal: names that others have chosen may be anything."""
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def texts_of(cells):
    """Cells as they are printed."""
    # All at once: of 10,000 maps each has ten.
    texts = list(map(str, cells))
    if None in cells:
        texts = ["-" if cell is None else text for cell, text in zip(cells, texts)]
    return texts if "".join(texts).isprintable() else list(map(plain, texts))


def table(head, rows, out, empty=None):
    """Rows under a head, or what is said without any; numbers at the right."""
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
    """1234567 as 1235k; in KiB and so on with a base of 1024."""
    value = float(number)
    for scale in ("", "K" if base == 1024 else "k", "M", "G", "T", "P"):
        if value < 10 * base or scale == "P":
            break
        value /= base
    infix = "i" if base == 1024 and scale else ""
    return f"{value:.0f}{' ' if unit else ''}{scale}{infix}{unit}"


def frames(number):
    return f"{number:,} frame{'' if number == 1 else 's'}"


def drops_of(stats):
    return sum(stats["drops"].values())


def missed_of(stats):
    return sum(stats["missed"].values())


def this_netns():
    return os.stat("/proc/self/ns/net").st_ino


def named_netns():
    """The network namespaces that have names: name, path, inode. Opening another file
    of that folder may wait for ever, so only files of nsfs are told of."""
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
    """A head and cells, both empty unless namespaces are told apart."""
    if not args.all_netns:
        return [], [[] for _ in things]
    names = {**netns_names(), this_netns(): "this one"}
    return [Text("NETNS")], [[names.get(one["netns"], one["netns"])] for one in things]


def print_json(told, out):
    """In a line, as bpftool(8) and ip(8) do: indented, it takes json four times as
    long."""
    # Not at the start: it takes as long to be imported as all else together.
    import json

    print(json.dumps(told), file=out)
