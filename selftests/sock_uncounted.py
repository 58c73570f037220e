#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""redirmap drops names the programs whose redirects a claimed socket map does
not count, and the reason: attached programs that use stock maps, also from
before insmod; programs whose load the module has missed. Programs that are
counted are not named: in outer maps, by tail calls, as replaced functions."""
import contextlib
import ctypes
import json
import os
import subprocess
from pathlib import Path

from testlib import (COMMAND, OUTPUT, becomes, checked, equal, in_a_net, libbpf, load, make_map,
                     map_id, open_pinned, refcnt, run, sh, test, unload, update)

in_a_net()

from commandlib import said  # noqa: E402
from jitlib import address_of, jited, same_code, targets  # noqa: E402
from socketlib import pair, put  # noqa: E402
from socklib import PIN, counters, loaded  # noqa: E402

SOCKMAP = 15
KPROBES = Path("/sys/kernel/debug/kprobes/enabled")

for function in ("open", "find_program_by_name", "find_map_by_name"):
    getattr(libbpf, f"bpf_object__{function}").restype = ctypes.c_void_p
libbpf.bpf_program__attach_freplace.restype = ctypes.c_void_p


@contextlib.contextmanager
def without_kprobes():
    """The module misses all loads of programs. No outer map may be made
    meanwhile."""
    KPROBES.write_text("0")
    try:
        yield
    finally:
        KPROBES.write_text("1")


@contextlib.contextmanager
def sysctl(name, value):
    """A sysctl of the initial network namespace."""
    file = f"/proc/sys/{name}"
    before = sh(f"nsenter -t 1 -n cat {file}").strip()
    sh(f"nsenter -t 1 -n sh -c 'echo {value} >{file}'")
    try:
        yield
    finally:
        sh(f"nsenter -t 1 -n sh -c 'echo {before} >{file}'")


@contextlib.contextmanager
def attached(program, fd):
    """A program is attached to a map."""
    what = f"pinned {PIN}/p/{program} msg_verdict id {map_id(fd)}"
    sh(f"bpftool prog attach {what}")
    try:
        yield
    finally:
        sh(f"bpftool prog detach {what}")


def told(fd):
    return json.loads(said("--json", "drops", "map", str(map_id(fd))))["uncounted"]


def uncounted(fd):
    """The programs that a map does not count, the reason, and whether they were
    loaded before the module."""
    return sorted((one["program_name"], one["why"], one["before"]) for one in told(fd))


def refused(fd):
    return counters(fd)["refused"]


def send(fd, allowed=True):
    """Send a message with key 5 by a socket that runs the programs of a map."""
    source, receiver = pair()
    with source, receiver:
        equal(put(fd, 0, source), 0)
        try:
            source.send(bytes([5, 0]))
            assert allowed
        except PermissionError:
            assert not allowed


@test("a program from before insmod that is attached to a claimed map")
def _():
    unload()
    with contextlib.ExitStack() as stack:
        sh(f"bpftool prog loadall {OUTPUT}/sock_counters.bpf.o {PIN}/p pinmaps {PIN}/m")
        stack.callback(sh, f"rm -rf {PIN}/*")
        load()
        fd = make_map("rm_new", SOCKMAP, value_size=8)
        stack.callback(os.close, fd)
        equal(uncounted(fd), [])
        with attached("msg_map", fd):
            send(fd)
            equal(refused(fd), {})
            one, = told(fd)
            stock = open_pinned(f"{PIN}/m/rm_map")
            stack.callback(os.close, stock)
            equal((one["map"], one["program_name"], one["type"], one["why"], one["maps"],
                   one["before"]),
                  (map_id(fd), "msg_map", "sk_msg", "other_maps", [map_id(stock)], True))
            text = said("drops", "map", str(map_id(fd)))
            assert (f"Map {map_id(fd)} (rm_new) does not count the redirects of program "
                    f"{one['program']} (msg_map), sk_msg. The program is attached to the map, but "
                    f"uses map {map_id(stock)} (rm_map), which is not claimed. It was loaded "
                    "before the module: load it again") in text, text
            # The map is in the program's list of maps, but is not used.
            program = open_pinned(f"{PIN}/p/msg_map")
            checked(libbpf.bpf_prog_bind_map(program, fd, None))
            os.close(program)
            equal(told(fd), [one])
        equal(uncounted(fd), [])
    assert becomes(lambda: refcnt() == 0)


@test("programs that were loaded after insmod: those that use stock maps")
def _():
    with loaded() as fds:
        fd = fds["rm_map"]
        with attached("msg_map", fd):
            equal(uncounted(fd), [])
            send(fd)
            equal(refused(fd), {"no_socket": 1})
        with attached("msg_hash", fd):
            # Another claimed map counts it.
            equal(uncounted(fd), [])
        with attached("msg_st_map", fd):
            equal(uncounted(fd), [("msg_st_map", "other_maps", False)])
            assert "Let it use a claimed map" in said("drops"), said("drops")
        equal(said("drops", "map", str(map_id(fds["rm_hash"]))),
              "The selected maps and targets have lost no frame.\n")


@test("programs whose load the module has missed")
def _():
    with without_kprobes():
        missed = loaded()
        fds = missed.__enter__()
    try:
        for name in ("map", "hash"):
            equal(uncounted(fds[f"rm_{name}"]), sorted(
                (program, "kernel_helper", False) for program in (
                    ("msg_map", "skb_map", "msg_both", "ops_map") if name == "map" else
                    ("msg_hash", "skb_hash"))))
        fd = fds["rm_map"]
        with attached("msg_map", fd):
            send(fd)
        equal(refused(fd), {})
        text = said("drops", "map", str(map_id(fd)))
        assert "does not count the redirects of program " in text, text
        assert "does not count the updates of program " in text, text
        assert " (ops_map), sock_ops. The program calls the kernel's helper, because " in text
    finally:
        missed.__exit__(None, None, None)


@test("a redirect in a function; and with hidden constants")
def _():
    for harden in (0, 2):
        with sysctl("net/core/bpf_jit_harden", harden):
            with loaded("sock_uncounted") as fds:
                equal(uncounted(fds["rm_map"]), [])
            with without_kprobes():
                missed = loaded("sock_uncounted")
                fds = missed.__enter__()
            equal(uncounted(fds["rm_map"]), [("msg_func", "kernel_helper", False)])
            missed.__exit__(None, None, None)
            with without_kprobes():
                missed = loaded()
                fds = missed.__enter__()
            equal(len(uncounted(fds["rm_map"])), 4)
            missed.__exit__(None, None, None)


@test("a program that finds the map in an outer map")
def _():
    fd = make_map("rm_inner", SOCKMAP, value_size=8)
    outer, path = None, f"{PIN}/outer"
    try:
        checked(libbpf.bpf_obj_pin(fd, f"{PIN}/inner".encode()))
        sh(f"bpftool map create {path} type array_of_maps key 4 value 4 entries 2 name outer "
           f"inner_map pinned {PIN}/inner")
        outer = open_pinned(path)
        update(outer, 0, fd)
        for missed in (False, True):
            with without_kprobes() if missed else contextlib.nullcontext():
                sh(f"bpftool prog load {OUTPUT}/sock_inner.bpf.o {PIN}/msg "
                   f"map name outer pinned {path}")
            what = f"pinned {PIN}/msg msg_verdict id {map_id(fd)}"
            sh(f"bpftool prog attach {what}")
            send(fd, allowed=False)
            sh(f"bpftool prog detach {what}")
            # The first one is counted.
            equal(refused(fd), {"no_socket": 1})
            equal(uncounted(fd), [("msg", "kernel_helper", False)] if missed else [])
            sh(f"rm {PIN}/msg")
    finally:
        os.close(fd)
        if outer:
            os.close(outer)
        sh(f"rm -rf {PIN}/*")
    assert becomes(lambda: refcnt() == 0)


@test("a program that leads to others by tail calls")
def _():
    with loaded("sock_uncounted") as fds:
        fd = fds["rm_map"]

        def jump_to(program):
            sh(f"bpftool map update pinned {PIN}/m/jumps key 0 0 0 0 value pinned "
               f"{PIN}/p/{program}")

        with attached("msg_jump", fd):
            equal(uncounted(fd), [])
            jump_to("msg_stock")
            equal(uncounted(fd), [("msg_jump", "other_maps", False)])
            equal(told(fd)[0]["maps"], [map_id(fds["st_map"])])
            send(fd)
            equal(refused(fd), {})
            jump_to("msg_func")
            equal(uncounted(fd), [])
            send(fd)
            equal(refused(fd), {"no_socket": 1})
        sh(f"bpftool map delete pinned {PIN}/m/jumps key 0 0 0 0")


@test("a program that replaces a function of another one")
def _():
    with loaded("sock_uncounted") as fds:
        fd = fds["rm_map"]
        target = open_pinned(f"{PIN}/p/msg_replaced")

        def replacement():
            obj = ctypes.c_void_p(libbpf.bpf_object__open(
                f"{OUTPUT}/sock_replace.bpf.o".encode()))
            program = ctypes.c_void_p(libbpf.bpf_object__find_program_by_name(
                obj, b"replacement"))
            checked(libbpf.bpf_map__reuse_fd(ctypes.c_void_p(
                libbpf.bpf_object__find_map_by_name(obj, b"rm_map")), fd))
            checked(libbpf.bpf_program__set_attach_target(program, target, b"replaced"))
            checked(libbpf.bpf_object__load(obj))
            return obj, program

        with attached("msg_replaced", fd):
            equal(uncounted(fd), [("msg_replaced", "other_maps", False)])
            obj, program = replacement()
            link = ctypes.c_void_p(libbpf.bpf_program__attach_freplace(program, 0, None))
            assert link.value
            equal(uncounted(fd), [])
            send(fd)
            equal(refused(fd), {"no_socket": 1})
            libbpf.bpf_link__destroy(link)
            libbpf.bpf_object__close(obj)
            equal(uncounted(fd), [("msg_replaced", "other_maps", False)])
        with without_kprobes():
            obj, _program = replacement()
        equal(uncounted(fd), [("replacement", "kernel_helper", False)])
        text = said("drops")
        assert "does not count the redirects and updates of program " in text, text
        libbpf.bpf_object__close(obj)
        os.close(target)


@test("programs over stock maps have the same code before and after insmod")
def _():
    helpers = {"msg_stock": "bpf_msg_redirect_map", "skb_stock": "bpf_sk_redirect_map"}

    def compiled():
        """The code of these programs, and of one over a claimed map."""
        sh(f"bpftool prog loadall {OUTPUT}/sock_uncounted.bpf.o {PIN}/p pinmaps {PIN}/m")
        found = {}
        for name in (*helpers, "msg_func"):
            fd = open_pinned(f"{PIN}/p/{name}")
            found[name] = jited(fd)
            os.close(fd)
        sh(f"rm -rf {PIN}/*")
        return found

    with sysctl("net/core/bpf_jit_harden", 0), sysctl("kernel/kptr_restrict", 0):
        unload()
        before = compiled()
        load()
        after = compiled()
        for name, helper in helpers.items():
            # The only other address is that of the map.
            assert same_code(before[name], after[name]) <= 1
            for function, in (before[name], after[name]):
                assert address_of(helper) in targets(function).values(), (name, function)
        # The comparison finds another helper.
        try:
            same_code(before["msg_func"], after["msg_func"])
        except AssertionError as error:
            print(f"# {error}")
        else:
            raise AssertionError("a program over a claimed map has the same code")
    assert becomes(lambda: refcnt() == 0)


@test("the kernel hides its addresses: it is not known")
def _():
    with loaded("sock_uncounted") as fds, sysctl("kernel/kptr_restrict", 2):
        fd = fds["rm_map"]
        equal(uncounted(fd), [("msg_func", "hidden", False)])
        text = said("drops", "map", str(map_id(fd)))
        assert (f"It is not known whether map {map_id(fd)} (rm_map) counts the redirects of "
                "program ") in text and "kernel.kptr_restrict" in text, text


@test("without CAP_SYS_ADMIN it is not known, and the rest is reported")
def _():
    def there(*args):
        done = subprocess.run(["setpriv", "--bounding-set", "-sys_admin", COMMAND, *args],
                              text=True, capture_output=True, check=True)
        equal(done.stderr, "")
        return done.stdout

    with loaded() as fds:
        with attached("msg_map", fds["rm_map"]):
            send(fds["rm_map"])
        which = ("drops", "map", str(map_id(fds["rm_map"])))
        equal(json.loads(there("--json", *which))["uncounted"], None)
        text = there(*which)
        assert "refused 1 redirect" in text, text
        assert ("It is not known whether all programs of these maps are counted: Listing BPF "
                "programs needs CAP_SYS_ADMIN (EPERM).") in text, text


run()
