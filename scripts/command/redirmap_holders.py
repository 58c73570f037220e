# SPDX-License-Identifier: GPL-2.0-only
"""redirmap holders: the holders of claimed maps and of the module, and the
commands that release them.

Each kind of object is read once, without a process or a search per map, so the
time is linear in the number of objects. Objects may be added and removed
meanwhile; each reported object existed at some moment.
"""
import redirmap_bpf as bpf
from redirmap_proc import Machine
from redirmap_rtnl import Networks
from redirmap_table import Text, plain, print_json, table
from redirmap_which import chosen_maps

OUTER = (bpf.ARRAY_OF_MAPS, bpf.HASH_OF_MAPS)


class World:
    """All objects that can hold another one, indexed by the held object."""

    def __init__(self, claimed):
        self.claimed = claimed
        self.machine = Machine()
        self.notes = self.machine.notes
        self.objects = {kind: bpf.everything(kind) for kind in ("map", "program", "link")}
        self.holders = {}
        for found in (self.machine.pins, self.machine.files):
            for key, holders in found.items():
                self.holders.setdefault(key, []).extend(holders)
        self._index()

    def _hold(self, held, *holder):
        self.holders.setdefault(held, []).append(holder[0] if len(holder) == 1 else holder)

    def _index(self):
        maps, programs, links = (self.objects[kind] for kind in ("map", "program", "link"))
        for one in programs.values():
            for number in one["map_ids"]:
                self._hold(("map", number), "program", one["id"])
        self.inner = {
            one["id"]: bpf.values(one) for one in maps.values() if one["type"] in OUTER
        }
        for outer, inner in self.inner.items():
            for number in inner:
                self._hold(("map", number), "map", outer)
        for one in maps.values():
            if one["type"] == bpf.PROG_ARRAY:
                for number in bpf.values(one):
                    self._hold(("program", number), "map", one["id"])
            # Programs that are attached to a socket map
            if one["type"] in (bpf.SOCKMAP, bpf.SOCKHASH):
                for number in bpf.attached(one["id"]):
                    self._hold(("program", number), "map", one["id"])
        for one in links.values():
            self._hold(("program", one["prog_id"]), "link", one["id"])
            # A link of a socket map or of its iterator holds the map.
            if one["map_id"]:
                self._hold(("map", one["map_id"]), "link", one["id"])
            # A program that replaces a function of another program holds it as
            # well.
            replaces = programs.get(one["prog_id"], {}).get("type") == bpf.EXT
            if replaces and one["target_id"]:
                self._hold(("program", one["target_id"]), "link", one["id"])
        networks = Networks(self.machine)
        try:
            by_link = {(one["prog_id"], one["ifindex"]): one for one in links.values()
                       if one["type"] == bpf.LINK_XDP}
            for number, device in networks.xdp():
                link = by_link.get((number, device["ifindex"]))
                if link:
                    # The link releases the device, and is reported with the
                    # program.
                    link["device"] = device
                else:
                    self._hold(("program", number), device)
            self._look_further(networks)
        finally:
            networks.close()

    def _unheld(self, *types):
        """Programs that use a reported object, and for which no holder was
        found."""
        return {one["id"] for one in self.objects["program"].values()
                if one["type"] in types and one["map_ids"]
                and ("program", one["id"]) not in self.holders}

    def _look_further(self, networks):
        """Search in slow places too, if programs are still without a holder."""
        if self._unheld(bpf.SCHED_CLS, bpf.SCHED_ACT):
            for number, device in networks.tc():
                self._hold(("program", number), device)
        if not self._unheld(bpf.XDP):
            return
        # Values of device and CPU maps: the program follows the device or the
        # size.
        for one in self.objects["map"].values():
            if one["type"] in (bpf.DEVMAP, bpf.DEVMAP_HASH, bpf.CPUMAP) and one["value_size"] > 4:
                for number in bpf.values(one, 4):
                    self._hold(("program", number), "map", one["id"])

    def tell(self, kind, number, above=()):
        """An object with its holders. holders is None if it is reported further
        above."""
        one = self.objects[kind].get(number, {"name": "", "type": None})
        told = {"kind": kind, "id": number, "name": one["name"], "type": type_name(kind, one)}
        if kind == "link":
            told["device"] = one.get("device")
        if (kind, number) in above:
            return {**told, "holders": None}
        above = (*above, (kind, number))
        told["holders"] = [
            holder if isinstance(holder, dict) else self.tell(*holder, above)
            for holder in self.holders.get((kind, number), ())
        ]
        return told

    def outer_maps(self, references):
        """Outer maps that were created with a claimed inner map, and so hold
        the module. The kernel does not report them. An outer map that contains
        a claimed map is one of them. An empty outer map may be one of them, as
        long as the module has references that the other holders do not
        explain."""
        sure = [outer for outer, inner in self.inner.items() if inner & self.claimed]
        empty = [outer for outer, inner in self.inner.items() if not inner]
        left = max(references - len(self.claimed) - len(sure), 0)
        told = [{**self.tell("map", outer), "certain": True} for outer in sure]
        if left:
            told += [{**self.tell("map", outer), "certain": len(empty) <= left}
                     for outer in empty]
        return told, max(left - len(empty), 0)


