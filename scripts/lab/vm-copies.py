#!/usr/bin/python3 -I
# SPDX-License-Identifier: GPL-2.0-only
#
# Print the files that processes of tests open when they start: commands, their
# libraries, Python's modules and the locale, with the folders and the links on
# the way to them.
#
# A guest of scripts/lab/vm reads the host's files over 9p or virtiofs, which
# asks the host for each file that is opened and for each link that is followed:
# 20 to 150 times when a process starts. So the guest gets these files in its
# initramfs as well.

import contextlib
import importlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

COMMANDS = """
    awk basename bash bpftool bridge cat chmod cmp cp cut date diff dirname dmesg
    env ethtool expr false find flock getopt grep head id insmod ip jq kill ln ls
    lsmod mkdir mkfifo mktemp modprobe mv nc nohup nproc nsenter od pgrep pkill ps
    python3 readlink rm rmdir rmmod sed seq setpriv setsid sh sleep sort ss stat
    stdbuf sysctl tail taskset tc tee test timeout touch tr true uname uniq
    unshare wc xargs xdp-bench xdp-loader xdp-monitor
""".split()

MODULES = """
    argparse contextlib ctypes ctypes.util encodings.ascii encodings.idna
    encodings.latin_1 errno fcntl io itertools json math os pathlib random re
    resource select shlex shutil signal socket statistics struct subprocess
    tempfile threading time traceback
""".split()

DATA = """
    /etc/group /etc/ld.so.cache /etc/locale.alias /etc/nsswitch.conf /etc/passwd
    /usr/share/locale/locale.alias
""".split()

PATH = "/usr/sbin:/usr/bin:/sbin:/bin"

# A larger file is a library such as LLVM's, whose copy would take longer than
# it saves.
LARGEST = 8 << 20


def libraries(commands):
    """The libraries that ldd prints for these files."""
    done = subprocess.run(["/usr/bin/ldd", *commands], env={"PATH": PATH, "LC_ALL": "C"},
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                          check=False)
    return {word for word in done.stdout.split() if word[0] == "/" and word[-1] != ":"}


def modules():
    """The files of the modules, and of those that they import."""
    for name in MODULES:
        # A host may have a smaller Python.
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    for name, module in list(sys.modules.items()):
        for kind in "__file__", "__cached__":
            file = getattr(module, kind, None)
            if file and name != "__main__":
                yield file


def add(path, found):
    """Add a path to a set, with the folders and links that lead to it."""
    place = "/"
    for part in Path(path).parts[1:]:
        place = os.path.join(place, part)
        if os.path.islink(place):
            if place not in found:
                found.add(place)
                target = os.path.join(os.path.dirname(place), os.readlink(place))
                add(os.path.normpath(target), found)
            place = os.path.realpath(place)
        elif os.path.isdir(place) or os.path.getsize(place) <= LARGEST:
            found.add(place)


def main():
    commands = [file for name in COMMANDS if (file := shutil.which(name, path=PATH))]
    data = [*DATA, *map(str, Path("/usr/lib/locale").glob("C.*/**/*")),
            *map(str, Path("/usr/lib").glob("*/gconv/gconv-modules.cache"))]
    found = set()
    for file in [*commands, *libraries(commands), *modules(), *data]:
        # A package may be removed meanwhile.
        with contextlib.suppress(OSError):
            add(file, found)
    print(*sorted(found), sep="\n")


if __name__ == "__main__":
    main()
