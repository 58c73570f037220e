# SPDX-License-Identifier: GPL-2.0-only
"""Cache lines and atomic operations, for scripts/lab/bench.

This reads the memory accesses that profile-plugin.c has recorded, and selects
those of devmap.

The selection is the same for stock and claimed maps: the functions in PART, and
the functions that they call, except drivers and programs. These are the
redirect operation of the map, which the program calls; the enqueue, with the
copies of a broadcast; and the flush, with the calls of egress programs. The
selection excludes the program, xdp_do_redirect(), the driver, and interrupts.
"""
import array
import collections
import fnmatch
import re

# The functions of the kernel's devmap that process a frame, by the names that
# they have if the compiler does not inline them, and all functions of the
# module.
PART = ("dev_map_redirect", "dev_hash_map_redirect", "__dev_map_lookup_elem",
        "__dev_map_hash_lookup_elem", "dev_map_enqueue*", "dev_map_bpf_prog_run",
        "__xdp_enqueue", "bq_enqueue", "bq_xmit_all", "__dev_flush", "is_valid_dst",
        "get_upper_ifindexes", "xdpf_clone", "*[[]redirmap]")
# The functions around them. Any other function (memcpy, pages for copies)
# belongs to its caller.
AROUND = ("*[[]bpf]", "*[[]veth]", "xdp_do_redirect*", "__xdp_do_redirect*",
          "xdp_do_flush", "xdp_test_run*", "bpf_test_run*", "bpf_prog_test_run_xdp",
          "asm_*", "do_softirq*", "__do_softirq", "handle_softirqs", "net_rx_action",
          "entry_*")

# The functions of devmap that do not process frames. Only the instructions that
# they execute themselves are counted.
SLOW = ("dev_map_*", "dev_hash_map_*", "__dev_map_*", "*[[]redirmap]")

STORE, ATOMIC, STACK = 1, 2, 4
LINE = 6
# The size of a task's or interrupt's stack, which is aligned to its size.
STACK_AREA = 14


def matches(name, globs):
    """Does a function match? The parts that the compiler splits off match as
    well."""
    name = re.sub(r"\.(isra|constprop|part|cold)\b[.0-9]*", "", name)
    return any(fnmatch.fnmatchcase(name, glob) for glob in globs)


def in_devmap(name):
    """True for devmap, False for the functions around it, None if the caller
    decides."""
    if matches(name, PART):
        return True
    return False if matches(name, AROUND) else None


def read_accesses(path, wanted):
    """The accesses of some measurements: {number: [insn, addr, size | flags <<
    32...]}."""
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
    """The name of the function at an address, and whether it belongs to
    devmap."""

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

    The period of a frame begins when the program is called with it, and ends
    when the period of the next frame begins. A flush therefore belongs to the
    frame before it.

    first: {instruction: [reads, writes]}: how often the instruction was the
    first one in the period of a frame to read, or write, a line
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
        """The first instruction of each frame: the first access of the
        program."""
        begin = min((accesses[i] for i in range(0, len(accesses), 3)
                     if functions[accesses[i]][0].split()[0].endswith("_" + program)),
                    default=None)
        seen = sum(accesses[i] == begin for i in range(0, len(accesses), 3))
        if seen != self.frames:
            raise ValueError(f"{program} has run {seen} times, for {self.frames} frames")
        return begin

    def look(self, accesses, functions):
        """Process all accesses."""
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
            # An atomic operation has two accesses; count the write.
            self.atomics += bool(flags & ATOMIC and store)
            for line in range(addr >> LINE, (addr + (info & 0xffffffff) - 1 >> LINE) + 1):
                poll.add(line)
                if line not in lines[store]:
                    lines[store].add(line)
                    self.first[insn][store] += 1
        self.poll_lines += len(poll)

    def figures(self):
        """The figures per frame: {part of the row: figure}."""
        reads, writes = (sum(f[i] for f in self.first.values()) for i in (0, 1))
        return {"read": reads / self.frames, "written": writes / self.frames,
                "poll": self.poll_lines / self.frames, "atomic": self.atomics / self.frames}


def print_functions(by_kind, functions, out):
    """Print the functions that are the first to touch a line. by_kind: {kind:
    Frames}."""
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
    """Print the instructions of functions that are the first to touch a
    line."""
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
