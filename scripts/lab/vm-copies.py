#!/usr/bin/python3
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

# A larger file is a library such as LLVM's, whose copy would take longer than
# it saves.
LARGEST = 8 << 20


def libraries(commands):
    """The libraries that ldd prints for these files."""
    said = subprocess.run(["ldd", *commands], stdout=subprocess.PIPE,
                          stderr=subprocess.DEVNULL, text=True, check=False).stdout
    return {word for word in said.split() if word[0] == "/" and word[-1] != ":"}


def modules():
    """The files of the modules, and of those that they import."""
    for name in MODULES:
        importlib.import_module(name)
    for module in list(sys.modules.values()):
        for name in "__file__", "__cached__":
            if file := getattr(module, name, None):
                yield file


def add(path, found):
    """Add a path to a set, with the folders and links that lead to it."""
    place = "/"
    for part in Path(path).parts[1:]:
        place = os.path.join(place, part)
        if not os.path.lexists(place):
            return
        if os.path.islink(place):
            found.add(place)
            target = os.path.join(os.path.dirname(place), os.readlink(place))
            place = os.path.realpath(place)
            add(os.path.normpath(target), found)
        elif os.path.isdir(place) or os.path.getsize(place) <= LARGEST:
            found.add(place)


def main():
    path = "/usr/sbin:/usr/bin:/sbin:/bin"
    commands = [file for name in COMMANDS if (file := shutil.which(name, path=path))]
    data = [*DATA, *map(str, Path("/usr/lib/locale").glob("C.*/**/*")),
            *map(str, Path("/usr/lib").glob("*/gconv/gconv-modules.cache"))]
    found = set()
    for file in [*commands, *libraries(commands), *modules(), *data]:
        add(file, found)
    print(*sorted(found), sep="\n")


if __name__ == "__main__":
    main()
