#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""redirmap holders: each kind of holder of a claimed map, and so of the module,
in all kinds of namespaces; and the printed commands release the map."""
import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import testlib
from testlib import (DEVMAP_HASH, OUTPUT, Skip, becomes, checked, equal, in_a_net, libbpf,
                     make_map, map_id, netns, open_pinned, redirmap, refcnt, run, sh, test, update)

in_a_net()

import redirmap_main as command  # noqa: E402
from socklib import PIN as SOCKS, loaded  # noqa: E402

PIN = "/sys/fs/bpf/redirmap-holders"
OTHER = "rmhold"
ARRAY_OF_MAPS, HASH_OF_MAPS, PROG_ARRAY = 12, 13, 3
# enum bpf_attach_type
SK_MSG_VERDICT = 7
ctypes = testlib.ctypes

sh(f"rm -rf {PIN}; mkdir -p {PIN}")


def told(*args):
    status, out, err = redirmap(command, "--json", "holders", *map(str, args))
    equal((status, err), (0, ""))
    return json.loads(out)


def said(*args):
    status, out, err = redirmap(command, "holders", *map(str, args))
    equal((status, err), (0, ""))
    return out


def holders(number):
    one, = told(number)["maps"]
    return one["holders"]


def only(number, kind):
    """The only holder of a map, which must be of this kind."""
    one, = holders(number)
    equal(one["kind"], kind)
    return one


def let_go(one):
    sh(one["command"])


def free():
    """Wait until no claimed map, and no outer map with a claimed template, is
    left."""
    return becomes(lambda: refcnt() == 0)


def pinned_map(name, path=None):
    """A map that only a pin keeps: its id."""
    fd = make_map(name, DEVMAP_HASH)
    checked(libbpf.bpf_obj_pin(fd, (path or f"{PIN}/{name}").encode()))
    number = map_id(fd)
    os.close(fd)
    return number


class Options(ctypes.Structure):
    """struct bpf_map_create_opts, up to inner_map_fd"""
    _fields_ = [("sz", ctypes.c_size_t), ("btf", ctypes.c_uint32 * 4),
                ("inner_map_fd", ctypes.c_uint32), ("more", ctypes.c_uint32 * 8)]


def make_outer(inner, kind=ARRAY_OF_MAPS, name="rm_outer"):
    options = Options(sz=ctypes.sizeof(Options), inner_map_fd=inner)
    return checked(libbpf.bpf_map_create(kind, name.encode(), 4, 4, 4, ctypes.byref(options)))


@contextmanager
def running(program, *before, **how):
    """A process that runs a program in Python, prints a line, and waits."""
    program = f"import sys, testlib\n{program}\nprint('ready', flush=True)\nsys.stdin.read()"
    with subprocess.Popen([*before, sys.executable, "-c", program], text=True,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE, **how) as child:
        equal(child.stdout.readline(), "ready\n")
        yield child
        child.kill()


@contextmanager
def a_program(name="to_rm_hash", file="hosts"):
    """A pinned program; the ids of its map and of the program."""
    sh(f"mkdir -p {PIN}/p && bpftool prog loadall {OUTPUT}/{file}.bpf.o {PIN}/p && "
       f"find {PIN}/p -type f ! -name {name} -delete")
    path = f"{PIN}/p/{name}"
    one = json.loads(sh(f"bpftool -j prog show pinned {path}"))
    try:
        yield path, one["map_ids"][0], one["id"]
    finally:
        sh(f"rm -rf {PIN}/p")


# --- maps -------------------------------------------------------------------


@test("no holder without a claimed map")
def _():
    assert free(), refcnt()
    equal(told(), {"maps": [], "outer_maps": [], "other_references": 0, "notes": []})
    equal(said(), "No claimed maps.\n")


@test("a pin, with blanks in its name")
def _():
    number = pinned_map("rm_pin", f"{PIN}/a b'c")
    one, = told()["maps"]
    equal({key: one[key] for key in ("kind", "id", "name", "type", "netns")},
          {"kind": "map", "id": number, "name": "rm_pin", "type": "devmap_hash", "netns": netns()})
    one = only(number, "pin")
    equal((one["path"], one["mount_namespace"]),
          (f"{PIN}/a b'c", os.stat("/proc/self/ns/mnt").st_ino))
    assert f"pin {PIN}/a b'c" in said() and one["command"] in said(), said()
    let_go(one)
    assert free()


@test("a process, with several descriptors")
def _():
    with running("import os; os.dup(testlib.make_map('rm_fd'))") as child:
        number, = [one["id"] for one in told()["maps"]]
        one = only(number, "process")
        equal((one["pid"], len(one["fds"]), one["command"]), (child.pid, 2, f"kill {child.pid}"))
        equal(one["comm"], Path(f"/proc/{child.pid}/comm").read_text(encoding="utf-8").strip())
        assert f"process {child.pid} ({one['comm']}), descriptor " in said()
        let_go(one)
        child.wait()
    assert free()


@test("a process of another PID namespace")
def _():
    with running("fd = testlib.make_map('rm_pid')", "unshare", "--pid", "--fork",
                 "--kill-child") as child:
        number, = [one["id"] for one in told()["maps"]]
        one = only(number, "process")
        assert one["pid"] != child.pid, one
        ours, theirs = sh(f"grep NSpid /proc/{one['pid']}/status").split()[1:][-2:]
        equal((int(ours), int(theirs)), (one["pid"], 1))
    assert free()


@test("a thread with descriptors of its own")
def _():
    program = """
