# SPDX-License-Identifier: GPL-2.0-only
"""The rows of the benchmark: their names, titles and goals.

selftests/bench/ has the measurement of a row, under the same name. The name of
a part of a row follows a slash. Goals apply to the run without ERMS, in which
the counts of copies and zeroing are realistic. In groups without such a run,
goals apply to the last run.
"""
import dataclasses
import typing

FRAME = "instructions a frame"
CALL = "instructions a call"
MESSAGE = "instructions a message"
ALL = "instructions"
BYTES = "bytes a slot"
LINES = "lines a frame"
EACH = "a frame"
POLL = "a poll"
MEMORY = "bytes"
ONE_MAP = "instructions a map"
# These units are shown in the table, even if time is measured.
FIGURES = (BYTES, LINES, EACH, POLL, MEMORY)

# The runs with icount, by their CPU models.
COUNTED_RUNS = ("max,-erms", "max")


@dataclasses.dataclass(frozen=True)
class Goal:
    """A limit for claimed maps, as a text and as a test.

    limit is called with the figures of the row, and with those of all rows of
    the run: {row: {kind: median}}. It returns the largest figure that reaches
    the goal, or None if there is no figure to compare with. With counted, the
    limit is a number of instructions, and does not apply to other units.
    """
    text: str
    limit: typing.Callable
    counted: bool = False

    def reached(self, figures, rows, kernel, instructions=True):
        """Was the goal reached? None if it does not apply."""
        if self.counted and not instructions:
            return None
        limit = self.limit(figures, rows, kernel)
        if limit is None or "claimed" not in figures:
            return None
        return figures["claimed"] <= limit


def ratio(times, digits=2):
    """At most TIMES the cost of the stock map, rounded to DIGITS."""
    def limit(figures, _rows, _kernel):
        stock = figures.get("stock")
        return None if stock is None else stock * (times + 0.5 / 10 ** digits)
    return Goal(f"{times:.{digits}f} x", limit)


def like(other, name, tolerance):
    """At most the claimed map's cost in another row, plus TOLERANCE."""
    def limit(_figures, rows, _kernel):
        reference = rows.get(other, {}).get("claimed")
        return None if reference is None else reference * (1 + tolerance)
    return Goal(f"{name} + {tolerance:.0%}", limit)


def more(amount):
    """At most the stock map's cost plus AMOUNT."""
    def limit(figures, _rows, _kernel):
        stock = figures.get("stock")
        return None if stock is None else stock + amount
    return Goal(f"stock + {amount}", limit)


def flat(name):
    """At most the cost on few CPUs, plus 2 percent."""
    return like(f"few/{name}", "2 CPUs", 0.02)


def as_large(name):
    """At most the bytes on few CPUs, with a margin for other allocations."""
    def limit(_figures, rows, _kernel):
        reference = rows.get(f"few/{name}", {}).get("claimed")
        return None if reference is None else reference * 1.05 + 64
    return Goal("2 CPUs + 5% + 64", limit)


def most(amount, counted=False):
    """At most AMOUNT, independent of the stock map's cost."""
    return Goal(f"{amount:,}", lambda *_: amount, counted)


def of_kernel(values, kernel):
    """The value for a kernel, by the version in its name. A version without a
    value is that of a newer kernel, and has the last one."""
    return values.get(kernel.split("+")[0].split("-")[0], list(values.values())[-1])


def ratio_by_kernel(times):
    """At most a multiple of the cost in the first column, by the kernel."""
    def limit(figures, _rows, kernel):
        other = figures.get("stock")
        return other * (of_kernel(times, kernel) + 0.005) if other else None
    return Goal(" / ".join(f"{t:.2f}" for t in times.values()) + " x", limit)


def by_kernel(amounts):
    """At most an amount that depends on the kernel."""
    return Goal(" / ".join(f"{a:,}" for a in amounts.values()),
                lambda _figures, _rows, kernel: of_kernel(amounts, kernel), True)


@dataclasses.dataclass(frozen=True)
class Row:
    """A line of the table."""
    name: str
    title: str
    unit: str
    goal: Goal | None = None


