#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The generic netlink family: its answers, the namespaces that they cover,
permissions, and errors.

The requests are made with the kernel's own library for such families, and with
the command's."""
import json
import operator
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import testlib
from testlib import (DEVMAP_HASH, SPEC, becomes, equal, ifindex, make_map, map_id, need_module,
                     need_modules, netns, run, sh, test, update)

need_module()
need_modules("yaml", "jsonschema")

SOURCE = testlib.kernel_source()
SCHEMA = SOURCE / "Documentation/netlink/genetlink-legacy.yaml"
sys.path.insert(0, str(SOURCE / "tools/net/ynl"))
import yaml  # noqa: E402
from lib import NlError, YnlFamily  # noqa: E402

OTHER = "rmother"


def family_with_more():
    """The family by its specification, with attributes that the kernel
    lacks."""
    spec = yaml.safe_load(SPEC.read_text())
    for space in spec["attribute-sets"]:
        if space["name"] in ("map", "target", "state"):
            space["attributes"].append({"name": "bogus", "type": "u32", "value": 99})
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(SPEC.read_text().splitlines()[0] + "\n" + yaml.dump(spec))
        file.flush()
        return YnlFamily(file.name, "")


ynl = family_with_more()


def refusal(ask, *args):
    """The errno of the kernel's refusal, and its message."""
    try:
        answer = ask(*args)
    except NlError as error:
        return error.error, error.nl_msg.extack or {}
    raise AssertionError(f"not refused: {answer}")


def refused(errno, words, bad, ask, *args):
    """The kernel refuses a request with an errno, an explanation, and the
    attribute."""
    got, extack = refusal(ask, *args)
    equal((got, extack.get("msg")), (errno, words))
    equal(extack.get("bad-attr", extack.get("bad-attr-offs")), bad)
    return extack


def python(program, around):
    """The output of a Python program, which can import this library, run by
    another command."""
    return sh(f"{around} {sys.executable} -c '{program}'")


def in_netns(program):
    return python(program, f"ip netns exec {OTHER}")


# --- bad requests -----------------------------------------------------------

EPERM, ENOENT, EINVAL, ERANGE, EOPNOTSUPP = 1, 2, 22, 34, 95
NO_MAP = "No claimed map has this id, or its network namespace is another one"
NO_TARGET = "No target has this id, or its network namespace is another one"
NO_SCOPE = "Other network namespaces need CAP_NET_ADMIN in the initial user namespace"


@test("a single map, or target, without an id: EINVAL, and the missing attribute")
def _():
    for space in ("map", "target"):
        extack = refused(EINVAL, f"A request for one {space} needs its id", None,
                         ynl.do, space + "-get", {})
        equal(extack["miss-type"], "id")


@test("an unused id: ENOENT")
def _():
    nothing = {"id": 4000000000}
    refused(ENOENT, NO_MAP, ".id", ynl.do, "map-get", nothing)
    refused(ENOENT, NO_TARGET, ".id", ynl.do, "target-get", nothing)
    refused(ENOENT, NO_MAP, ".id", ynl.do, "map-get", {**nothing, "all-netns": True})


@test("a map's id is not 0: ERANGE")
def _():
    extack = refused(ERANGE, "integer out of range", ".id", ynl.do, "map-get", {"id": 0})
    equal(extack["policy"]["min-value"], 1)


@test("the id of a stock map: ENOENT")
def _():
    fd = make_map("st_test")
    refused(ENOENT, NO_MAP, ".id", ynl.do, "map-get", {"id": map_id(fd)})
    os.close(fd)


@test("attributes of answers in a request: EINVAL")
def _():
    for space, name in (("map", "used"), ("map", "netns"), ("target", "ifindex")):
        for ask in (ynl.do, ynl.dump):
            refused(EINVAL, "Unsupported attribute", "." + name, ask, space + "-get", {name: 1})


@test("unknown attributes: EINVAL")
def _():
    for space in ("map", "target"):
        for ask in (ynl.do, ynl.dump):
            refused(EINVAL, "Unknown attribute type", ".bogus", ask, space + "-get", {"bogus": 1})


@test("attributes in a request for the state: EINVAL")
def _():
    for name, value in (("bogus", 1), ("claim", "*")):
        errno, extack = refusal(ynl.do, "state-get", {name: value})
        equal((errno, extack["bad-attr"]), (EINVAL, "." + name))


@test("a dump of the state: EOPNOTSUPP")
def _():
    equal(refusal(ynl.dump, "state-get", {})[0], EOPNOTSUPP)


@test("a dump of one id: EINVAL")
def _():
    for space in ("map", "target"):
        errno, extack = refusal(ynl.dump, space + "-get", {"id": 1})
        equal(errno, EINVAL)
        # 6.1 has no message when a dump is refused at its beginning.
        if extack or not os.uname().release.startswith("6.1."):
            equal((extack["msg"], extack["bad-attr"]),
                  ("A dump lists all objects, and takes no id", ".id"))


# --- reported values --------------------------------------------------------


