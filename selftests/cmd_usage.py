#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The command redirmap: errors, exit statuses, and costs. For its manual page,
completion and installation see cmd_manual.py."""
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import testlib
from testlib import (COMMAND, TOP, equal, longer, make_map, map_id, need_module, redirmap, run,
                     sh, test)

need_module()

from optionlib import COMMANDS, OPTIONS, SHORT, command  # noqa: E402
import redirmap_version  # noqa: E402
from redirmap_netlink import Refused, errno_name  # noqa: E402


def elsewhere(prepare, *args):
    """The result of the command in a child that has changed its own
    privileges."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        try:
            prepare()
            result = redirmap(command, *args)
        except BaseException as error:
            result = repr(error)
        os.write(theirs, json.dumps(result).encode())
        os._exit(0)
    os.close(theirs)
    with open(ours, encoding="utf-8") as file:
        result = file.read()
    os.waitpid(child, 0)
    return tuple(json.loads(result))


def nobody():
    os.setgroups([])
    os.setresuid(65534, 65534, 65534)


def contained():
    """Root of a user and network namespace of the test's own."""
    uid = os.getuid()
    # CLONE_NEWUSER, CLONE_NEWNET
    testlib.checked(testlib.ctypes.CDLL(None).unshare(0x10000000 | 0x40000000))
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1", encoding="ascii")


@test("options and commands are found")
def _():
    equal(COMMANDS, {"list", "watch", "drops", "holders", "sockets", "metrics", "state",
                     "help"})
    assert "--map" in OPTIONS["list"] and "--json" in OPTIONS["drops"], OPTIONS
    equal({name for name in OPTIONS[""] if len(name) == 2}, SHORT)


# --- errors -----------------------------------------------------------------


@test("bad usage: 2, and the bad argument")
def _():
    for args, words in (
            (("nothing",), "unknown command 'nothing'"),
            (("--nothing",), "unknown option --nothing"),
            (("--since", "1"), "--since is not an option of list, but of drops"),
            (("--map", "1", "state"),
             "--map is not an option of state, but of list, drops, holders, sockets"),
            (("list", "--map", "x"), "--map: 'x' is not a number"),
            (("list", "--map=x"), "--map: 'x' is not a number"),
            (("list", "--target", "-1"), "--target: '-1' is not a number"),
            (("list", "--target", "4294967296"), "4294967296 does not fit into 32 bits"),
            (("list", "--map"), "--map needs a value: ID"),
            (("list", "--json=1"), "--json takes no value"),
            (("list", "id"), "'id' needs a value behind it"),
            (("list", "id", "x"), "'x' is not a number"),
            (("list", "target", "out1"), "'out1' is not a number"),
            (("holders", "dev", "lo"), "holders takes maps only"),
            (("sockets", "target", "1"), "sockets takes maps only"),
            (("watch", "0"), "0 is not a number of seconds"),
            (("watch", "nan"), "nan is not a number of seconds"),
            (("watch", "1", "2"), "unexpected argument '2'"),
            (("drops", "--since", "-1"), "--since: -1 is not a number of seconds"),
            (("state", "--map", "1"), "--map is not an option of state"),
            (("state", "more"), "unexpected argument 'more'"),
            (("help", "nothing"), "unknown command 'nothing'")):
        status, out, err = redirmap(command, *args)
        equal((status, out), (2, ""))
        assert words in err and "usage: redirmap" in err, err


@test("options in front of the command, and behind it")
def _():
    fd = make_map()
    chosen = "--map", str(map_id(fd))
    out = redirmap(command, "list", *chosen)[1]
    for args in ((*chosen, "list"), chosen):
        equal(redirmap(command, *args), (0, out, ""))
    status, out, err = redirmap(command, "--since", "0.1", *chosen, "--json", "drops")
    equal((status, err), (0, ""))
    equal(json.loads(out)["drops"], [])
    os.close(fd)


@test("help and versions, of redirmap and of each command")
def _():
    status, out, err = redirmap(command, "help")
    equal((status, err), (0, ""))
    for name in ("--help", "-h"):
        equal(redirmap(command, name), (0, out, ""))
    equal({line.split()[0] for line in out.splitlines() if line.startswith("  ")} - SHORT
          - {"--all-netns", *(name + "," for name in SHORT)}, COMMANDS)
    for name in COMMANDS:
        status, out, err = redirmap(command, "help", name)
        equal((status, err), (0, ""))
        equal(redirmap(command, name, "--help"), (0, out, ""))
        assert out.startswith(f"usage: redirmap {name} "), out
        words = set(re.findall(r"[\w-]+", out))
        equal(OPTIONS[name] - words, set())
    version = sh(f"{TOP}/scripts/lab/version").strip()
    equal(redirmap_version.VERSION, version)
    for name in ("--version", "-V"):
        equal(redirmap(command, name),
              (0, f"redirmap {version}; module {version} is loaded\n", ""))


