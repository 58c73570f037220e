# SPDX-License-Identifier: GPL-2.0-only
"""The tables and plots of the benchmark.

scripts/lab/bench stores a result in build/bench/bench-<kernel>.json:

    kernel, release, revision	of the measured kernel and project
    machine			the measuring machine
    unit			"instructions" or "ns"
    rounds			number of rounds per row
    runs			{run: {row: {kind: {median, min, max, ...}}}}
    errors			{run: {row: [text]}}

bench_machine defines the runs.
"""
import os
import subprocess

from bench_rows import GROUPS, FRAME, FIGURES, COUNTED_RUNS, runs_of

# The titles of the runs.
TITLES = {"max,-erms": "no ERMS", "max": "ERMS", "real": "", "lines": ""}
KINDS = ("stock", "claimed")


def title_of(run):
    """The title of a run."""
    return TITLES.get(run, run)


def medians(rows):
    """{row: {kind: median}}"""
    return {name: {kind: figure["median"] for kind, figure in kinds.items()}
            for name, kinds in rows.items()}


def number(value):
    """A number with at least three or four digits, for a table."""
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 100 else f"{value:.2f}"


def times(figures):
    """The ratio of the claimed map's cost to the stock map's, if it is
    meaningful."""
    stock, claimed = figures.get("stock"), figures.get("claimed")
    if stock is None or claimed is None or stock < 1 or claimed < 0:
        return "-"
    return f"{claimed / stock:.3f}"


def spread(figure):
    """Half of the interquartile range of the rounds, in percent of the
    median."""
    if not figure or not figure["median"]:
        return ""
    return f" ±{(figure['q3'] - figure['q1']) / 2 / abs(figure['median']):.1%}"


class Group:
    """A group of rows of a result, as a head and lines of cells."""

    def __init__(self, result, title, rows):
        self.result = result
        self.title = title
        self.counted = result["unit"] == "instructions"
        self.runs = runs_of(title, result["runs"])
        self.head = [""]
        for run in self.runs:
            self.head += [" ".join([kind, title_of(run)]).strip() for kind in KINDS]
            self.head.append("ratio")
        self.head += ["goal", "reached"]
        self.short = []
        self.lines = [self.line(row) for row in rows if self.has(row)]

    def has(self, row):
        """Should this row have been measured?"""
        base = row.name.split("/")[0]
        return any(row.name in self.result["runs"][run] or
                   base in self.result["errors"].get(run, {}) for run in self.runs)

    def cells(self, row, run):
        """Stock, claimed, ratio."""
        kinds = self.result["runs"][run].get(row.name, {})
        figures = medians({row.name: kinds})[row.name]
        if self.counted or row.unit in FIGURES:
            texts = [number(figures.get(kind)) for kind in KINDS]
        elif row.unit == FRAME:
            texts = [f"{1000 / figures[kind]:.3f} Mpps{spread(kinds[kind])}"
                     if figures.get(kind) else "-" for kind in KINDS]
        else:
            texts = [f"{number(figures[kind])} ns{spread(kinds[kind])}"
                     if kind in figures else "-" for kind in KINDS]
        errors = self.result["errors"].get(run, {})
        if row.name.split("/")[0] in errors:
            texts = ["failed" if text == "-" else text for text in texts]
        return texts + [times(figures)]

    def judged(self):
        """The figures to compare with goals; with many CPUs, also those of few
        CPUs."""
        few, run = self.runs[0], self.runs[0]
        if run not in COUNTED_RUNS:
            run = self.runs[-1]
        rows = {f"few/{name}": kinds
                for name, kinds in medians(self.result["runs"][few]).items()}
        return {**rows, **medians(self.result["runs"][run])}

    def line(self, row):
        """The cells of a row."""
        cells = [row.title]
        for run in self.runs:
            cells += self.cells(row, run)
        rows = self.judged()
        reached = row.goal and row.goal.reached(rows.get(row.name, {}), rows,
                                                self.result["kernel"], self.counted)
        if reached is False:
            self.short.append(row.title)
        cells += [row.goal.text if row.goal else "",
                  {True: "yes", False: "NO", None: ""}[reached]]
        return cells


