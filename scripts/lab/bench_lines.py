# SPDX-License-Identifier: GPL-2.0-only
"""What instruction counts do not show: cache lines and atomic operations.

For scripts/lab/bench: reads the accesses to memory that profile-plugin.c has noted,
and tells which of them are devmap's part.

Devmap's part is the same for stock and for claimed maps: what the functions below
do, and what these call, up to where they hand over to a driver or a program. That
is the maps' redirect operation, called by the program; enqueueing, with the copies
of a broadcast; and the flush, with egress programs' calls. It is not the program,
xdp_do_redirect(), the driver, nor an interrupt.
"""
import array
import collections
import fnmatch
import re

# Functions of the kernel's devmap that frames pass, as they are called where the
# compiler has not made them part of their callers, and all of the module's.
PART = ("dev_map_redirect", "dev_hash_map_redirect", "__dev_map_lookup_elem",
        "__dev_map_hash_lookup_elem", "dev_map_enqueue*", "dev_map_bpf_prog_run",
        "__xdp_enqueue", "bq_enqueue", "bq_xmit_all", "__dev_flush", "is_valid_dst",
        "get_upper_ifindexes", "xdpf_clone", "*[[]redirmap]")
# What is around them. Any other function (memcpy, pages for copies) belongs to
# whatever has called it.
AROUND = ("*[[]bpf]", "*[[]veth]", "xdp_do_redirect*", "__xdp_do_redirect*",
          "xdp_do_flush", "xdp_test_run*", "bpf_test_run*", "bpf_prog_test_run_xdp",
          "asm_*", "do_softirq*", "__do_softirq", "handle_softirqs", "net_rx_action",
          "entry_*")

# Functions of the kernel that work for devmap off a frame's way, for counts of what
# they execute themselves.
SLOW = ("dev_map_*", "dev_hash_map_*", "__dev_map_*", "*[[]redirmap]")

STORE, ATOMIC, STACK = 1, 2, 4
LINE = 6
# A task's stack, and an interrupt's, are as large, and aligned.
STACK_AREA = 14


def matches(name, globs):
    """Is a function among those? A part that the compiler has split off is, too."""
    name = re.sub(r"\.(isra|constprop|part|cold)\b[.0-9]*", "", name)
    return any(fnmatch.fnmatchcase(name, glob) for glob in globs)


def in_devmap(name):
    """True in devmap's part, False around it, None where the caller decides."""
    if matches(name, PART):
        return True
    return False if matches(name, AROUND) else None


def read_accesses(path, wanted):
    """The accesses of some measurements: {number: [insn, addr, size | flags << 32...]}."""
    found = {}
    with open(path, "rb") as file:
        number = 0
        while head := file.read(8):
            number += 1
            count = int.from_bytes(head, "little")
            if number in wanted:
                found[number] = array.array("Q", file.read(24 * count))
            else:
                file.seek(24 * count, 1)
    return found


class Functions:
    """What is known of an instruction by its address."""

    def __init__(self, symbols):
        self.symbols = symbols
        self.known = {}

    def __getitem__(self, address):
        if address not in self.known:
            name = self.symbols.find(address)[0]
            self.known[address] = name, in_devmap(name)
        return self.known[address]


class Frames:
    """A measurement, frame by frame.

    A frame's time begins when the program is called with it, and ends when the next
    one's begins: so a flush belongs to the frame before it.

    first: {instruction: [reads, writes]}: how often it was the first one in a frame's
    time to read, or write, a line
    """

    def __init__(self, accesses, functions, program, frames):
        self.first = collections.defaultdict(lambda: [0, 0])
        self.frames = frames
        self.atomics = 0
        self.poll_lines = 0
        self.begin = self.beginning(accesses, functions, program)
        self.stacks = {accesses[i + 1] >> STACK_AREA for i in range(0, len(accesses), 3)
                       if accesses[i + 2] >> 32 & STACK}
        self.look(accesses, functions)

    def beginning(self, accesses, functions, program):
        """The instruction that each frame begins with: the program's first access."""
        begin = min((accesses[i] for i in range(0, len(accesses), 3)
                     if functions[accesses[i]][0].split()[0].endswith("_" + program)),
                    default=None)
        seen = sum(accesses[i] == begin for i in range(0, len(accesses), 3))
        if seen != self.frames:
            raise ValueError(f"{program} has run {seen} times, for {self.frames} frames")
        return begin

    def look(self, accesses, functions):
        """Go through it all."""
        lines = (set(), set())
        poll = set()
        inside = flushed = False
        for i in range(0, len(accesses), 3):
            insn, addr, info = accesses[i:i + 3]
            name, part = functions[insn]
            if insn == self.begin:
                for kind in lines:
                    kind.clear()
                if flushed:
                    self.poll_lines += len(poll)
                    poll.clear()
                flushed = False
            flushed |= name == "xdp_do_flush"
            inside = inside if part is None else part
            if not inside or addr >> STACK_AREA in self.stacks:
                continue
            flags = info >> 32
            store = flags & STORE
            # An atomic operation reads as well.
            self.atomics += bool(flags & ATOMIC and store)
            for line in range(addr >> LINE, (addr + (info & 0xffffffff) - 1 >> LINE) + 1):
                poll.add(line)
                if line not in lines[store]:
                    lines[store].add(line)
                    self.first[insn][store] += 1
        self.poll_lines += len(poll)

    def figures(self):
        """Of a frame: {part of the row: figure}."""
        reads, writes = (sum(f[i] for f in self.first.values()) for i in (0, 1))
        return {"read": reads / self.frames, "written": writes / self.frames,
                "poll": self.poll_lines / self.frames, "atomic": self.atomics / self.frames}


def print_functions(by_kind, functions, out):
    """Which functions are the first ones to come to a line: {kind: Frames}."""
    sums = collections.defaultdict(lambda: collections.defaultdict(lambda: [0, 0]))
    for kind, frames in by_kind.items():
        for insn, (reads, writes) in frames.first.items():
            cell = sums[functions[insn][0]][kind]
            cell[0] += reads / frames.frames
            cell[1] += writes / frames.frames
    print("".join(f"{kind + ' ' + what:>17}" for what in ("reads", "writes")
                  for kind in by_kind) + "  function", file=out)
    for name, cells in sorted(sums.items()):
        print("".join(f"{cells[kind][i]:17.2f}" for i in (0, 1) for kind in by_kind),
              f" {name}", file=out)


def print_listing(by_kind, symbols, texts, wanted, out):
    """The instructions of functions that come first to a line."""
    for kind, frames in by_kind.items():
        for function in wanted:
            rows = []
            for insn, (reads, writes) in sorted(frames.first.items()):
                name, offset = symbols.find(insn)
                if name.split()[0] == function:
                    rows.append(f"{reads / frames.frames:8.2f}{writes / frames.frames:8.2f}"
                                f"  +{offset:<6x} {texts[kind].get(insn, '')}")
            if rows:
                print(f"\n{function}, {kind}: lines read, written", *rows, sep="\n", file=out)
