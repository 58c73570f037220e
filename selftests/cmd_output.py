#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The command redirmap: maps, targets and drops of real frames, as text and as
JSON. For rates, the state and other namespaces see cmd_watch.py, for errors
cmd_usage.py, for the manual page and the completion cmd_manual.py."""
import errno
import json
import os
import re

import testlib
from commandlib import (columns, command, forward, make_switch, said, target, told,
                        while_it_waits)
from testlib import (DEVMAP_HASH, OUTPUT, becomes, delete, equal, frame_to, ifindex, make_map,
                     map_id, netns, open_pinned, redirmap, run, send, sh, test, update)

import redirmap_drops

PIN = "/sys/fs/bpf/redirmap-command"
switch = make_switch(PIN)
NOTHING = {"drops": [], "missed": [], "as_packets": [], "refused": [], "failed": [],
           "uncounted": []}


# --- list -------------------------------------------------------------------


@test("without losses")
def _():
    equal(said("drops"), "No frame was lost.\n")
    equal(told("drops"), NOTHING)


@test("a table of maps and targets")
def _():
    forward(1, times=20)
    fd = make_map("rm_table", entries=5)
    text = said()
    equal(text, said("list"))
    rows = {row["NAME"]: row for row in columns(text, "MAP")}
    row = rows["rm_table"]
    assert re.fullmatch(r"\d+ (B|KiB)", row.pop("MEMORY")), row
    equal(row, {"MAP": str(map_id(fd)), "NAME": "rm_table", "TYPE": "devmap", "USED": "0",
                "CAPACITY": "5", "MEMBERS": "0", "USERS": "1", "MISSED": "0", "LOST": "0"})
    row = rows["rm_hash"]
    equal((row["TYPE"], row["USED"], row["MEMBERS"]), ("devmap_hash", "3", "3"))

    rows = {row["DEVICE"]: row for row in columns(text, "TARGET")}
    equal(sorted(rows), ["out1", "out2", "out3"])
    row = rows["out1"]
    number = row.pop("TARGET")
    equal(row, {"DEVICE": "out1", "IFINDEX": str(ifindex("out1")), "PROGRAM": "-", "MAPS": "1",
                "PACKETS": "20", "BYTES": "2000", "AS-PACKETS": "0", "LOST": "0"})

    # Columns are aligned with their titles: numbers at the end, words at the
    # beginning.
    lines = text.splitlines()
    for column in ("USED", "CAPACITY", "MEMBERS", "USERS", "MISSED", "LOST"):
        end = lines[0].index(column) + len(column)
        for line in lines[1:lines.index("")]:
            assert line[:end].rstrip()[-1].isdigit() and line[end:end + 1] in ("", " "), line

    # Single maps and targets.
    text = said("list", "--target", number)
    equal([row["DEVICE"] for row in columns(text, "TARGET")], ["out1"])
    assert "CAPACITY" not in text, text
    text = said("list", "--map", str(map_id(fd)))
    equal([row["NAME"] for row in columns(text, "MAP")], ["rm_table"])
    assert "IFINDEX" not in text, text
    os.close(fd)


@test("the same as JSON")
def _():
    fd = make_map("rm_json", DEVMAP_HASH, 6, 8)
    number = map_id(fd)
    everything = told()
    equal(sorted(everything), ["gone", "lost", "maps", "sock_gone", "targets"])
    one = next(one for one in everything["maps"] if one["id"] == number)
    equal(told("list", "--map", str(number)), {"maps": [one]})
    assert one.pop("memory") > 0
    nothing = {"packets": 0, "bytes": 0, "as_packets": 0, "drops": {}, "missed": {},
               "error": None, "unsegmented": 0}
    equal(one, {"id": number, "name": "rm_json", "type": "devmap_hash", "value_size": 8,
                "capacity": 6, "used": 0, "members": 0, "elsewhere": 0, "netns": netns(),
                "packets": "never", "users": 1,
                "stats": nothing, "sock": None, "programs": None})
    one = target("out1")
    equal(told("list", "--target", str(one["id"])), {"targets": [one]})
    equal({key: one[key] for key in ("ifindex", "prog_id", "refs", "netns", "entry", "packets")},
          {"ifindex": ifindex("out1"), "prog_id": None, "refs": 1, "netns": netns(),
           "entry": False, "packets": "never"})
    equal(one["stats"], {**nothing, "packets": 20, "bytes": 2000})
    os.close(fd)


@test("an egress program, and an entry with counters of its own")
def _():
    maps = len(told()["maps"])
    sh(f"bpftool prog loadall {OUTPUT}/tools.bpf.o {PIN}/tools")
    prog = open_pinned(f"{PIN}/tools/short_only")
    sh(f"rm -r {PIN}/tools")
    fd = make_map("rm_egress", value_size=8)
    update(fd, 0, ifindex("out2"), prog)
    number = int(testlib.fdinfo(prog, "prog_id"))
    equal([one["ifname"] for one in told()["targets"] if one["prog_id"] == number], ["out2"])
    assert str(number) in [row["PROGRAM"] for row in columns(said(), "TARGET")]

    counts = make_map("rm_counts", value_size=160)
    testlib.checked(testlib.libbpf.bpf_map_update_elem(
        counts, bytes(4), ifindex("out2").to_bytes(4, "little").ljust(160, b"\0"),
        testlib.ctypes.c_uint64(0)))
    equal([one["ifname"] for one in told()["targets"] if one["entry"]], ["out2"])
    assert "out2 (entry)" in [row["DEVICE"] for row in columns(said(), "TARGET")]
    for one in (fd, counts, prog):
        os.close(one)
    assert becomes(lambda: (len(told()["maps"]), len(told()["targets"])) == (maps, 3))


# --- drops ------------------------------------------------------------------


def dropped_meanwhile(monkey, *args):
    """The text of drops --since, while which a function runs."""
    clock = redirmap_drops.time
    redirmap_drops.time = while_it_waits(monkey)
    try:
        return said(*args, "drops", "--since", "0.1")
    finally:
        redirmap_drops.time = clock


def losses(device):
    """A device's drops in JSON: reason, lost, offered, error."""
    return sorted((one["reason"], one["packets"], one["offered"], one["error"])
                  for one in told("drops")["drops"]
                  if one["target"] is not None and one["name"] == device)


