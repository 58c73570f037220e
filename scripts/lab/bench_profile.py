# SPDX-License-Identifier: GPL-2.0-only
"""The functions that execute the instructions of a row, for scripts/lab/bench.

This reads the counts of profile-plugin.c for each measurement, and the symbols
of the guest.
"""
import bisect
import collections

import bench_lines


class Symbols:
    """The guest's /proc/kallsyms."""

    def __init__(self, path):
        found = {}
        with open(path, encoding="ascii") as file:
            for line in file:
                fields = line.split()
                if fields[1] not in "tTwW":
                    continue
                name = fields[2] + "".join(" " + f for f in fields[3:])
                found.setdefault(int(fields[0], 16), name)
        self.addresses = sorted(found)
        self.names = [found[a] for a in self.addresses]

    def find(self, address):
        """The name of the function at an address, and the offset in the
        function."""
        if address < 1 << 63:
            return "(user space)", 0
        i = bisect.bisect_right(self.addresses, address) - 1
        if i < 0:
            return "(unknown)", address
        return self.names[i], address - self.addresses[i]


def read_counts(path):
    """The counts of each measurement: a list of {address: (count, text)}."""
    measurements = []
    with open(path, encoding="utf-8", errors="replace") as file:
        for line in file:
            if line == "end\n":
                measurements.append({})
                continue
            address, count, text = line.rstrip("\n").split(" ", 2)
            address = int(address, 16)
            # An instruction may be in several blocks.
            before = measurements[-1].get(address, (0,))[0]
            measurements[-1][address] = before + int(count), text
    return measurements


def per_unit(lines, counts):
    """The cost of one frame or call: {kind: {address: (count, text)}}.

    LINES are the lines of bench that describe the measurements. These are
    either a long and a short run, whose difference is used; or single calls, of
    which the smallest one is used, because an interrupt adds instructions to
    some of them.
    """
    by_kind = collections.defaultdict(list)
    for line in lines:
        by_kind[line["kind"]].append((line["n"], counts[line["measurement"] - 1]))

    result = {}
    for kind, runs in by_kind.items():
        if runs[0][0] > runs[-1][0]:
            (many, long_run), (few, short_run) = runs[0], runs[1]
            units = many - few
        else:
            sums = [sum(count for count, _ in run.values()) for _, run in runs]
            units, long_run = runs[sums.index(min(sums))]
            short_run = {}
        result[kind] = {
            address: ((count - short_run.get(address, (0,))[0]) / units, text)
            for address, (count, text) in long_run.items()}
    return result


def by_function(cost, symbols):
    """The same, as {function: instructions}."""
    sums = collections.Counter()
    for address, (count, _) in cost.items():
        sums[symbols.find(address)[0]] += count
    return sums


def all_of_kernel(counts, _symbols, _kind):
    """The instructions of a measurement, without those of user space."""
    return sum(count for address, (count, _) in counts.items() if address >= 1 << 63)


def own_of_devmap(counts, symbols, kind):
    """The instructions of devmap's own functions in the kernel, and for claimed
    maps also of the module.

    This is for long measurements on several CPUs, in which other code runs as
    well.
    """
    return sum(count for name, count in by_function(counts, symbols).items()
               if bench_lines.matches(name, bench_lines.SLOW) and
               (kind == "claimed" or not name.endswith("[redirmap]")))


def print_functions(columns, out):
    """Print a table of functions by cost: {column: {function:
    instructions}}."""
    names = set().union(*columns.values())
    width = max(12, *(len(column) + 2 for column in columns))
    print("".join(f"{column:>{width}}" for column in columns) + "  function", file=out)
    for name in sorted(names, key=lambda n: -max(c[n] for c in columns.values())):
        if max(column[name] for column in columns.values()) < 0.05:
            continue
        print("".join(f"{column[name]:{width}.2f}" for column in columns.values()),
              f" {name}", file=out)
    print("".join(f"{sum(column.values()):{width}.2f}" for column in columns.values()),
          " all", file=out)


def print_listing(costs, symbols, functions, out):
    """Print the instructions of functions, with the number of executions."""
    for kind, cost in costs.items():
        for function in functions:
            rows = []
            for address, (count, text) in sorted(cost.items()):
                name, offset = symbols.find(address)
                if name.split()[0] == function and count >= 0.005:
                    rows.append(f"{count:10.2f}  +{offset:<6x} {text}")
            if rows:
                print(f"\n{function}, {kind}:", *rows, sep="\n", file=out)