@test("a module of another version than the command: a note on stderr, no other output")
def _():
    status, out, err = redirmap(command, "state")
    equal((status, err), (0, ""))
    version, redirmap_version.VERSION = redirmap_version.VERSION, "9.9"
    try:
        equal(redirmap(command, "state"),
              (0, out, f"redirmap: the loaded module is {version}, and this command is 9.9; to "
                       "change over, see 'redirmap --version'\n"))
    finally:
        redirmap_version.VERSION = version


@test("requests that the kernel refuses: 1, with its message")
def _():
    for space in ("map", "target"):
        equal(redirmap(command, "list", "--" + space, "4000000000"),
              (1, "", f"redirmap: No {'claimed ' * (space == 'map')}{space} has this id, or its "
                      "network namespace is another one (ENOENT)\n"))
    equal(redirmap(command, "list", "--map", "0"),
          (1, "", "redirmap: integer out of range (ERANGE)\n"))


@test("not root: 4, and a message")
def _():
    want = (4, "", "redirmap: the command needs CAP_NET_ADMIN for this network namespace; "
                   "you are not root\n")
    for args in ((), ("drops",), ("--json", "state"), ("watch", "--count", "1")):
        equal(elsewhere(nobody, *args), want)


@test("root without the capability: 4, and the missing capability")
def _():
    want = (4, "", "redirmap: the command needs CAP_NET_ADMIN for this network namespace\n")
    # As a process, because scripts see the exit status.
    done = subprocess.run(["setpriv", "--bounding-set", "-net_admin", sys.executable, COMMAND],
                          text=True, capture_output=True, check=False)
    equal((done.returncode, done.stdout, done.stderr), want)


@test("root of a container: its own namespaces, and for all of them 4 and why")
def _():
    status, out, err = elsewhere(contained)
    equal((status, err), (0, ""))
    assert "No claimed maps." in out and "No targets." in out, out
    equal(elsewhere(contained, "--all-netns"),
          (4, "", "redirmap: Other network namespaces need CAP_NET_ADMIN in the initial user "
                  "namespace (EPERM)\n"))


RELEASE = os.uname().release
NOT_LOADED = (3, "", "redirmap: the module redirmap is not loaded; load it with 'make && insmod "
              f"build/{RELEASE}/redirmap.ko' in the folder of its sources\n")


@test("the module is not loaded: 3, and how to load it")
def _():
    testlib.unload()
    try:
        for args in ((), ("drops",), ("--json", "list"), ("state",), ("watch",), ("holders",)):
            equal(redirmap(command, *args), NOT_LOADED)
        # Help and errors about arguments need no module.
        equal(redirmap(command, "--help")[0], 0)
        equal(redirmap(command, "nothing")[0], 2)
        equal(redirmap(command, "--version"),
              (0, f"redirmap {redirmap_version.VERSION}; no module is loaded\n", ""))
    finally:
        testlib.load()


@test("the module is unloaded meanwhile: 3")
def _():
    import redirmap_watch

    class Clock:
        monotonic = staticmethod(testlib.time.monotonic)
        strftime = staticmethod(testlib.time.strftime)

        @staticmethod
        def sleep(_seconds):
            testlib.unload()

    clock, redirmap_watch.time = redirmap_watch.time, Clock
    try:
        equal(redirmap(command, "watch", "--count", "2"), NOT_LOADED)
    finally:
        redirmap_watch.time = clock
        testlib.load()