@test("a device that is down: its losses, their reason, and the cure")
def _():
    sh("ip link set out1 down")
    forward(1)
    equal(said("drops"), "out1 lost 7 of 27 frames. The device was down. Set it up.\n")
    sh("ip link set out1 up")
    one, = told("drops")["drops"]
    equal(one, {"map": None, "target": target("out1")["id"], "netns": netns(), "name": "out1",
                "ifindex": ifindex("out1"), "unsegmented": 0,
                "reason": "dev_down", "packets": 7, "error": None, "offered": 27, "since": None,
                "text": "The device was down. Set it up."})


@test("frames that are too large")
def _():
    sh("ip link set out1 mtu 200")
    forward(1, length=300, times=5)
    sh("ip link set out1 mtu 1500")
    equal(losses("out1"), [("dev_down", 7, 32, None), ("too_large", 5, 32, None)])
    assert "out1 lost 5 of 32 frames. The frame was larger than the device's MTU" in said("drops")


@test("whether losses go on: losses during the interval come first")
def _():
    def monkey():
        sh("ip link set out1 down")
        forward(1)
        sh("ip link set out1 up")

    one, other = json.loads(dropped_meanwhile(monkey, "--json"))["drops"]
    assert one["since"].pop("seconds") >= 0.1, one
    equal([one[key] for key in ("reason", "packets", "offered", "since")],
          ["dev_down", 14, 39, {"packets": 7, "offered": 7}])
    other["since"].pop("seconds")
    equal([other[key] for key in ("reason", "packets", "offered", "since")],
          ["too_large", 5, 39, {"packets": 0, "offered": 7}])

    first, second = dropped_meanwhile(monkey).splitlines()
    assert re.fullmatch(r"out1 lost 7 of 7 frames in [\d.]+ s, 21 in all: the loss goes on\. The "
                        r"device was down\. Set it up\.", first), first
    assert re.match(r"out1 lost none in [\d.]+ s, 5 of 46 frames before: the loss has stopped, or "
                    r"there is no traffic\. The frame was larger ", second), second
    # No frame is lost.
    for line in said("drops", "--since", "0.1").splitlines():
        assert " lost none in " in line, line