EQUAL = ratio(1.00)
# Claimed maps always count the frames that they send.
COUNTED = ratio(1.015, digits=3)
FLUSH = ratio(1.035, digits=3)
BROADCAST = by_kernel({"6.1": 1850, "6.12": 2000})
PACKETS = ratio_by_kernel({"6.1": 0.85, "6.12": 0.70})
REMOVAL = most(20000, counted=True)
SWEEP = most(3, counted=True)
BATCH = ratio(0.20)
FREE = ratio(0.10)
LISTING = ratio(2.00)


def broadcasts(kind):
    """Broadcast to four members, for maps of several sizes."""
    for size in (4, 256, 4096, 65536):
        yield Row(f"bcast-{kind}-4of{size}",
                  f"{kind}, 64 bytes, 4 members, {size} slots", FRAME, BROADCAST)


# The programs that process the frames of these rows.
PROGRAM = {
    "lines-array": "redirect_one",
    "lines-hash": "redirect_turn",
    "lines-egress": "redirect_one",
    "lines-64-targets": "redirect_turn",
    "lines-bcast": "broadcast",
    "lines-bcast-egress": "broadcast",
}
# Rows for which only devmap's own functions are counted, on all CPUs.
OWN = ("cpus-remove",)


def lines(name, title, unicast=True):
    """The rows for cache lines, atomics and calls of the driver."""
    goal = more(1) if unicast else EQUAL
    yield Row(f"{name}/read", f"{title}: lines read", LINES, goal)
    yield Row(f"{name}/written", f"{title}: lines written", LINES, goal)
    yield Row(f"{name}/poll", f"{title}: lines in a poll of 64, a frame", LINES, goal)
    yield Row(f"{name}/atomic", f"{title}: atomic operations", EACH, EQUAL)
    yield Row(f"{name}/calls", f"{title}: driver calls a poll", POLL, EQUAL)
    yield Row(f"{name}/flushes", f"{title}: of them with XDP_XMIT_FLUSH", POLL, EQUAL)


def messages(name, title, goal=None):
    """The rows for messages of two sizes; the goal is for small ones."""
    yield Row(f"{name}/64", f"{title}, 64 bytes", MESSAGE, goal)
    yield Row(f"{name}/65536", f"{title}, 64 KiB", MESSAGE)


