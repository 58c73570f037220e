#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Compare the netlink family's specification with the header, the kernel's
schema and generator, and the constants of scripts/command/. A part of make
lint, not a test of a kernel."""
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from testlib import SPEC, TOP, equal, kernel_source, need_modules, run, test

need_modules("yaml", "jsonschema")

import jsonschema  # noqa: E402
import redirmap_netlink  # noqa: E402
import yaml  # noqa: E402
from redirmap_reasons import REASONS, REFUSALS  # noqa: E402

HEADER = TOP / "include/uapi/linux/redirmap.h"
# Enumerators in the header's enums of reasons that are no reasons.
SIZES = {"REDIRMAP_DROP_COUNT", "REDIRMAP_DROP_ROOM", "REDIRMAP_SOCK_REFUSAL_COUNT"}


def constants(text):
    """All enumerators, and the numeric and string macros, with their values."""
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    found = dict(re.findall(r"^#define\s+(\w+)\s+(\S+)$", text, flags=re.M))
    for body in re.findall(r"enum\s*\w*\s*{(.*?)}", text, flags=re.S):
        value = -1
        for entry in filter(None, (part.strip() for part in body.split(","))):
            name, _, given = (part.strip() for part in entry.partition("="))
            value = eval(given, {}, found) if given else value + 1
            found[name] = value
    return found


def enum_texts(text):
    """The kernel-doc text of each enumerator."""
    texts = {}
    for comment in re.findall(r"/\*\*(.*?)\*/", text, flags=re.S):
        name = None
        for line in comment.splitlines():
            line = line.strip().removeprefix("*").strip()
            at = re.match(r"@(\w+): (.*)", line)
            if at:
                name = at[1]
                texts[name] = at[2]
            elif not line:
                name = None
            elif name:
                texts[name] += " " + line
    return texts


def spec():
    return yaml.safe_load(SPEC.read_text())


def generated():
    """The header that the kernel's generator makes from the specification."""
    source = kernel_source()
    with tempfile.TemporaryDirectory() as folder:
        # The generator looks for its schema, and for the root of a kernel tree.
        specs = Path(folder, "Documentation/netlink/specs")
        specs.mkdir(parents=True)
        Path(folder, "MAINTAINERS").touch()
        shutil.copy(SPEC, specs)
        shutil.copy(source / "Documentation/netlink/genetlink-legacy.yaml", specs.parent)
        return subprocess.run(
            [sys.executable, source / "tools/net/ynl/ynl-gen-c.py", "--mode", "uapi",
             "--header", "--spec", specs / SPEC.name],
            text=True, stdout=subprocess.PIPE, check=True,
        ).stdout


ours = HEADER.read_text()
theirs = generated()


@test("the specification fits the kernel's schema")
def _():
    schema = kernel_source() / "Documentation/netlink/genetlink-legacy.yaml"
    jsonschema.validate(spec(), yaml.safe_load(schema.read_text()))


@test("its enums and names are the header's")
def _():
    header, want = constants(ours), constants(theirs)
    del header["REDIRMAP_DROP_COUNT"], header["REDIRMAP_SOCK_REFUSAL_COUNT"]
    equal(header.pop("REDIRMAP_DROP_ROOM"), int(want.pop("REDIRMAP_DROP_ROOM")))
    equal(header, want)


@test("the header's count of reasons is right")
def _():
    for name in ("drop", "sock-refusal"):
        entries = next(one["entries"] for one in spec()["definitions"] if one["name"] == name)
        size = f"REDIRMAP_{name.upper().replace('-', '_')}_COUNT"
        equal(constants(ours)[size], len(entries))


@test("its texts are the header's")
def _():
    header, want = enum_texts(ours), enum_texts(theirs)
    for name in want:
        equal(header.get(name), want[name])


@test("the command has a text for each reason, the header's")
def _():
    texts = enum_texts(ours)
    for prefix, known in (("REDIRMAP_DROP_", REASONS), ("REDIRMAP_SOCK_REFUSAL_", REFUSALS)):
        reasons = sorted(
            (value, name) for name, value in constants(ours).items()
            if name.startswith(prefix) and name not in SIZES
        )
        equal(
            [(reason.name, reason.text) for reason in known],
            [(name.removeprefix(prefix).lower(), texts[name]) for _, name in reasons],
        )


@test("the tracepoints name each reason as the command does, and in no other order")
def _():
    for file, prefix, known in (("redirmap_dev.h", "REDIRMAP_DROP_", REASONS),
                                ("redirmap_sock.h", "REDIRMAP_SOCK_REFUSAL_", REFUSALS)):
        text = (TOP / "include/trace/events" / file).read_text()
        named = re.findall(rf'\bEMe?\({prefix}(\w+), "(\w+)"\)', text)
        equal(named, [(reason.name.upper(), reason.name) for reason in known])


@test("the command's attributes, commands and kinds of hooks are the header's")
def _():
    header = constants(ours)
    for kind in vars(redirmap_netlink).values():
        if not (getattr(kind, "prefix", None) or "").startswith("REDIRMAP_A_"):
            continue
        numbers = {kind.prefix + name.upper(): number for name, number in kind.numbers.items()}
        equal({name: header[name] for name in numbers}, numbers)
        equal(header[kind.prefix + "MAX"], len(numbers))
    for name in ("STATE_GET", "MAP_GET", "TARGET_GET", "SOCKET_GET"):
        equal(getattr(redirmap_netlink, name), header["REDIRMAP_CMD_" + name])
    equal(header["REDIRMAP_CMD_MAX"], 4)
    for number, name in enumerate(redirmap_netlink.HOOK_KINDS):
        equal(number, header["REDIRMAP_HOOK_" + name.upper()])
    equal(header["REDIRMAP_FAMILY_NAME"], f'"{redirmap_netlink.NAME}"')
    equal(int(header["REDIRMAP_FAMILY_VERSION"]), redirmap_netlink.VERSION)


run()