@test("a map's attributes")
def _():
    fd = make_map("rm_told", DEVMAP_HASH, 300, 8)
    want = {
        "id": map_id(fd), "name": "rm_told", "type": DEVMAP_HASH, "value-size": 8,
        "capacity": 300, "used": 0, "members": 0, "netns": netns(), "packets": "never",
        "users": 1, "stats": {"packets": 0, "bytes": 0},
    }
    told = ynl.do("map-get", {"id": map_id(fd)})
    memory = told.pop("memory")
    assert 300 * 20 <= memory < 100000, memory
    equal(told, want)

    for key in range(10):
        update(fd, key, 1, 0)
    told = ynl.do("map-get", {"id": map_id(fd)})
    equal((told["used"], told["members"]), (10, 1))
    assert told["memory"] > memory
    # If the kernel itself reports the memory of maps, the figures are equal.
    if not os.uname().release.startswith("6.1."):
        equal(told["memory"], int(testlib.fdinfo(fd, "memlock")))
    os.close(fd)


@test("a closed map is not reported")
def _():
    fd = make_map("rm_closed")
    number = map_id(fd)
    equal(ynl.do("map-get", {"id": number})["name"], "rm_closed")
    os.close(fd)
    refused(ENOENT, NO_MAP, ".id", ynl.do, "map-get", {"id": number})


@test("a target's attributes; shared by maps; renamed with its device")
def _():
    sh("ip link add rmone type dummy")
    maps = [make_map(), make_map(kind=DEVMAP_HASH)]
    for fd in maps:
        update(fd, 1, ifindex("rmone"))
        update(fd, 2, ifindex("rmone"))
    told = [one for one in ynl.dump("target-get", {}) if one["ifname"] == "rmone"]
    number = told[0]["id"]
    want = {
        "id": number, "ifindex": ifindex("rmone"), "ifname": "rmone", "refs": 2,
        "netns": netns(), "packets": "never", "stats": {"packets": 0, "bytes": 0},
    }
    equal(told, [want])
    equal(ynl.do("target-get", {"id": number}), want)

    sh("ip link set rmone name rmtwo")
    equal(ynl.do("target-get", {"id": number})["ifname"], "rmtwo")
    os.close(maps[1])
    assert testlib.becomes(lambda: ynl.do("target-get", {"id": number})["refs"] == 1)
    sh("ip link del rmtwo")
    refused(ENOENT, NO_TARGET, ".id", ynl.do, "target-get", {"id": number})
    os.close(maps[0])


@test("a map with counters in values: each entry has a target")
def _():
    fd = make_map("rm_counts", DEVMAP_HASH, 4, 8 + 19 * 8)
    value = (1).to_bytes(4, "little").ljust(8 + 19 * 8, b"\0")
    for key in (1, 2):
        testlib.checked(testlib.libbpf.bpf_map_update_elem(
            fd, key.to_bytes(4, "little"), value, testlib.ctypes.c_uint64(0)))
    told = [one for one in ynl.dump("target-get", {}) if one.get("entry")]
    equal([(one["ifname"], one["refs"]) for one in told], [("lo", 1)] * 2)
    told = ynl.do("map-get", {"id": map_id(fd)})
    equal((told["value-size"], told["used"]), (160, 2))
    os.close(fd)


@test("the state: version, policy, hooks, layouts")
def _():
    told = ynl.do("state-get", {})
    equal(told["version"], Path("/sys/module/redirmap/version").read_text().strip())
    equal(told["claim"], testlib.CLAIM)
    equal((told["packets"], told["qdisc"]), ("", ""))
    hooks = {(one["name"], one["kind"]) for one in told["hook"]}
    for want in (("dev_map_alloc", "replace"), ("bpf_map_meta_equal", "replace"),
                 ("bpf_map_meta_alloc", "observe"), ("bpf_map_meta_alloc", "return")):
        assert want in hooks, hooks
    hooked = Path("/sys/kernel/tracing/enabled_functions").read_text()
    for name, kind in hooks:
        assert kind == "return" or f"{name} (" in hooked, name
    rows = {(one["type"], one.get("member")): one["where"] for one in told["layout"]}
    equal(rows["xdp_dev_bulk_queue", "q"], 0)
    equal(rows["xdp_dev_bulk_queue", None], 176)


@test("the longest policy, and an empty one")
def _():
    path = Path("/sys/module/redirmap/parameters/claim")
    try:
        for policy in (",".join([letter * 63 for letter in "wxyz"]), ""):
            path.write_text(policy + "\n")
            equal(ynl.do("state-get", {})["claim"], policy)
    finally:
        path.write_text(testlib.CLAIM)


