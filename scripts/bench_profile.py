# SPDX-License-Identifier: GPL-2.0-only
"""Which functions a row's instructions are spent in.

For scripts/bench --profile: reads what profile-plugin.c has counted in each
measurement, and the guest's symbols.
"""
import bisect
import collections


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
        """The function's name, and how far into it the address is."""
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
            measurements[-1][int(address, 16)] = int(count), text
    return measurements


def per_unit(lines, counts):
    """What one frame, or call, costs: {kind: {address: (count, text)}}.

    LINES are those of bench that say which measurement was of what: a long run
    and a short one, whose difference counts; or single ones, averaged.
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
            long_run, short_run, units = runs[-1][1], {}, 1
        result[kind] = {
            address: ((count - short_run.get(address, (0,))[0]) / units, text)
            for address, (count, text) in long_run.items()}
    return result


def print_functions(costs, symbols, out):
    """A table of functions, by what they cost, for each kind of map."""
    sums = collections.defaultdict(dict)
    for kind, cost in costs.items():
        for address, (count, _) in cost.items():
            name = symbols.find(address)[0]
            sums[name][kind] = sums[name].get(kind, 0) + count

    kinds = list(costs)
    print("".join(f"{kind:>12}" for kind in kinds) + "  function", file=out)
    for name, by_kind in sorted(sums.items(), key=lambda s: -max(s[1].values())):
        if max(by_kind.values()) < 0.05:
            continue
        print("".join(f"{by_kind.get(kind, 0):12.2f}" for kind in kinds),
              f" {name}", file=out)
    print("".join(f"{sum(c for c, _ in costs[kind].values()):12.2f}" for kind in kinds),
          " all", file=out)


def print_listing(costs, symbols, functions, out):
    """The instructions of functions, with how often each is executed."""
    for kind, cost in costs.items():
        for function in functions:
            rows = []
            for address, (count, text) in sorted(cost.items()):
                name, offset = symbols.find(address)
                if name.split()[0] == function and count >= 0.005:
                    rows.append(f"{count:10.2f}  +{offset:<6x} {text}")
            if rows:
                print(f"\n{function}, {kind}:", *rows, sep="\n", file=out)