GROUPS = {
    "Unicast": (
        Row("drop", "XDP_DROP, no redirect", FRAME),
        Row("unicast-ifindex", "bpf_redirect(ifindex), no map", FRAME),
        Row("unicast-array-1", "array, 1 target", FRAME, COUNTED),
        Row("unicast-array-4", "array, 4 targets", FRAME, COUNTED),
        Row("unicast-hash-1", "hash, 1 target", FRAME, COUNTED),
        Row("unicast-hash-dense", "hash, 1024 keys: 0, 1, 2...", FRAME, COUNTED),
        Row("unicast-hash-random", "hash, 1024 random keys", FRAME, COUNTED),
        Row("unicast-hash-stride", "hash, 1024 keys: 0, 64, 128...", FRAME,
            like("unicast-hash-dense", "0, 1, 2...", 0.02)),
        Row("unicast-hash-bucket", "hash, 1024 keys: 0, 1024, 2048...", FRAME,
            like("unicast-hash-dense", "0, 1, 2...", 0.02)),
        Row("unicast-egress", "array, an egress program", FRAME, COUNTED),
        Row("unicast-egress-drop", "array, an egress program that drops", FRAME,
            ratio(1.02)),
        Row("unicast-array-miss", "array, no target: XDP_DROP", FRAME, EQUAL),
        Row("unicast-hash-miss", "hash, no target: XDP_DROP", FRAME, EQUAL),
        Row("xdp-lookup-array", "XDP_DROP after a lookup in an array", FRAME, EQUAL),
        Row("xdp-lookup-hash", "XDP_DROP after a lookup in a hash", FRAME, EQUAL),
        Row("flush-64-targets", "array, 64 targets in turn: flushes of 1 frame",
            FRAME, FLUSH),
        Row("flush-poll-1", "array, NAPI polls of 1 frame", FRAME, FLUSH),
    ),
    "Generic XDP": (
        Row("generic-drop", "XDP_DROP, no redirect", FRAME),
        Row("generic-unicast", "array, 1 target, a veth", FRAME, FLUSH),
        Row("generic-unicast-dummy", "array, 1 target, a dummy device", FRAME, FLUSH),
        Row("generic-bcast-4of8", "array, 4 members, 8 slots", FRAME, EQUAL),
        Row("generic-bcast-4of65536", "array, 4 members, 65536 slots", FRAME,
            like("generic-bcast-4of8", "8 slots", 0.01)),
    ),
    # Not stock maps, which deliver nothing to these devices.
    "As packets (stock: XDP_PASS, tc mirred)": (
        Row("packets-dummy", "array, 1 target, a dummy device", FRAME, PACKETS),
        Row("packets-veth", "array, 1 target, a veth without a program behind it", FRAME),
        Row("packets-qdisc", "array, 1 target, a dummy device with fq_codel", FRAME),
        Row("packets-bridge", "array, 1 target, a bridge with a port", FRAME),
        Row("packets-bc4", "broadcast, 4 members, dummy devices", FRAME),
    ),
    "Broadcast": (
        *broadcasts("array"),
        *broadcasts("hash"),
        Row("bcast-1500-4of4", "array, 1500 bytes, 4 members, 4 slots", FRAME,
            ratio(0.50)),
        Row("bcast-poll-1", "array, 64 bytes, 4 members: NAPI polls of 1 frame", FRAME),
        Row("bcast-egress", "array, 64 bytes, 4 members: egress programs", FRAME),
        Row("bcast-exclude", "array, 64 bytes, 4 members: not to the ingress", FRAME),
        Row("bcast-held-8of8", "array, 64 bytes, 8 members: one keeps its frames", FRAME,
            ratio(0.25)),
        *(Row(f"bcast-array-{n}of64", f"array, 64 bytes, 64 slots, members: {n}", FRAME,
              ratio(0.29) if n == 64 else None)
          for n in (1, 2, 4, 8, 16, 32, 64)),
    ),
    "From user space": (
        Row("update-array", "update of an array's slot", CALL, ratio(0.85)),
        Row("update-first", "update: the first entry of a device", CALL),
        Row("update-hash", "update of a hash's key", CALL, ratio(0.85)),
        Row("insert-delete", "hash: insert and delete, among 2048", CALL,
            ratio(0.90)),
        Row("insert-delete-only", "hash: insert and delete the only entry", CALL,
            ratio(0.90)),
        Row("lookup-array", "lookup in an array", CALL, EQUAL),
        Row("lookup-hash", "lookup in a hash", CALL, EQUAL),
        Row("walk-array", "get_next_key in an array", CALL, EQUAL),
        Row("walk-hash", "get_next_key in a hash", CALL, EQUAL),
        Row("walk-hash-sparse", "get_next_key in a hash of 16 entries, room for 4096", CALL,
            EQUAL),
        Row("batch-array", "array: 4096 updates, an update (stock: single calls)",
            "instructions an update", BATCH),
        Row("batch-hash", "hash: 4096 updates, an update (stock: single calls)",
            "instructions an update", BATCH),
        Row("create-array-4", "create an array of 4 slots", CALL, EQUAL),
        Row("create-hash-4", "create a hash of 4 slots", CALL, EQUAL),
        Row("create-array-65536", "create an array of 65536 slots", CALL, EQUAL),
        Row("create-hash-65536", "create a hash of 65536 slots", CALL, EQUAL),
    ),
    "Big maps, and devices that leave": (
        Row("register/add", "a device comes (stock: without the module)", ALL),
        Row("register/delete", "a device leaves that is in no map", ALL),
        Row("beside/0", "added to a device's deletion by a map that holds it",
            ALL, REMOVAL),
        Row("beside/16", "the same, beside 16 empty maps of 65536 slots", ALL, REMOVAL),
        Row("beside/32", "the same, beside 32", ALL, REMOVAL),
        Row("beside/64", "the same, beside 64", ALL, REMOVAL),
        Row("beside-full", "the same, beside 64 full maps", ALL, REMOVAL),
        Row("full-array/removal", "the same, by a full array of 65536 slots", ALL, REMOVAL),
        Row("full-hash/removal", "the same, by a full hash of 65536 slots", ALL, REMOVAL),
        Row("full-array/sweep", "deferred sweep of that array, a slot", ALL, SWEEP),
        Row("full-hash/sweep", "deferred sweep of that hash, a slot", ALL, SWEEP),
        Row("full-array/memory", "full array of 65536 slots, 4 devices", BYTES,
            most(9)),
        Row("full-hash/memory", "full hash of 65536 slots, 4 devices", BYTES,
            most(32)),
        Row("full-array/empty", "empty array of 65536 slots", BYTES),
        Row("full-hash/empty", "empty hash of 65536 slots", BYTES),
        Row("full-array/free", "free the full array", ALL, FREE),
        Row("full-hash/free", "free the full hash", ALL, FREE),
    ),
    "The command redirmap": (
        Row("command-start", "redirmap, no maps (stock: python3 -c pass)", ALL,
            ratio(1.50)),
        Row("command-start-json", "redirmap --json, no maps (the same)", ALL),
        Row("command-list", "redirmap, 10,000 maps, a map (stock: bpftool map show)",
            ONE_MAP, LISTING),
        Row("command-list-json", "redirmap --json, the same (stock: bpftool --json)",
            ONE_MAP, LISTING),
    ),
    "Sockets": (
        *messages("sock-plain", "a connection, no map"),
        *messages("sock-msg-ingress", "sk_msg to the ingress of a socket",
                  ratio(1.006, digits=3)),
        *messages("sock-msg-egress", "sk_msg to the egress of a socket"),
        *messages("sock-skb-ingress", "sk_skb to the ingress of a socket"),
        *messages("sock-skb-egress", "sk_skb to the egress of a socket: a proxy"),
        *messages("sock-two-hops", "a proxy in user space, no map"),
        Row("sock-change-array", "array: insert and delete a socket of another map", CALL,
            ratio(1.06)),
        Row("sock-change-hash", "hash: insert and delete a socket of another map", CALL,
            ratio(1.06)),
        Row("sock-batch-array", "array: the same, batches of 32 (stock: single calls)",
            CALL, ratio(0.35)),
        Row("sock-batch-hash", "hash: the same, batches of 32 (stock: single calls)",
            CALL, ratio(0.35)),
        Row("sock-load", "load a program of 100,000 instructions", CALL, ratio(1.05)),
    ),
    "Cache lines, atomics and driver calls": (
        *lines("lines-array", "array, 1 target"),
        *lines("lines-hash", "hash, 1024 keys, 4 targets"),
        *lines("lines-egress", "array, an egress program"),
        *lines("lines-64-targets", "array, 64 targets in turn"),
        *lines("lines-bcast", "broadcast, 4 members", unicast=False),
        *lines("lines-bcast-egress", "broadcast, 4 members, egress programs",
               unicast=False),
    ),
    "Many CPUs": (
        Row("cpus-create-array", "create an array of 4 slots", CALL,
            flat("cpus-create-array")),
        Row("cpus-create-hash", "create a hash of 4 slots", CALL, flat("cpus-create-hash")),
        Row("cpus-first", "update: the first entry of a device", CALL),
        Row("cpus-first-of-map", "update: a map's first entry", CALL),
        Row("cpus-update-array", "update of an array's slot", CALL,
            flat("cpus-update-array")),
        Row("cpus-update-hash", "update of a hash's key", CALL, flat("cpus-update-hash")),
        Row("cpus-remove", "a device leaves: devmap's own functions", ALL),
        *(Row(f"cpus-memory/{name}-{what}", f"{title}: {words}", MEMORY,
              as_large(f"cpus-memory/{name}-{what}"))
          for name, title in (("map", "an empty map"), ("entry", "a map's first entry"),
                              ("device", "a device (stock: without the module)"),
                              ("target", "the first entry of a device"))
          for what, words in (("percpu", "bytes for each CPU"), ("slab", "bytes of slab"))),
    ),
}

ROWS = {row.name: row for rows in GROUPS.values() for row in rows}


def runs_of(group, runs):
    """The runs that measure a group."""
    if group == "Cache lines, atomics and driver calls":
        return [run for run in runs if run == "lines"]
    if group == "Many CPUs":
        return [run for run in runs if run.endswith(" CPUs")]
    return [run for run in runs if run in COUNTED_RUNS or run == "real"]


def names_in(run):
    """The rows that a run measures."""
    return [row.name for group, rows in GROUPS.items() if runs_of(group, [run])
            for row in rows]
