# SPDX-License-Identifier: GPL-2.0-only
"""The measuring machines, for scripts/lab/bench.

A machine performs a run. "max,-erms" and "max" count instructions by icount, on
these CPU models. "lines" records each memory access. "2 CPUs" and "64 CPUs" (or
the number of --cpus) count instructions without icount. "real" measures time.
bench_rows defines the rows of each run.
"""
import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys

import bench_lines
import bench_profile
import bench_report
import bench_rows

OUT = "build/bench"
BENCH = "build/selftests/bench/bench"
PLUGIN = f"{OUT}/plugin.so"
# The number of CPUs to compare many CPUs with.
FEW_CPUS = 2
# The number of attempts to boot several CPUs.
BOOTS = 3


def say(text):
    """Print a line of progress."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


def output_of(*command):
    """The output of a command, which must succeed."""
    return subprocess.run(command, stdout=subprocess.PIPE, text=True,
                          check=True).stdout.strip()


def build_plugin():
    """Build the QEMU plugin."""
    subprocess.run(["gcc", "-O2", "-Wall", "-fPIC", "-shared", "-o", PLUGIN,
                    "scripts/lab/profile-plugin.c"], check=True)


def runs(args):
    """The names of all runs."""
    if args.real:
        return ["real"]
    # With --profile, one CPU model is enough.
    models = bench_rows.COUNTED_RUNS[:1] if args.profile else bench_rows.COUNTED_RUNS
    return [*models, "lines", f"{FEW_CPUS} CPUs", f"{args.cpus} CPUs"]


def machines_of(args, kernel, release):
    """The machines that the rows need, the slowest ones first."""
    found = []
    for run in runs(args):
        bases = {name.split("/")[0] for name in bench_rows.names_in(run)}
        rows = [row for row in args.rows if row in bases]
        if rows:
            found.append(Machine(args, kernel, release, run, rows))
    return found


class Machine:
    """A run of the benchmark's inner part, and its results."""

    def __init__(self, args, kernel, release, run, names):
        self.args = args
        self.kernel = kernel
        self.release = release
        self.run = run
        self.names = names
        # A comma would end an argument of QEMU's.
        name = f"{kernel}-{run}".translate(str.maketrans(", ", "--"))
        self.log = f"build/log/bench-{name}.log"
        self.folder = os.path.abspath(f"{OUT}/{name}")
        self.rows = {}
        self.errors = {}
        self.measured = []
        self.watches = run == "lines"
        self.cpus = int(run.split()[0]) if run.endswith(" CPUs") else 1
        self.has_plugin = bool(self.watches or self.cpus > 1 or args.profile)

    def label(self):
        """The name of this machine in lines of progress."""
        return f"{self.kernel} {bench_report.title_of(self.run)}".strip()

    def inner(self):
        """The command line of the inner part, which measures."""
        # Memory accesses are the same in each round.
        rounds = 1 if self.watches else self.args.rounds
        command = [BENCH, "--rounds", str(rounds)]
        if self.cpus == 1 and self.run != "real":
            command.append("--icount")
        elif self.cpus > 1 or self.cpus_there() > 1:
            command += ["--cpu", "1"]
        if self.has_plugin:
            command += ["--symbols", f"{self.folder}/symbols"]
        module = f"build/{self.release}/redirmap.ko"
        command += ["--module", module, *self.names]
        return f"insmod {module} claim='rm_*' && exec {shlex.join(command)}"

    def cpus_there(self):
        """The number of CPUs of the machine, for measurements of time."""
        return os.cpu_count() if self.args.real == "host" else 2

    def outer(self):
        """The command line that runs the inner part in its machine."""
        if self.args.real == "host":
            return ["sh", "-c", self.inner().replace("exec ", "") +
                    "; status=$?; for i in 1 2 3 4 5 6 7 8 9; do "
                    "rmmod redirmap && break; sleep 1; done; exit $status"]
        vm = ["scripts/lab/vm", "-k", self.kernel, "-m", "4G" if self.cpus > FEW_CPUS else "2G",
              "-t", "3600", "--log", self.log]
        if self.run == "real":
            vm += ["-c", "2"]
        elif self.cpus > 1:
            # On a busy host, the guest would panic because of a slow timer.
            vm += ["-c", str(self.cpus), "--append", "no_timer_check"]
        else:
            vm += ["--icount", "--cpu", self.run if self.run != "lines" else
                   bench_rows.COUNTED_RUNS[0]]
        if self.watches:
            # With one CPU, the kernel would remove the prefix LOCK.
            vm += ["--append", "noreplace-smp"]
        if self.has_plugin:
            os.makedirs(self.folder, exist_ok=True)
            vm += ["--share", self.folder, "--device", "-plugin " + ",".join(
                [os.path.abspath(PLUGIN), f"out={self.folder}/counts"] +
                [f"accesses={self.folder}/accesses"] * self.watches)]
        return vm + ["--", "sh", "-c", self.inner()]

    def environment(self):
        """The environment: the plugin needs one thread for all CPUs, and no
        KVM."""
        accel = {"REDIRMAP_ACCEL": "tcg,thread=single"} if self.cpus > 1 else {}
        return {**os.environ, **accel}

    def boot(self):
        """Run the machine and report each result; returns the exit status, and
        whether there was output."""
        output = False
        with subprocess.Popen(self.outer(), stdout=subprocess.PIPE, text=True,
                              env=self.environment()) as process:
            for line in process.stdout:
                output = True
                self.take(line.rstrip())
        return process.returncode, output

    def measure(self):
        """Measure, and check the results."""
        status, output = self.boot()
        # Many emulated CPUs do not always boot on a busy host: the guest
        # patches its code, and a CPU executes outdated code.
        for _ in range(BOOTS - 1 if self.cpus > 1 else 0):
            if output or status != 125:
                break
            say(f"[{self.label()}] the kernel did not boot: trying again")
            status, output = self.boot()
        if status and not self.errors:
            self.fail("machine", f"exit status {status}")
        if self.args.real == "host":
            return
        judged = subprocess.run(["scripts/lab/judge-log", self.log], stdout=subprocess.PIPE,
                                text=True, check=False)
        if judged.returncode:
            self.fail("kernel log", judged.stdout)
        if self.args.profile:
            return
        if self.has_plugin:
            self.take_counts()
            shutil.rmtree(self.folder)

    def take(self, line):
        """Process a line of the inner part: a result, or progress."""
        if not line.startswith("{"):
            # the name of the row that begins
            if line not in self.names and " " in line:
                say(f"[{self.label()}] {line}")
            return
        fields = json.loads(line)
        if "measurement" in fields:
            self.measured.append(fields)
            return
        name = fields.pop("row")
        if "error" in fields:
            self.fail(name, fields["error"], fields.get("kind"))
        else:
            self.have(name, fields.pop("kind"), fields)

    def have(self, name, kind, figures):
        """A result."""
        self.rows.setdefault(name, {})[kind] = figures
        if kind == "claimed":
            self.show(name)

    def show(self, name):
        """Print the figures of a finished row as progress."""
        figures = bench_report.medians(self.rows)[name]
        numbers = ", ".join(f"{kind} {bench_report.number(value)}"
                            for kind, value in figures.items())
        say(f"[{self.label()}] {name}: {numbers}")

    def fail(self, name, why, kind=None):
        """Record an error, which makes the whole command fail."""
        text = f"{kind}: {why}" if kind else why
        self.errors.setdefault(name, []).append(text)
        say(f"[{self.label()}] {name}: FAILED: {text}")

    def of_row(self, row):
        """The measurements of a row: {kind: [line of the inner part]}."""
        by_kind = {}
        for line in self.measured:
            if line["row"] == row:
                by_kind.setdefault(line["kind"], []).append(line)
        return by_kind

    def symbols(self, row):
        """The symbols of the guest while the programs of the row were
        loaded."""
        return bench_profile.Symbols(f"{self.folder}/symbols.{row}")

    def take_counts(self):
        """Convert the records of the plugin to results."""
        counts = None if self.watches else bench_profile.read_counts(f"{self.folder}/counts")
        for row in dict.fromkeys(line["row"] for line in self.measured):
            if self.watches:
                for kind, frames in self.frames(row).items():
                    for part, figure in frames.figures().items():
                        self.have(f"{row}/{part}", kind, figures_of([figure]))
                continue
            cost = bench_profile.own_of_devmap if row in bench_rows.OWN else \
                bench_profile.all_of_kernel
            symbols = self.symbols(row)
            for kind, lines in self.of_row(row).items():
                self.have(row, kind, figures_of([
                    cost(counts[line["measurement"] - 1], symbols, kind) / line["n"]
                    for line in lines], least=True))

    def frames(self, row):
        """The memory accesses of a row: {kind: bench_lines.Frames}."""
        lines = {kind: found[0] for kind, found in self.of_row(row).items()}
        accesses = bench_lines.read_accesses(
            f"{self.folder}/accesses", {line["measurement"] for line in lines.values()})
        functions = bench_lines.Functions(self.symbols(row))
        found = {}
        for kind, line in lines.items():
            try:
                found[kind] = bench_lines.Frames(accesses[line["measurement"]], functions,
                                                 bench_rows.PROGRAM[row], line["n"])
            except ValueError as error:
                self.fail(row, str(error), kind)
        return found


