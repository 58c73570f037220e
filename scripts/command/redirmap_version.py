# SPDX-License-Identifier: GPL-2.0-only
"""The versions of the command, the loaded module, the installed module."""
import os


def of_sources():
    """The version in src/version.h, which an installed copy contains."""
    here = os.path.dirname(os.path.realpath(__file__))
    with open(f"{here}/../../src/version.h", encoding="utf-8") as file:
        return next(line.split('"')[1] for line in file
                    if line.startswith("#define REDIRMAP_VERSION "))


# scripts/command/install replaces this line.
VERSION = of_sources()


def loaded(what="version"):
    """A line of the loaded module in /sys/module: version or srcversion. None:
    not loaded."""
    try:
        with open(f"/sys/module/redirmap/{what}", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return None


def installed():
    """The fields of the module that modprobe would load, as modinfo prints
    them, or {}."""
    # These take as long as Python's own start.
    import re
    import subprocess

    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    try:
        done = subprocess.run(["modinfo", "redirmap"], capture_output=True, text=True,
                              check=False, env={**os.environ, "PATH": path})
    except OSError:
        return {}
    return dict(re.findall(r"^(\w+): +(.*)$", done.stdout, re.M)) if not done.returncode else {}


def change_over():
    """A paragraph if the loaded module is not the installed one, else "".

    srcversion is a checksum of the sources.
    """
    file, running = installed(), loaded()
    if not running or not file or file.get("srcversion") == loaded("srcversion"):
        return ""
    version = file.get("version")
    what = f"module {version}" if version != running else f"another build of module {version}"
    return (f"{file['filename']} is {what}. To change over, release all claimed maps (see "
            "'redirmap holders'), then: rmmod redirmap && modprobe redirmap")


def note():
    """A sentence if the versions of the loaded module and of the command
    differ, else "". It starts no process, so that commands start fast."""
    running = loaded()
    if running in (None, VERSION):
        return ""
    return (f"the loaded module is {running}, and this command is {VERSION}; to change over, "
            "see 'redirmap --version'")