class Table:
    """The groups of a result; with titles, only those."""

    def __init__(self, result, titles=GROUPS):
        self.result = result
        groups = (Group(result, title, rows) for title, rows in GROUPS.items()
                  if title in titles)
        self.groups = [group for group in groups if group.lines]
        self.short = [title for group in self.groups for title in group.short]

    def title(self):
        """The title: kernel and method."""
        return f"Linux {self.result['release']}, {self.how()}"

    def how(self):
        """The method: revision, machine, rounds."""
        return (f"redirmap {self.result['revision']}, {self.result['machine']}, "
                f"median of {self.result['rounds']} rounds")

    def widths(self, head):
        """The widths of the columns, for all groups with this head."""
        lines = [head] + [line for group in self.groups if group.head == head
                          for line in group.lines]
        return [max(len(line[i]) for line in lines) for i in range(len(head))]

    def text(self):
        """The text for a terminal."""
        out = [self.title()]
        for group in self.groups:
            widths = self.widths(group.head)
            out += ["", group.title]
            for line in [group.head] + group.lines:
                cells = [line[0].ljust(widths[0])]
                cells += [c.rjust(w) for c, w in zip(line[1:], widths[1:])]
                out.append("  " + "  ".join(cells).rstrip())
        return "\n".join(out)

    def rst(self):
        """The text for the documentation."""
        out = []
        for group in self.groups:
            widths = self.widths(group.head)
            bar = "  ".join("=" * width for width in widths)
            head = [group.title if len(group.title) <= widths[0] else ""] + group.head[1:]
            out += ["", bar, self.rst_line(head, widths), bar]
            out += [self.rst_line(line, widths) for line in group.lines]
            out.append(bar)
        return "\n".join(out)

    @staticmethod
    def rst_line(line, widths):
        """A line; an empty first cell is escaped, because it would otherwise
        continue the line before."""
        cells = [(line[0] or "\\").ljust(widths[0])]
        cells += [c.rjust(w) for c, w in zip(line[1:], widths[1:])]
        return "  ".join(cells).rstrip()


# --- plots -------------------------------------------------------------------

STYLE = {"stock": "lc rgb '#c44e52'", "claimed": "lc rgb '#2a6f97'"}


def figure_of(result, name, kind):
    """The median of a row, in the run that is compared with goals, or None."""
    for run in (*COUNTED_RUNS, "real"):
        if run in result["runs"]:
            return result["runs"][run].get(name, {}).get(kind, {}).get("median")
    return None


def curve(result, kind, points):
    """The points (x, row) that were measured: lines "x y"."""
    found = ((x, figure_of(result, name, kind)) for x, name in points)
    return [f"{x} {max(y, 1):g}" for x, y in found if y is not None]


def plot_curves(result, settings, curves):
    """Gnuplot's text for one panel; curves: (title, kind, style, points)."""
    data, parts = [], []
    for i, (title, kind, style, points) in enumerate(curves):
        lines = curve(result, kind, points)
        if not lines:
            continue
        data += [f"$d{i} << END", *lines, "END"]
        parts.append(f"$d{i} using 1:2 with linespoints {STYLE[kind]} {style} "
                     f"title '{title}'")
    if not parts:
        return ""
    return "\n".join(data + settings + ["plot " + ", ".join(parts), ""])


def unit_of(result):
    """The label of the y axis."""
    return "instructions" if result["unit"] == "instructions" else "nanoseconds"


def broadcast_capacity(result):
    """A plot: broadcast by the number of slots of the map."""
    points = {kind: [(n, f"bcast-{kind}-4of{n}") for n in (4, 256, 4096, 65536)]
              for kind in ("array", "hash")}
    return plot_curves(
        result,
        ["set logscale xy", "set key top left", "set xlabel 'slots of the map'",
         "set xtics (4, 256, 4096, 65536)", "set format y '%.0s %c'",
         f"set ylabel '{unit_of(result)} a frame'"],
        [("stock, array", "stock", "pt 7", points["array"]),
         ("stock, hash", "stock", "pt 6 dt 2", points["hash"]),
         ("claimed, array", "claimed", "pt 7", points["array"]),
         ("claimed, hash", "claimed", "pt 6 dt 2", points["hash"])])