@test("the kernel's tool for such families gets the same answers")
def _():
    fd = make_map("rm_ynl")
    update(fd, 0, 1)
    cli = [sys.executable, SOURCE / "tools/net/ynl/cli.py", "--spec", SPEC, "--schema", SCHEMA,
           "--output-json"]
    for how, name, ask in (("--dump", "map-get", ynl.dump), ("--dump", "target-get", ynl.dump),
                           ("--do", "state-get", ynl.do)):
        def answers(how=how, name=name, ask=ask):
            told = subprocess.run(cli + [how, name], text=True, stdout=subprocess.PIPE,
                                  check=True)
            return json.loads(told.stdout), ask(name, {})

        # The memory that is kept for copies may be returned between the two.
        if not becomes(lambda: operator.eq(*answers()), 20):
            equal(*answers())
    os.close(fd)


# --- visibility in network namespaces ---------------------------------------


@test("a namespace sees its own objects, with the privilege those of all")
def _():
    sh(f"ip netns add {OTHER}; ip -n {OTHER} link add rmthere type dummy")
    fd = make_map("rm_here")
    update(fd, 0, 1)
    here = (ynl.dump("map-get", {}), ynl.dump("target-get", {}))
    there = os.stat(f"/run/netns/{OTHER}").st_ino
    none, own, everything, one = json.loads(in_netns("""
import json, testlib
from redirmap_netlink import Family
with Family() as family:
    told = [[family.maps(), family.targets()]]
    fd = testlib.make_map("rm_there")
    testlib.update(fd, 0, testlib.ifindex("rmthere"))
    told.append([family.maps(), family.targets()])
    told.append([family.maps(None, True), family.targets(None, True)])
    told.append(family.maps(testlib.map_id(fd)))
print(json.dumps(told))
"""))
    equal(none, [[], []])
    equal([(one["name"], one["netns"]) for one in own[0]], [("rm_there", there)])
    equal([(one["ifname"], one["netns"]) for one in own[1]], [("rmthere", there)])
    equal(one, own[0])
    equal({(one["name"], one["netns"]) for one in everything[0]},
          {("rm_there", there), ("rm_here", netns())})
    equal({(one["ifname"], one["netns"]) for one in everything[1]},
          {("rmthere", there), ("lo", netns())})
    equal((ynl.dump("map-get", {}), ynl.dump("target-get", {})), here)
    os.close(fd)


@test("an id of another namespace: ENOENT, unless all are requested")
def _():
    fd = make_map("rm_here")
    update(fd, 0, 1)
    target = next(one["id"] for one in ynl.dump("target-get", {}) if one["ifname"] == "lo")
    told = in_netns(f"""
from redirmap_netlink import Family, Refused
with Family() as family:
    for ask, number in ((family.maps, {map_id(fd)}), (family.targets, {target})):
        print(len(ask(number, True)))
        try:
            ask(number)
        except Refused as refused:
            print(refused)
""")
    equal(told, f"1\n{NO_MAP} (ENOENT)\n1\n{NO_TARGET} (ENOENT)\n")
    os.close(fd)


@test("all namespaces without CAP_NET_ADMIN in the initial user namespace: EPERM")
def _():
    fd = make_map("rm_here")
    told = python("""
from redirmap_netlink import Family, Refused
with Family() as family:
    print(family.maps(), family.targets(), len(family.state()["hooks"]) > 3)
    for ask in (family.maps, family.targets):
        for number in (None, 1):
            try:
                ask(number, True)
            except Refused as refused:
                print(refused)
""", "unshare --user --map-root-user --net")
    equal(told, "[] [] True\n" + f"{NO_SCOPE} (EPERM)\n" * 4)
    os.close(fd)


@test("a socket that was opened without it does not get it by a user that has it: EPERM")
def _():
    # The child opens the socket in a namespace of its own, and passes it on.
    told = python("""
import os, socket, subprocess, sys
mine, other = socket.socketpair(socket.AF_UNIX)
child = subprocess.Popen(["unshare", "--user", "--map-root-user", "--net", sys.executable, "-c",
    "import socket, sys; end = socket.socket(fileno=int(sys.argv[1]));"
    "nl = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 16);"
    "socket.send_fds(end, [bytes(1)], [nl.fileno()]); end.recv(1)",
    str(other.fileno())], pass_fds=[other.fileno()])
fd = socket.recv_fds(mine, 1, 1)[1][0]
from redirmap_netlink import Family, Refused
# It sends without an address: with one, the kernel would not check the
# permissions of the process that opened the socket.
with Family(fd) as family:
    print(family.maps())
    for number in (None, 1):
        try:
            family.maps(number, True)
        except Refused as refused:
            print(refused.code)
mine.send(bytes(1))
child.wait()
""".replace("'", '"'), "")
    equal(told, f"[]\n{EPERM}\n{EPERM}\n")


@test("without CAP_NET_ADMIN: EPERM")
def _():
    told = python("""
from redirmap_netlink import Family, Refused
with Family() as family:
    for ask in (family.maps, family.targets, family.state):
        try:
            ask()
        except Refused as refused:
            print(refused)
""", "setpriv --bounding-set -net_admin --inh-caps -net_admin")
    equal(told, "Operation not permitted (EPERM)\n" * 3)


try:
    run()
finally:
    subprocess.run(["ip", "netns", "del", OTHER], capture_output=True, check=False)
