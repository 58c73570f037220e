#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The manual page of the command redirmap, its bash completion, and both after
installation: they have all commands and options, and no others."""
import functools
import json
import os
import re
import socket
import subprocess
import tempfile
from pathlib import Path

import testlib
from testlib import (TOP, equal, make_map, map_id, need_module, need_modules, redirmap, run, sh,
                     test)

need_module()
need_modules("docutils")

from optionlib import COMMANDS, OPTIONS, SHORT, command  # noqa: E402
from redirmap_reasons import REASONS  # noqa: E402
from socketlib import put  # noqa: E402

PAGE = TOP / "Documentation/redirmap.8.rst"
COMPLETION = TOP / "scripts/command/redirmap-completion.bash"


# --- the manual page --------------------------------------------------------


@functools.cache
def page():
    return sh(f"rst2man --strict {PAGE} | MANWIDTH=200 man --no-hyphenation --warnings -l - 2>&1")


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


@test("the manual page explains the exit statuses")
def _():
    text = page()
    part = text[text.index("EXIT STATUS"):text.index("EXAMPLES")]
    equal({int(number) for number in re.findall(r"^ +(\d)\b", part, re.M)},
          {0, *(value for name, value in vars(command).items() if name.startswith("EXIT_"))})


@test("the manual page names all fields of JSON")
def _():
    text = page()
    part = text[text.index("\nJSON\n"):text.index("EXIT STATUS")]
    # Reasons are in a section of their own; earlier tests have caused some.
    words = set(re.findall(r"\w+", part)) | {reason.name for reason in REASONS}
    fd, socks = make_map(), make_map("rm_socks", testlib.SOCKMAP)
    testlib.update(fd, 0, 1)
    sock = socket.create_server(("", 0))
    equal(put(socks, 0, sock), 0)

    def names(told):
        if isinstance(told, list):
            return set().union(*map(names, told))
        if isinstance(told, dict):
            return set(told).union(*map(names, told.values()))
        return set()

    for args in (("list",), ("state",), ("watch", "--count", "1", "0.1"), ("holders",),
                 ("drops", "--since", "0.1"), ("sockets", str(map_id(socks)))):
        told = json.loads(redirmap(command, "--json", *args)[1])
        equal(names(told) - words, set())
    sock.close()
    os.close(fd)
    os.close(socks)


@test("the module's manual page names its parameters, and its files exist")
def _():
    text = sh(f"rst2man --strict {TOP}/Documentation/redirmap.4.rst | "
              "MANWIDTH=200 man --no-hyphenation --warnings -l - 2>&1")
    assert "warning" not in text, text
    part = text[text.index("\nPARAMETERS\n"):text.index("\nFILES\n")]
    equal(set(re.findall(r"^ +(\w+) \(", part, re.M)), set(os.listdir(
        "/sys/module/redirmap/parameters")))
    for path in re.findall(r"/sys/[\w/]+", text):
        assert Path(path).exists(), path


# --- completion -------------------------------------------------------------


def completed(*words, folder=TOP / "scripts/command"):
    """The words that bash offers for the last one; the command is in the
    folder."""
    program = ('source "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=(); '
               '$(complete -p redirmap | sed "s/.*-F \\([^ ]*\\).*/\\1/"); '
               'printf "%s\\n" "${COMPREPLY[@]}"')
    path = f"{folder}:{os.environ['PATH']}"
    done = subprocess.run(["bash", "-uc", program, "bash", COMPLETION, "redirmap", *words],
                          text=True, capture_output=True, check=True,
                          env={**os.environ, "PATH": path})
    equal(done.stderr, "")
    return set(done.stdout.split())


@test("completion offers all commands and options, and no others")
def _():
    equal(completed(""), COMMANDS | OPTIONS[""] - SHORT)
    for name in COMMANDS - {"help"}:
        equal(completed(name, "--"), OPTIONS[name] - SHORT)
        equal(completed("--json", name, "--"), OPTIONS[name] - SHORT)
    equal(completed("help", ""), COMMANDS)


@test("completion of partial words")
def _():
    equal(completed("w"), {"watch"})
    equal(completed("--j"), {"--json"})
    equal(completed("list", "--m"), {"--map"})
    equal(completed("nothing-begins-so"), set())


@test("completion offers nothing for numbers")
def _():
    equal(completed("drops", "--since", ""), set())
    equal(completed("watch", "--count", ""), set())


@test("completion of the name of a file")
def _():
    equal(completed("metrics", "--output", "/etc/os-rel"), {"/etc/os-release"})


@test("completion of the existing maps, targets and devices")
def _():
    fds = [make_map(f"rm_comp{number}") for number in range(2)]
    testlib.update(fds[0], 0, 1)
    maps = {str(map_id(fd)) for fd in fds}
    target, = (str(one["id"]) for one in json.loads(redirmap(command, "-j")[1])["targets"])
    for name in ("list", "drops", "holders", "sockets"):
        equal(completed(name, "--map", ""), maps)
        equal(completed(name, "id", ""), maps)
        equal(completed(name, "map", "id", ""), maps)
        equal(completed(name, "map", ""), maps | {"id", "name"})
        equal(completed(name, "map", "name", "rm_"), {"rm_comp0", "rm_comp1"})
    for name in ("list", "drops"):
        equal(completed(name, "--target", ""), {target})
        equal(completed(name, "target", "id", ""), {target})
        equal(completed(name, "target", ""), {"id", target})
        equal(completed(name, "dev", ""), {"lo"})
        equal(completed(name, "l"), {"lo"})
        # The command accepts the offered words.
        for words in (["id", min(maps)], ["map", "name", "rm_comp0"], ["target", "id", target],
                      ["dev", "lo"], ["lo"], [min(maps)]):
            equal(redirmap(command, name, *words)[::2], (0, ""))
    for fd in fds:
        os.close(fd)


@test("completion quotes the names of devices, and runs no command in them")
def _():
    names = {"$(echo>ran)`id`", "a*", "b'c\\d", "port1"}
    rows = "".join(f"{number}  {name}\n" for number, name in enumerate(names))
    with tempfile.TemporaryDirectory() as folder:
        fake = Path(folder, "redirmap")
        fake.write_text(f"#!/bin/sh\ncat << 'END'\nTARGET  DEVICE\n{rows}END\n")
        fake.chmod(0o755)
        offered = completed("list", "dev", "", folder=folder)
    assert not Path("ran").exists()
    # A shell reads each offered word as the name.
    equal(set(sh("printf '%s\\n' " + " ".join(offered)).split()), names)
    equal({word for word in offered if word.startswith("po")}, {"port1"})


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
        # No path leads to the sources.
        for path in Path(folder).rglob("*"):
            assert not str(path.resolve()).startswith(str(TOP)), path
        sh(f"make -s -C {TOP} uninstall-tools DESTDIR={folder} PREFIX=/usr")
        equal([path for path in Path(folder).rglob("*") if not path.is_dir()], [])


run()