@test("only some: by map, target and device, as bpftool and ip write them")
def _():
    number = target("out1")["id"]
    for args in (("out1",), ("dev", "out1"), ("target", str(number)), ("--target", str(number)),
                 ("target", "id", str(number))):
        equal(said("drops", *args), said("drops"))
        equal(told("drops", *args), told("drops"))
        equal(told("list", *args), {"targets": [target("out1")]})
    equal(said("drops", "out2"), "The selected maps and targets have lost no frame.\n")
    equal(told("drops", "out2"), NOTHING)
    equal([one["target"] for one in told("drops", "out1", "dev", "out2")["drops"]], [number] * 2)
    for args in (("--map", map_id(switch)), (map_id(switch),), ("id", map_id(switch)),
                 ("map", map_id(switch)), ("map", "id", map_id(switch)), ("name", "rm_hash"),
                 ("map", "name", "rm_hash")):
        args = list(map(str, args))
        equal(said("drops", *args), "The selected maps and targets have lost no frame.\n")
        equal([one["id"] for one in told("list", *args)["maps"]], [map_id(switch)])
    # Two maps, and a device.
    both = told("list", "name", "rm_hash", "name", "rm_array", "out2")
    equal([one["name"] for one in both["maps"]], ["rm_hash", "rm_array"])
    equal([one["ifname"] for one in both["targets"]], ["out2"])

    for name in ("drops", "list"):
        equal(redirmap(command, name, "in1"),
              (1, "", "redirmap: no entry of a claimed map points to in1 in this network "
                      "namespace\n"))
        equal(redirmap(command, name, "in7"),
              (1, "", "redirmap: there is no device in7 in this network namespace\n"))
        equal(redirmap(command, name, "name", "rm_none"),
              (1, "", "redirmap: no claimed map is named rm_none in this network namespace\n"))
        equal(redirmap(command, name, "id", "4000000000")[0], 1)


@test("--: the words behind it are no options, so a device may be called -x")
def _():
    sh("ip link add name -x type dummy")
    fd = make_map()
    update(fd, 0, ifindex("-x"))
    equal([one["ifname"] for one in told("list", "--", "-x")["targets"]], ["-x"])
    equal(said("drops", "--", "dev", "-x"),
          "The selected maps and targets have lost no frame.\n")
    equal(redirmap(command, "--", "list", "-x"), redirmap(command, "list", "--", "-x"))
    equal(redirmap(command, "list", "-x")[0], 2)
    equal(redirmap(command, "list", "--", "--")[0], 1)
    os.close(fd)
    sh("ip link del dev -x")


@test("a veth whose peer has neither a program nor GRO")
def _():
    forward(3, times=4)
    # 6.1 asks the driver, later kernels the device's features.
    if os.uname().release.startswith("6.1."):
        want = ("driver_error", 4, 4, errno.ENXIO)
    else:
        want = ("no_xmit", 4, 4, None)
    equal(losses("out3"), [want])
    text = said("drops")
    assert "out3 lost 4 of 4 frames. " in text, text
    assert "Its peer peer3 needs an XDP program or GRO: ethtool -K peer3 gro on." in text, text
    equal(want[3] is not None, "ENXIO (No such device or address)" in text)


@test("no entry at the key: reported for the map")
def _():
    def missed():
        return told("list", "--map", str(map_id(switch)))["maps"][0]["stats"]["missed"]

    before = missed().get("drop", 0)
    send("in1", frame_to(9, 100), 3)
    assert becomes(lambda: missed() == {"drop": before + 3}), missed()
    text = said("drops")
    assert (f"Map {map_id(switch)} (rm_hash) found no entry in {before + 3} lookups, and "
            "returned XDP_DROP. ") in text, text
    one, = told("drops")["missed"]
    equal((one["map"], one["action"], one["lookups"]), (map_id(switch), "drop", before + 3))
    rows = {row["NAME"]: (row["MISSED"], row["LOST"]) for row in columns(said(), "MAP")}
    equal(rows["rm_hash"], (str(before + 3), "0"))