@test("its reader may leave, its user may interrupt: no traceback")
def _():
    fds = [make_map(f"rm_{number}") for number in range(100)]
    done = sh(f"({sys.executable} {COMMAND} watch 0.1 || echo status $?) 2>&1 | head -n 1")
    assert "rates of" in done, done
    for fd in fds:
        os.close(fd)
    with subprocess.Popen([COMMAND, "watch", "0.1"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
        _, err = child.communicate()
        equal((child.returncode, err), (-signal.SIGINT, ""))


@test("output that cannot be written: 1, and why; no traceback")
def _():
    for args in ("--version", "help", "list --help", "state", "list"):
        for where, why in ((">&-", "standard output is closed"),
                           (">/dev/full", "No space left on device")):
            done = subprocess.run(["sh", "-c", f"exec {COMMAND} {args} {where}"], text=True,
                                  capture_output=True, check=False)
            equal((args, where, done.returncode, done.stdout), (args, where, 1, ""))
            assert re.fullmatch(rf"redirmap: \[Errno \d+\] {why}\n", done.stderr), done.stderr
    for where in ("2>&-", "2>/dev/full"):
        done = subprocess.run(["sh", "-c", f"exec {COMMAND} nothing {where}"], text=True,
                              capture_output=True, check=False)
        equal((where, done.returncode, done.stdout, done.stderr), (where, 2, "", ""))


PTRACE_TRACEME, PTRACE_DETACH, PTRACE_SYSCALL, PTRACE_SETOPTIONS = 0, 17, 24, 0x4200
# Otherwise an exec sends SIGTRAP, which arrives at the end of that system call.
PTRACE_O_TRACEEXEC = 0x10
libc = testlib.ctypes.CDLL(None)


def ptrace(request, pid, data=0):
    assert not libc.ptrace(request, pid, None, testlib.ctypes.c_void_p(data)), request


def interrupted_at(stop):
    """Run the command, and send SIGINT where it enters, or leaves, the system
    call of this number, counted from its exec. Returns its wait status and
    stderr; or the number of calls if it has ended before."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.dup2(theirs, 2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        ptrace(PTRACE_TRACEME, 0)
        os.execv(COMMAND, [COMMAND, "state"])
    os.close(theirs)
    with open(ours, encoding="utf-8") as err:
        os.waitpid(child, 0)
        ptrace(PTRACE_SETOPTIONS, child, PTRACE_O_TRACEEXEC)
        for done in range(stop):
            ptrace(PTRACE_SYSCALL, child)
            if os.WIFEXITED(os.waitpid(child, 0)[1]):
                return done
        os.kill(child, signal.SIGINT)
        ptrace(PTRACE_DETACH, child)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status), err.read()


@test("interrupted at any moment, also while it starts: it dies of SIGINT, no traceback")
def _():
    stops = interrupted_at(1 << 20)
    print(f"# {stops} stops")
    assert stops > 300, stops
    # Not at the last call, where it enters exit_group().
    for stop in range(0, stops - 1, longer(101, 29)):
        equal((stop, *interrupted_at(stop)), (stop, -signal.SIGINT, ""))


@test("errnos have the kernel's names")
def _():
    equal([errno_name(code) for code in (1, 6, 11, 35, 95, 524)],
          ["EPERM", "ENXIO", "EAGAIN", "EDEADLK", "EOPNOTSUPP", "524"])
    equal(str(Refused(95)), "Operation not supported (EOPNOTSUPP)")


# --- cost -------------------------------------------------------------------


@test("at its start it imports only modules that it needs")
def _():
    done = subprocess.run(["/usr/bin/python3", "-ES", "-X", "importtime", COMMAND], text=True,
                          capture_output=True, check=True)
    told = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert "redirmap_netlink" in told, told
    heavy = {"argparse", "collections", "contextlib", "ctypes", "enum", "functools", "gettext",
             "json", "pyroute2", "re", "shutil", "signal", "site", "socket", "subprocess",
             "typing", "redirmap_drops", "redirmap_holders", "redirmap_sockets", "redirmap_watch"}
    equal(told & heavy, set())
    assert len(told) < 40, told
    with open(COMMAND, encoding="utf-8") as file:
        equal(file.readline(), "#!/usr/bin/env -S --block-signal=INT /usr/bin/python3 -ES\n")


def calls(*args):
    """The number of function calls, in Python and C, that an answer takes."""
    count = 0

    def profile(_frame, event, _arg):
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        result = redirmap(command, *args)
    finally:
        sys.setprofile(None)
    equal(result[::2], (0, ""))
    return count


@test("listing is linear in the number of maps, without a process for any")
def _():
    fds, taken = [], {}
    for many in (100, 1000):
        fds += [make_map(f"rm_{number}") for number in range(len(fds), many)]
        before = sh("sed -n 's/^processes //p' /proc/stat")
        taken[many] = calls(), calls("--json")
        assert int(sh("sed -n 's/^processes //p' /proc/stat")) - int(before) < 10
    for fd in fds:
        os.close(fd)
    print(f"# calls: {taken}")
    for few, many in zip(taken[100], taken[1000]):
        assert 0 < many < 10 * few, taken


@test("maps are requested once, also without targets; JSON is a line")
def _():
    asked = []

    class Watched(command.Family):
        def maps(self, number=None, all_netns=False):
            asked.append(all_netns)
            return super().maps(number, all_netns)

    fd = make_map()
    family, command.Family = command.Family, Watched
    try:
        assert "No targets." in redirmap(command)[1]
        equal(asked, [False])
    finally:
        command.Family = family
    equal(redirmap(command, "--json")[1].count("\n"), 1)
    os.close(fd)


run()