def type_name(kind, one):
    names = {"map": bpf.MAP_TYPES, "program": bpf.PROG_TYPES, "link": bpf.LINK_TYPES}[kind]
    return names.get(one["type"], str(one["type"]))


# --- as text ----------------------------------------------------------------


def title(one):
    name = f" ({one['name']})" if one["name"] else ""
    if one["kind"] == "map":
        which = "outer map" if "of_maps" in one["type"] else "map"
        return f"{which} {one['id']}{name}, {one['type']}"
    return f"{one['kind']} {one['id']}{name}, {one['type']}"


def describe(one):
    if one["kind"] == "pin":
        return f"pin {one['path']}"
    if one["kind"] == "process":
        fds = ", ".join(map(str, one["fds"]))
        return f"process {one['pid']} ({one['comm']}), descriptor {fds}"
    if one["kind"] == "device":
        return f"device {one['ifname']}, {one['mode']}"
    if one["kind"] == "link" and one["device"]:
        return f"{title(one)} of {describe(one['device'])}"
    return title(one)


def rows_of(one, depth=0):
    """Yield a row for each holder, indented below the object that it holds."""
    for holder in one["holders"]:
        text = "  " * depth + describe(holder)
        if holder.get("holders", ()) is None:
            text += " (see above)"
        yield [text, holder.get("command", "")]
        if holder.get("holders") == []:
            yield ["  " * (depth + 1) + "no visible holder", ""]
        elif holder.get("holders"):
            yield from rows_of(holder, depth + 1)


def show(one, out, more=""):
    head = title(one)
    print(f"{head[0].upper()}{head[1:]}{more}", file=out)
    rows = list(rows_of(one)) or [["no visible holder", ""]]
    table([Text("  HOLDER"), Text("RELEASED BY")], [["  " + row[0], row[1]] for row in rows], out)
    print(file=out)


def show_all(told, out):
    for one in told["maps"]:
        show(one, out)
    for one in told.get("outer_maps", ()):
        kind = "was created" if one["certain"] else "may have been created"
        show(one, out, f"; {kind} with a claimed inner map, which holds the module")
    if not told["maps"] and not told.get("outer_maps"):
        print("No claimed maps.", file=out)
    if told.get("other_references"):
        print(f"{told['other_references']} more references to the module: maps that are being "
              "freed, or netlink dumps that are not finished.", file=out)
    for note in told["notes"]:
        print(plain(note), file=out)


# --- the command ------------------------------------------------------------


def references():
    with open("/sys/module/redirmap/refcnt", encoding="ascii") as file:
        return int(file.read())


def run(args, family, out):
    args.all_netns = True
    every = family.maps(None, True)
    maps = chosen_maps(args, family) if args.selected() else every
    world = World({one["id"] for one in every})
    told = {"maps": [{**world.tell("map", one["id"]), "netns": one["netns"]} for one in maps]}
    if not args.selected():
        told["outer_maps"], told["other_references"] = world.outer_maps(references())
    told["notes"] = world.notes
    if args.json:
        print_json(told, out)
    else:
        show_all(told, out)