@test("the losses and the device's name of a removed target are kept")
def _():
    lost = sum(target("out3")["stats"]["drops"].values())
    equal(lost, 4)

    def gone():
        return sum(told("state")["gone"]["drops"].values())

    def monkey():
        forward(3, times=2)
        delete(switch, 3)
        assert becomes(lambda: gone() == lost + 2)

    equal(gone(), 0)
    one = json.loads(dropped_meanwhile(monkey, "--json"))["drops"][0]
    equal([one[key] for key in ("name", "packets", "offered", "map", "target")],
          ["out3 (removed entries)", lost + 2, lost + 2, None, None])
    equal([one["since"][key] for key in ("packets", "offered")], [2, 2])
    equal([one["ifname"] for one in told()["targets"] if one["ifname"] == "out3"], [])

    # The device is deleted as well.
    index = ifindex("out3")
    sh("ip link del out3")
    one, = told("drops", "out3")["drops"]
    equal((one["name"], one["packets"], one["map"], one["target"]),
          ("out3 (gone)", lost + 2, None, None))
    assert "out3 (gone) lost 6 of 6 frames. " in said("drops"), said("drops")
    one, = told("state")["gone_devices"]
    equal((one["ifname"], one["ifindex"], sum(one["stats"]["drops"].values())),
          ("out3", index, lost + 2))
    assert "Removed maps and targets" not in said("drops")

    # The sums are complete if removed objects are included.
    everything = told()
    equal(everything["gone"], told("state")["gone"])
    equal(everything["lost"], told("state")["lost"])
    assert re.search(r"^Removed maps and targets have sent 0 frames \(0 bytes; 0 as packets\), "
                     rf"missed 0 lookups and lost {lost + 2} frames\.$", said(), re.M), said()
    # With all namespaces: these sums are still of one namespace.
    assert re.search(r"^Removed maps and targets in this network namespace have sent ",
                     said("list", "--all-netns"), re.M), said("list", "--all-netns")
    assert "Removed maps" not in said("list", "out1")
    equal(sorted(told("list", "out1")), ["targets"])


def added_up(text):
    """Sent frames, bytes, frames sent as packets, missed lookups, lost frames:
    the sums over all lines that the command prints."""
    maps, targets = columns(text, "MAP"), columns(text, "TARGET")
    sums = [sum(int(row[name]) for row in rows) for name, rows in (
        ("PACKETS", targets), ("BYTES", targets), ("AS-PACKETS", targets), ("MISSED", maps),
        ("LOST", [*maps, *targets]))]
    line = re.search("^Removed maps and targets have .*", text, re.M)
    gone = re.findall(r"\d+", line[0].replace(",", "")) if line else [0] * 5
    return [one + int(other) for one, other in zip(sums, gone, strict=True)]


def added_up_json(told):
    """The same sums, from the JSON of the same command."""
    every = [*(one["stats"] for one in told["maps"] + told["targets"]), told["gone"]]
    return [*(sum(one[name] for one in every) for name in ("packets", "bytes", "as_packets")),
            *(sum(sum(one[name].values()) for one in every) for name in ("missed", "drops"))]


@test("maps, targets and the sums over removed ones add up, before and after a removal")
def _():
    for name in ("sum0", "sum1"):
        testlib.add_veth(name, f"{name}p")
    sh(f"bpftool net attach xdpdrv pinned {PIN}/p/at_host dev sum0p")
    before = added_up(said())
    update(switch, 3, ifindex("sum0"))
    send("in1", frame_to(3, 200), 6)
    assert becomes(lambda: target("sum0")["stats"]["packets"] == 6), target("sum0")
    update(switch, 4, ifindex("sum1"))
    send("in1", frame_to(4, 100), 5)
    assert becomes(lambda: sum(target("sum1")["stats"]["drops"].values()) == 5), target("sum1")
    want = [one + more for one, more in zip(before, (6, 1200, 0, 0, 5), strict=True)]
    equal((added_up(said()), added_up_json(told())), (want, want))

    # One target loses its entry, the other one its device.
    removed = told("state")["gone_count"]
    delete(switch, 3)
    sh("ip link del sum1")
    assert becomes(lambda: told("state")["gone_count"] == removed + 2), told("state")
    equal([one["ifname"] for one in told()["targets"] if one["ifname"].startswith("sum")], [])
    equal((added_up(said()), added_up_json(told())), (want, want))
    sh("ip link del sum0")


@test("of many removed devices the latest are named, the others added up")
def _():
    names = [f"many{number}" for number in range(12)]
    for name in names:
        testlib.add_veth(name, f"{name}p")
        update(switch, 3, ifindex(name))
        send("in1", frame_to(3, 100), 2)
        assert becomes(lambda name=name: sum(target(name)["stats"]["drops"].values()) == 2)
        before = sum(told("state")["gone"]["drops"].values())
        sh(f"ip link del {name}")
        assert becomes(lambda: sum(told("state")["gone"]["drops"].values()) == before + 2)
    equal({one["ifname"] for one in told("state")["gone_devices"]}, set(names[4:]))
    # Four of these, out3, and sum1.
    rest = [one for one in told("drops")["drops"]
            if one["name"] == "Removed maps and targets"]
    equal(sum(one["packets"] for one in rest), 4 * 2 + 6 + 5)
    equal(told("drops", "many11")["drops"][0]["name"], "many11 (gone)")


try:
    run()
finally:
    delete(switch, 1)
    os.close(switch)
    sh(f"rm -rf {PIN}")
