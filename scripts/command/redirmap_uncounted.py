# SPDX-License-Identifier: GPL-2.0-only
"""The part of redirmap drops about programs whose redirects claimed socket maps
do not count, and the reason.

The module counts in helpers of its own, which it gives to a program when the
program is loaded. The instructions of a program, which the kernel reports, show
the maps that the program loads and the helpers that it calls. (The list of a
program's maps may have others: see BPF_PROG_BIND_MAP.) A helper is the kernel's
if it has the address that /proc/kallsyms has for the kernel's helper.

* A program that uses a claimed map, but calls the kernel's helper for the type
  of the map, is not counted: the module has missed its load.
* A program that is attached to a claimed map, but uses other maps, is counted
  for none. A program that was loaded before the module is always of this kind,
  because claimed maps did not exist then. Programs that it calls by tail calls,
  or that replace its functions, are taken into account: if one of them uses a
  claimed map, the program is not reported.
"""
from struct import Struct

import redirmap_bpf as bpf
from redirmap_table import map_name

TYPES = (bpf.SOCK_OPS, bpf.SK_SKB, bpf.SK_MSG, bpf.EXT)
OUTER = (bpf.ARRAY_OF_MAPS, bpf.HASH_OF_MAPS)

# The kernel's helpers, by the type of their map
HELPERS = {
    bpf.SOCKMAP: ("bpf_msg_redirect_map", "bpf_sk_redirect_map", "bpf_sock_map_update"),
    bpf.SOCKHASH: ("bpf_msg_redirect_hash", "bpf_sk_redirect_hash", "bpf_sock_hash_update"),
}
# Calls have the distance of the helper from this function.
BASE = "__bpf_call_base"

# struct bpf_insn: code, registers, offset, immediate value
INSTRUCTION = Struct("=BBhi")
CALL, LOAD, PSEUDO_MAP_FD = 0x85, 0x18, 1

MISSED = (
    "The program calls the kernel's helper, because the module missed that it was loaded: kprobes "
    "were switched off, or too many programs were loaded at once. Load it again."
)
HIDDEN = (
    "The kernel hides the addresses of helpers. It shows them with CAP_SYSLOG, and with "
    "kernel.kptr_restrict below 2."
)
BEFORE = "It was loaded before the module: load it again, with claimed maps."
AFTER = "Let it use a claimed map; the module's parameter claim selects them by name."


def kernel_helpers():
    """The distances of the kernel's helpers, by the type of their map; they
    are empty if the kernel hides its addresses."""
    wanted = {f" {name}\n": name for names in HELPERS.values() for name in names}
    wanted[f" {BASE}\n"] = BASE
    ends, found = tuple(wanted), {}
    # The kernel's symbols come before those of modules.
    with open("/proc/kallsyms", encoding="ascii") as file:
        for line in file:
            if line.endswith(ends):
                address, _, name = line.split()
                found[name] = int(address, 16)
                if len(found) == len(wanted):
                    break
    base = found.get(BASE)
    return {kind: {found[name] - base for name in names if name in found} if base else set()
            for kind, names in HELPERS.items()}