def broadcast_members(result):
    """A plot: broadcast by the number of members."""
    points = [(n, f"bcast-array-{n}of64") for n in (1, 2, 4, 8, 16, 32, 64)]
    return plot_curves(
        result,
        ["set logscale xy", "set key top left", "set xlabel 'members, of 64 slots'",
         "set xtics (1, 2, 4, 8, 16, 32, 64)", "set format y '%.0s %c'",
         f"set ylabel '{unit_of(result)} a frame'"],
        [("stock", "stock", "pt 7", points), ("claimed", "claimed", "pt 7", points)])


def removal(result):
    """A plot: the cost that maps add to the deletion of a device."""
    points = [(n * 65536 / 1e6, f"beside/{n}") for n in (0, 16, 32, 64)]
    return plot_curves(
        result,
        ["set key top left", "set xlabel 'million slots of maps beside'",
         "set offsets 0, 0, graph 0.05, graph 0.05", "set format y '%.0s %c'",
         f"set ylabel '{unit_of(result)} added to a deletion'"],
        [("stock", "stock", "pt 7", points), ("claimed", "claimed", "pt 7", points)])


def redirect(result):
    """A plot: redirects by kind."""
    rows = [("ifindex", "unicast-ifindex"), ("array, 1 target", "unicast-array-1"),
            ("array, 4 targets", "unicast-array-4"), ("hash, 1 key", "unicast-hash-1"),
            ("hash, dense", "unicast-hash-dense"), ("hash, random", "unicast-hash-random"),
            ("hash, stride", "unicast-hash-stride"),
            ("hash, one bucket", "unicast-hash-bucket"),
            ("egress program", "unicast-egress")]
    figures = {title: [figure_of(result, name, kind) for kind in KINDS]
               for title, name in rows}
    figures = {title: both for title, both in figures.items() if any(both)}
    if not figures:
        return ""
    lines = [f'"{title}" ' + " ".join("?" if y is None else f"{y:g}" for y in both)
             for title, both in figures.items()]
    # A bar that is much higher than the others is cut off, with its value as a
    # label.
    heights = sorted(y for both in figures.values() for y in both if y)
    top = 2 * heights[len(heights) // 2]
    cut = [f"set label '{y:,.0f}' at {x + (i - 0.5) / 4},{top:g} center offset 0,0.6"
           for x, both in enumerate(figures.values())
           for i, y in enumerate(both) if y and y > top]
    drop = figure_of(result, "drop", "stock")
    floor = f", {drop:g} with lines lc rgb '#888888' dt 2 title 'XDP_DROP'" if drop else ""
    bars = ", ".join(f"$bars using {i + 2}:xtic(1) with histograms fs solid "
                     f"{STYLE[kind]} title '{kind}'" for i, kind in enumerate(KINDS))
    return "\n".join([
        "$bars << END", *lines, "END", "set style data histograms",
        "set datafile missing '?'", "set boxwidth 0.9", f"set yrange [0:{top:g}]",
        *cut, "set xtics rotate by -35 nomirror", "set key top left",
        f"set ylabel '{unit_of(result)} a frame'",
        f"plot {bars}{floor}", ""])


PLOTS = {
    "broadcast-capacity": ("Broadcast of 64 bytes to 4 members", broadcast_capacity),
    "broadcast-members": ("Broadcast of 64 bytes", broadcast_members),
    "removal": ("Deletion of a device beside big, empty maps", removal),
    "redirect": ("Unicast redirect of 64 bytes", redirect),
}


def draw(results, folder):
    """Draw all plots, with a panel for each result; returns the files."""
    files = []
    for name, (title, panel) in PLOTS.items():
        panels = [(r, text) for r in results if (text := panel(r))]
        if not panels:
            continue
        path = os.path.join(folder, f"{name}.svg")
        script = [f"set terminal svg size {520 * len(panels)},420 noenhanced "
                  "font 'sans,12' background 'white'",
                  f"set output '{path}'",
                  f"set multiplot layout 1,{len(panels)} title '{title}'"]
        for result, text in panels:
            script += ["reset", "set grid ytics lc rgb '#dddddd'",
                       f"set title 'Linux {result['release']}'", text]
        script.append("unset multiplot")
        subprocess.run(["gnuplot"], input="\n".join(script), text=True, check=True)
        files.append(path)
    return files
