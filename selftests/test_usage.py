#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""What is around the command redirmap: errors and exit statuses, its manual
page, bash completion, installation."""
import functools
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import testlib
from testlib import (COMMAND, TOP, equal, load_command, make_map, need_module, need_modules,
                     redirmap, run, sh, test)

need_module()
need_modules("pyroute2", "docutils")

from redirmap_reasons import REASONS  # noqa: E402

command = load_command()

PAGE = TOP / "Documentation/redirmap.8.rst"
COMPLETION = TOP / "scripts/redirmap-completion.bash"


OPTIONS = {
    name: {option for action in parser._actions for option in action.option_strings}
    for name, parser in command.parsers().items()
}
COMMANDS = set(OPTIONS) - {""}


def elsewhere(prepare, *args):
    """What the command does in a child that has made something else of itself."""
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
    """Root of a user and network namespace of our own."""
    uid = os.getuid()
    # CLONE_NEWUSER, CLONE_NEWNET
    testlib.checked(testlib.ctypes.CDLL(None).unshare(0x10000000 | 0x40000000))
    Path("/proc/self/uid_map").write_text(f"0 {uid} 1", encoding="ascii")


@test("options and commands are found")
def _():
    equal(COMMANDS, {"list", "watch", "drops", "state"})
    assert "--map" in OPTIONS["list"] and "--json" in OPTIONS["drops"], OPTIONS


# --- errors -----------------------------------------------------------------


@test("bad usage: 2, and what was bad")
def _():
    for args, words in (
            (("nothing",), "invalid choice: 'nothing'"),
            (("--nothing",), "unrecognized arguments: --nothing"),
            (("list", "--map", "x"), "argument --map: invalid number value: 'x'"),
            (("list", "--target", "-1"), "-1 is not a number of 32 bits"),
            (("list", "--map"), "argument --map: expected one argument"),
            (("watch", "0"), "0 is not a number of seconds"),
            (("watch", "nan"), "nan is not a number of seconds"),
            (("drops", "--map", "1"), "unrecognized arguments: --map 1")):
        status, out, err = redirmap(command, *args)
        equal((status, out), (2, ""))
        assert words in err and "usage: redirmap" in err, err


@test("what the kernel refuses: 1, with its words")
def _():
    for space in ("map", "target"):
        equal(redirmap(command, "list", "--" + space, "4000000000"),
              (1, "", f"redirmap: No {'claimed ' * (space == 'map')}{space} of this network "
                      "namespace has this id (ENOENT)\n"))
    equal(redirmap(command, "list", "--map", "0"),
          (1, "", "redirmap: integer out of range (ERANGE)\n"))


@test("not root: 4, and that it is so")
def _():
    want = (4, "", "redirmap: CAP_NET_ADMIN over this network namespace is needed: "
                   "you are not root\n")
    for args in ((), ("drops",), ("--json", "state"), ("watch", "--count", "1")):
        equal(elsewhere(nobody, *args), want)


@test("root without the capability: 4, and which one is missed")
def _():
    want = (4, "", "redirmap: CAP_NET_ADMIN over this network namespace is needed\n")
    # As a process: it is by the exit status that scripts know.
    done = subprocess.run(["setpriv", "--bounding-set", "-net_admin", sys.executable, COMMAND],
                          text=True, capture_output=True, check=False)
    equal((done.returncode, done.stdout, done.stderr), want)


@test("root of a container: its own namespaces, and for all of them 4 and why")
def _():
    status, out, err = elsewhere(contained)
    equal((status, err), (0, ""))
    assert "No claimed maps." in out and "No targets." in out, out
    equal(elsewhere(contained, "--all-netns"),
          (4, "", "redirmap: Other network namespaces take CAP_NET_ADMIN in the initial user "
                  "namespace (EPERM)\n"))


@test("the module is not loaded: 3, and that it is so")
def _():
    testlib.unload()
    try:
        for args in ((), ("drops",), ("--json", "list"), ("state",), ("watch",)):
            equal(redirmap(command, *args),
                  (3, "", "redirmap: the module redirmap is not loaded\n"))
        # To help, and to say what is wrong with arguments, it needs none.
        equal(redirmap(command, "--help")[0], 0)
        equal(redirmap(command, "nothing")[0], 2)
    finally:
        testlib.load()


@test("the module goes away meanwhile: 3")
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
        equal(redirmap(command, "watch", "--count", "2"),
              (3, "", "redirmap: the module redirmap is not loaded\n"))
    finally:
        redirmap_watch.time = clock
        testlib.load()


@test("who reads its output may leave, who started it may interrupt: no traceback")
def _():
    fds = [make_map(f"rm_{number}") for number in range(100)]
    done = sh(f"({sys.executable} {COMMAND} watch 0.1 || echo status $?) 2>&1 | head -n 1")
    assert "rates of" in done, done
    for fd in fds:
        os.close(fd)
    with subprocess.Popen([sys.executable, COMMAND, "watch", "0.1"], text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        child.stdout.readline()
        child.send_signal(signal.SIGINT)
        _, err = child.communicate()
        equal((child.returncode, err), (0, ""))


# --- the manual page --------------------------------------------------------


@functools.cache
def page():
    return sh(f"rst2man --strict {PAGE} | MANWIDTH=200 man --warnings -l - 2>&1")


@test("the manual page is one, and names all commands, options and reasons")
def _():
    text = page()
    assert "warning" not in text, text
    words = set(re.findall(r"[\w-]+", text))
    options = {option for options in OPTIONS.values() for option in options} - {"-h"}
    missing = (COMMANDS | options | {reason.name for reason in REASONS}) - words
    equal(missing, set())
    named = {word for word in words if re.fullmatch("--[a-z-]+", word)}
    equal(named - options, set())


@test("the manual page says what exit statuses mean")
def _():
    text = page()
    part = text[text.index("EXIT STATUS"):text.index("EXAMPLES")]
    equal({int(number) for number in re.findall(r"^ +(\d)\b", part, re.M)},
          {0, *(value for name, value in vars(command).items() if name.startswith("EXIT_"))})


@test("the manual page names all that JSON has")
def _():
    text = page()
    part = text[text.index("\nJSON\n"):text.index("EXIT STATUS")]
    words = set(re.findall(r"\w+", part))
    fd = make_map()
    testlib.update(fd, 0, 1)

    def names(told):
        if isinstance(told, list):
            return set().union(*map(names, told))
        if isinstance(told, dict):
            return set(told).union(*map(names, told.values()))
        return set()

    for args in (("list",), ("state",), ("watch", "--count", "1", "0.1")):
        told = json.loads(redirmap(command, "--json", *args)[1])
        equal(names(told) - words, set())
    os.close(fd)


# --- completion -------------------------------------------------------------


def completed(*words):
    """What bash offers for the last word."""
    program = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); '
               '$(complete -p redirmap | sed "s/.*-F \\([^ ]*\\).*/\\1/"); '
               'printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-uc", program, "bash", COMPLETION, "redirmap", *words],
                          text=True, capture_output=True, check=True)
    equal(done.stderr, "")
    return set(done.stdout.split())


@test("completion offers all commands and options, and no others")
def _():
    equal(completed(""), COMMANDS | OPTIONS[""] - {"-h"})
    for name in COMMANDS:
        equal(completed(name, ""), OPTIONS[name] - {"-h"})
        equal(completed("--json", name, "--"), OPTIONS[name] - {"-h"})


@test("completion of what has been begun")
def _():
    equal(completed("w"), {"watch"})
    equal(completed("--j"), {"--json"})
    equal(completed("list", "--m"), {"--map"})
    equal(completed("nothing-begins-so"), set())


@test("completion knows what takes a number")
def _():
    equal(completed("list", "--map", ""), set())
    equal(completed("watch", "--count", ""), set())


# --- installation -----------------------------------------------------------


@test("make install-tools: the command works from there, with its page and completion")
def _():
    with tempfile.TemporaryDirectory() as folder:
        sh(f"make -s -C {TOP} install-tools DESTDIR={folder} PREFIX=/usr")
        tool = Path(folder, "usr/sbin/redirmap")
        help_text = sh(f"cd /; env -u PYTHONPATH {tool} --help")
        assert help_text.startswith("usage: redirmap"), help_text
        text = sh(f"man -l {folder}/usr/share/man/man8/redirmap.8")
        assert "EXIT STATUS" in text, text
        completion = Path(folder, "usr/share/bash-completion/completions/redirmap")
        equal(completion.read_text(), COMPLETION.read_text())
        # Nothing leads back to the sources.
        for path in Path(folder).rglob("*"):
            assert not str(path.resolve()).startswith(str(TOP)), path
        sh(f"make -s -C {TOP} uninstall-tools DESTDIR={folder} PREFIX=/usr")
        equal([path for path in Path(folder).rglob("*") if not path.is_dir()], [])


run()