class Programs:
    """The programs of the system that may redirect to sockets, and what they
    use. Maps and instructions are read when they are needed first."""

    def __init__(self, claimed):
        self.claimed = claimed
        self.every = bpf.everything("program")
        self.programs = {number: one for number, one in self.every.items()
                         if one["type"] in TYPES}
        self._maps, self._inner, self._code, self._links = {}, {}, {}, None
        self._helpers = None

    def map(self, number):
        """The kernel's description of a map; None if the map was removed."""
        if number not in self._maps:
            with bpf.Opened("map", number) as fd:
                self._maps[number] = None if fd is None else bpf.info("map", fd)
        return self._maps[number]

    def _type(self, number):
        one = self.map(number)
        return one and one["type"]

    def _inside(self, number):
        """The maps in an outer map, or the programs in a map of programs."""
        if number not in self._inner:
            self._inner[number] = bpf.values(self.map(number))
        return self._inner[number]

    def _read(self, one):
        """The maps that a program loads, and the distances of the helpers that
        it calls."""
        if one["id"] not in self._code:
            maps, calls = set(), set()
            for code, registers, _, number in INSTRUCTION.iter_unpack(bpf.instructions(one)):
                source = registers >> 4
                if code == CALL and not source:
                    calls.add(number)
                elif code == LOAD and source == PSEUDO_MAP_FD:
                    maps.add(number)
            # With net.core.bpf_jit_harden=2 the kernel has hidden all loads.
            self._code[one["id"]] = maps or set(one["map_ids"]), calls
        return self._code[one["id"]]

    def socket_maps(self, one):
        """The socket maps that a program loads, or finds in outer maps."""
        kinds = {number: self._type(number) for number in one["map_ids"]}
        if not any(kind in HELPERS or kind in OUTER for kind in kinds.values()):
            return set()
        found = set()
        for number in self._read(one)[0]:
            if kinds.get(number) in HELPERS:
                found.add(number)
            elif kinds.get(number) in OUTER:
                found |= {inner for inner in self._inside(number)
                          if self._type(inner) in HELPERS}
        return found

    def calls_kernel(self, one, kind):
        """Does a program call the kernel's helpers for maps of a type? None if
        it is not known."""
        calls = self._read(one)[1]
        if self._helpers is None and calls:
            self._helpers = kernel_helpers()
        # The kernel replaces distances that it hides by 0.
        if calls and (0 in calls or not self._helpers[kind]):
            return None
        return bool(calls and calls & self._helpers[kind])

    def reached(self, number, found=None):
        """A program, those that it may call by tail calls, and those that
        replace its functions."""
        found = set() if found is None else found
        if number in found or number not in self.every:
            return found
        found.add(number)
        if self._links is None:
            self._links = bpf.everything("link").values()
        for one in self.every[number]["map_ids"]:
            if self._type(one) == bpf.PROG_ARRAY:
                for other in self._inside(one):
                    self.reached(other, found)
        for link in self._links:
            if link["target_id"] == number:
                self.reached(link["prog_id"], found)
        return found

    def other_maps(self, number):
        """The socket maps that an attached program, and those that it leads to,
        redirect to, if none of them uses a claimed map."""
        found = set()
        for program in map(self.every.get, self.reached(number)):
            maps = self.socket_maps(program)
            if maps & self.claimed:
                return set()
            found |= {one for one in maps
                      if self.calls_kernel(program, self._type(one)) is not False}
        return found


def record(one, program, why, loaded, maps=()):
    before = loaded is not None and program["load_time"] < loaded
    text = HIDDEN if why == "hidden" else MISSED
    if why == "other_maps":
        names = " and ".join(map_name(other).replace("Map", "map", 1) for other in maps)
        verb = "is" if len(maps) == 1 else "are"
        text = (f"The program is attached to the map, but uses {names}, which {verb} not claimed. "
                + (BEFORE if before else AFTER))
    return {
        "map": one["id"], "netns": one["netns"], "name": map_name(one),
        "program": program["id"], "program_name": program["name"],
        "type": bpf.PROG_TYPES[program["type"]], "why": why,
        "maps": [other["id"] for other in maps], "before": before, "text": text,
    }


def sentence(one, where):
    """A sentence about a program: map, program, reason, cure."""
    name, program = one["name"] + where(one), f"program {one['program']}"
    if one["program_name"]:
        program += f" ({one['program_name']})"
    what = {"sock_ops": "updates", "ext": "redirects and updates"}.get(one["type"], "redirects")
    of = f"the {what} of {program}, {one['type']}."
    if one["why"] == "hidden":
        return (f"It is not known whether {name.replace('Map', 'map', 1)} counts {of} "
                f"{one['text']}")
    return f"{name} does not count {of} {one['text']}"


def find(maps, family):
    """Records of the programs that these maps do not count."""
    loaded = family.state()["loaded"]
    programs = Programs({one["id"] for one in family.maps(None, True) if one["sock"]})
    users = {}
    for program in programs.programs.values():
        for number in programs.socket_maps(program) & programs.claimed:
            users.setdefault(number, {})[program["id"]] = program
    found = []
    for one in maps:
        if not one["sock"]:
            continue
        using = users.get(one["id"], {})
        for program in using.values():
            calls = programs.calls_kernel(program, programs.map(one["id"])["type"])
            if calls or calls is None:
                found.append(record(one, program, "kernel_helper" if calls else "hidden", loaded))
        for number in sorted(bpf.attached(one["id"]) & set(programs.programs) - set(using)):
            others = programs.other_maps(number)
            if others:
                found.append(record(one, programs.programs[number], "other_maps", loaded,
                                    [programs.map(other) for other in sorted(others)]))
    return found