def figures_of(values, least=False):
    """The statistics of a series; with least, only the smallest value, which no
    interrupt has increased."""
    low, high = min(values), max(values)
    if least or len(values) == 1:
        return {"rounds": len(values), "median": low, "min": low, "q1": low, "q3": low,
                "max": high}
    quarters = statistics.quantiles(values, n=4)
    return {"rounds": len(values), "median": statistics.median(values), "min": low,
            "q1": quarters[0], "q3": quarters[2], "max": high}


def show_profiles(machines, listing):
    """Print the functions that cause the costs of the rows, for one kernel."""
    for machine in machines:
        if machine.watches:
            for row in machine.names:
                show_lines(machine, row, listing)
    counting = [machine for machine in machines if not machine.watches]
    # Some rows measure no instructions, and have no profile.
    for row in dict.fromkeys(line["row"] for machine in counting for line in machine.measured):
        show_functions([m for m in counting if row in m.names], row, listing)
    for machine in machines:
        shutil.rmtree(machine.folder)


def show_lines(machine, row, listing):
    """Print the profile of a row of lines-*."""
    frames = machine.frames(row)
    symbols = machine.symbols(row)
    functions = bench_lines.Functions(symbols)
    print(f"\n{row}, {machine.kernel}: lines a frame, by the code that touches them first")
    bench_lines.print_functions(frames, functions, sys.stdout)
    counts = bench_profile.read_counts(f"{machine.folder}/counts")
    texts = {kind: {address: text for address, (_, text)
                    in counts[lines[0]["measurement"] - 1].items()}
             for kind, lines in machine.of_row(row).items()}
    bench_lines.print_listing(frames, symbols, texts, listing, sys.stdout)


def show_functions(machines, row, listing):
    """Print the profile of any other row; for cpus-*, of few and many CPUs."""
    columns = {}
    for machine in machines:
        counts = bench_profile.read_counts(f"{machine.folder}/counts")
        symbols = machine.symbols(row)
        lines = [line for line in machine.measured if line["row"] == row]
        costs = bench_profile.per_unit(lines, counts)
        bench_profile.print_listing(costs, symbols, listing, sys.stdout)
        for kind, cost in costs.items():
            name = f"{kind} {machine.cpus}" if machine.cpus > 1 else kind
            columns[name] = bench_profile.by_function(cost, symbols)
    unit = next((r.unit for n, r in bench_rows.ROWS.items() if n.split("/")[0] == row), "")
    print(f"\n{row}, {machines[0].kernel}: {unit}")
    bench_profile.print_functions(columns, sys.stdout)