import threading, ctypes
done = threading.Event()
def thread():
    # CLONE_FILES
    assert not ctypes.CDLL(None).unshare(0x400)
    testlib.make_map('rm_thread')
    done.set()
    threading.Event().wait()
threading.Thread(target=thread, daemon=True).start()
done.wait()
"""
    with running(program) as child:
        number, = [one["id"] for one in told()["maps"]]
        equal(only(number, "process")["pid"], child.pid)
    assert free()


@test("a pin in another mount namespace's bpffs")
def _():
    program = """
import os
testlib.sh('mount -t bpf none /mnt')
fd = testlib.make_map('rm_mount')
testlib.checked(testlib.libbpf.bpf_obj_pin(fd, b'/mnt/there'))
os.close(fd)
"""
    with running(program, "unshare", "--mount") as child:
        number, = [one["id"] for one in told()["maps"]]
        one = only(number, "pin")
        equal((one["path"], one["mount_namespace"]),
              ("/mnt/there", os.stat(f"/proc/{child.pid}/ns/mnt").st_ino))
        let_go(one)
        assert free()


@test("a pin in a mount namespace that no process is in")
def _():
    sh("mkdir -p /run/rmhold && mount --bind /run/rmhold /run/rmhold && "
       "mount --make-private /run/rmhold && touch /run/rmhold/ns")
    try:
        sh("unshare --mount=/run/rmhold/ns sh -c 'mount -t bpf none /mnt && bpftool map create "
           "/mnt/alone type devmap key 4 value 4 entries 4 name rm_alone'")
        number, = [one["id"] for one in told()["maps"]]
        one = only(number, "pin")
        equal((one["path"], one["mount_namespace"]),
              ("/mnt/alone", os.stat("/run/rmhold/ns").st_ino))
        let_go(one)
        assert free()
    finally:
        sh("umount /run/rmhold/ns; umount /run/rmhold; rm -r /run/rmhold")


@test("a bpffs below another mount: it cannot be looked into")
def _():
    sh("mount -t bpf none /mnt")
    pinned_map("rm_over", "/mnt/hidden")
    sh("mount -t tmpfs none /mnt")
    try:
        equal(told()["notes"], ["The bpffs at /mnt is not accessible: something else is "
                                "mounted over it."])
        assert "no visible holder" in said(), said()
    finally:
        sh("umount /mnt")
    equal([one["path"] for one in told()["maps"][0]["holders"]], ["/mnt/hidden"])
    sh("umount /mnt")
    assert free()


# --- outer maps -------------------------------------------------------------


@test("the outer map of a map, and the holders of the outer map")
def _():
    for kind, name in ((ARRAY_OF_MAPS, "array_of_maps"), (HASH_OF_MAPS, "hash_of_maps")):
        inner = make_map("rm_inner")
        number = map_id(inner)
        outer = make_outer(inner, kind)
        outer_number = map_id(outer)
        update(outer, 3, inner)
        checked(libbpf.bpf_obj_pin(outer, f"{PIN}/outer".encode()))
        os.close(inner)
        os.close(outer)
        one = only(number, "map")
        equal((one["id"], one["name"], one["type"]), (outer_number, "rm_outer", name))
        pin, = one["holders"]
        equal(pin["path"], f"{PIN}/outer")
        everything = told()
        equal([(one["id"], one["certain"]) for one in everything["outer_maps"]],
              [(outer_number, True)])
        equal(everything["other_references"], 0)
        let_go(pin)
        assert free()


@test("an outer map whose template was closed")
def _():
    inner = make_map("rm_inner")
    outer = make_outer(inner)
    number = map_id(outer)
    stock = make_map("st_inner")
    of_stock = make_outer(stock, name="st_outer")
    update(of_stock, 0, stock)
    checked(libbpf.bpf_obj_pin(outer, f"{PIN}/outer".encode()))
    os.close(inner)
    os.close(outer)
    assert becomes(lambda: refcnt() == 1)
    everything = told()
    equal(everything["maps"], [])
    one, = everything["outer_maps"]
    equal((one["id"], one["certain"]), (number, True))
    assert f"Outer map {number} (rm_outer), array_of_maps; was created with a claimed" in said()

    # Another outer map, also empty, which has no name.
    empty = make_outer(stock, name="st_empty")
    everything = told()
    equal({(one["id"], one["certain"]) for one in everything["outer_maps"]},
          {(number, False), (map_id(empty), False)})
    assert f"Outer map {number} (rm_outer), array_of_maps; may have been created with" in said()
    for fd in (empty, of_stock, stock):
        os.close(fd)
    pin, = one["holders"]
    let_go(pin)
    assert free()
    equal(told()["outer_maps"], [])


# --- programs ---------------------------------------------------------------


@test("a program of a device, which a pin and the device hold")
def _():
    sh("ip link add in0 type veth peer name in1")
    for mode in ("xdpdrv", "xdpgeneric"):
        with a_program() as (path, number, prog):
            sh(f"bpftool net attach {mode} pinned {path} dev in0")
            one = only(number, "program")
            equal((one["id"], one["name"], one["type"]), (prog, "to_rm_hash", "xdp"))
            equal({holder["kind"] for holder in one["holders"]}, {"pin", "device"})
            text = said()
        one, = only(number, "program")["holders"]
        equal((one["ifname"], one["ifindex"], one["netns"], one["mode"], one["command"]),
              ("in0", testlib.ifindex("in0"), netns(), mode, f"ip link set dev in0 {mode} off"))
        assert f"device in0, {mode}" in text and one["command"] in text, text
        let_go(one)
        assert free()
    sh("ip link del in0")


@test("a program of a device in another network namespace, named or not")
def _():
    sh(f"ip netns add {OTHER}; ip -n {OTHER} link add far0 type veth peer name far1")
    there = os.stat(f"/run/netns/{OTHER}").st_ino
    with a_program() as (path, number, prog):
        sh(f"bpftool prog show id {prog} >/dev/null; nsenter --net=/run/netns/{OTHER} "
           f"bpftool net attach xdpdrv pinned {path} dev far0")
    one, = only(number, "program")["holders"]
    equal((one["ifname"], one["netns"], one["command"]),
          ("far0", there, f"ip -n {OTHER} link set dev far0 xdpdrv off"))
    let_go(one)
    assert free()

    with running("testlib.add_veth('far2', 'far3')", "unshare", "--net") as child:
        there = os.stat(f"/proc/{child.pid}/ns/net").st_ino
        with a_program() as (path, number, prog):
            sh(f"nsenter -t {child.pid} --net "
               f"bpftool net attach xdpgeneric pinned {path} dev far2")
        one, = only(number, "program")["holders"]
        equal((one["ifname"], one["netns"]), ("far2", there))
        assert one["command"].startswith(f"nsenter -t {child.pid} -n ip link "), one
        let_go(one)
        assert free()


@test("a program that a link attaches, which a pin or a process holds")
def _():
    sh("ip link add in0 type veth peer name in1")
    with a_program() as (path, number, prog):
        fd = open_pinned(path)
        # BPF_XDP
        link = checked(libbpf.bpf_link_create(fd, testlib.ifindex("in0"), 37, None))
        os.close(fd)
        checked(libbpf.bpf_obj_pin(link, f"{PIN}/link".encode()))
    one, = only(number, "program")["holders"]
    equal((one["kind"], one["type"], one["device"]["ifname"]), ("link", "xdp", "in0"))
    equal([holder["kind"] for holder in one["holders"]], ["pin"])
    os.close(link)
    assert f"link {one['id']}, xdp of device in0, xdpdrv" in said(), said()
    let_go(one["holders"][0])
    assert free()
    sh("ip link del in0")


@test("a program in a map of programs, which thereby holds itself: listed once")
def _():
    with a_program() as (path, number, prog):
        fd = open_pinned(path)
        array = checked(libbpf.bpf_map_create(PROG_ARRAY, b"tails", 4, 4, 4, None))
        update(array, 2, fd)
        checked(libbpf.bpf_obj_pin(array, f"{PIN}/tails".encode()))
        os.close(fd)
        os.close(array)
    one, = only(number, "program")["holders"]
    equal((one["kind"], one["name"], one["type"]), ("map", "tails", "prog_array"))
    pin, = one["holders"]
    assert "map " in said() and "(tails), prog_array" in said(), said()
    let_go(pin)
    assert free()


@test("an egress program that uses a map, in an entry of another one")
def _():
    for name, claimed in (("st_entries", False), ("rm_entries", True)):
        with a_program("leaves", "holders") as (path, number, prog):
            prog = open_pinned(path)
            fd = make_map(name, value_size=8)
            update(fd, 1, 1, prog)
            os.close(prog)
        one, = only(number, "program")["holders"]
        equal((one["kind"], one["name"], one["type"]), ("map", name, "devmap"))
        # The test has the map open, but is not in its own list.
        equal(one["holders"], [])
        equal(len(told()["maps"]), 1 + claimed)
        os.close(fd)
        assert free()


@test("a filter of tc")
def _():
    sh("ip link add in0 type veth peer name in1; tc qdisc add dev in0 clsact")
    for side in ("ingress", "egress"):
        with a_program("classifies", "holders") as (path, number, _):
            sh(f"tc filter add dev in0 {side} bpf direct-action pinned {path}")
        one, = only(number, "program")["holders"]
        equal((one["ifname"], one["mode"]), ("in0", f"tc {side}"))
        let_go(one)
        assert free()
    sh("ip link del in0")


# --- socket maps ------------------------------------------------------------


def attached_to(fd, kind):
    """The ids of the holders of a kind of the program msg_map, which uses the
    map."""
    program, = (one for one in holders(map_id(fd))
                if one["kind"] == "program" and one["name"] == "msg_map")
    return [one["id"] for one in program["holders"] if one["kind"] == kind]


@test("a program that is attached to another socket map")
def _():
    with loaded() as fds:
        other = map_id(fds["rm_hash"])
        equal(attached_to(fds["rm_map"], "map"), [])
        sh(f"bpftool prog attach pinned {SOCKS}/p/msg_map msg_verdict id {other}")
        equal(attached_to(fds["rm_map"], "map"), [other])
    assert free()


@test("a link of a socket map holds the map, and its program")
def _():
    with loaded() as fds:
        fd, program = fds["rm_hash"], open_pinned(f"{SOCKS}/p/msg_map")
        link = libbpf.bpf_link_create(program, fd, SK_MSG_VERDICT, None)
        os.close(program)
        if link < 0:
            raise Skip("this kernel has no links of socket maps")
        of_map = [one for one in holders(map_id(fd)) if one["kind"] == "link"]
        equal([one["type"] for one in of_map], ["sockmap"])
        equal(attached_to(fds["rm_map"], "link"), [of_map[0]["id"]])
        assert f"link {of_map[0]['id']}, sockmap" in said(), said()
        os.close(link)
    assert free()


# --- permissions and large numbers ------------------------------------------


@test("without CAP_SYS_ADMIN: status 4, and the missing capability")
def _():
    done = subprocess.run(["setpriv", "--bounding-set", "-sys_admin", testlib.COMMAND, "holders"],
                          text=True, capture_output=True, check=False)
    equal((done.returncode, done.stdout, done.stderr),
          (4, "", "redirmap: Listing BPF maps needs CAP_SYS_ADMIN (EPERM)\n"))


@test("1000 maps need no process and no search for each map")
def _():
    fds = [make_map(f"rm_{number}") for number in range(1000)]
    with a_program():
        before = int(sh("sed -n 's/^processes //p' /proc/stat"))
        maps = told()["maps"]
        # sed, and its shell
        assert int(sh("sed -n 's/^processes //p' /proc/stat")) - before < 10
        equal(len(maps), 1001)
    for fd in fds:
        os.close(fd)
    assert free()


try:
    run()
finally:
    sh(f"rm -rf {PIN}")
    subprocess.run(["ip", "netns", "del", OTHER], capture_output=True, check=False)
