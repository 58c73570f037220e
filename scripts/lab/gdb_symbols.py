#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Print arguments of objcopy that add the names of /proc/kallsyms to an ELF
file.

usage: gdb_symbols.py SECTIONS KALLSYMS

A line of SECTIONS has the name of a section, its address, and its size.
"""
import sys
from pathlib import Path


def main():
    if len(sys.argv) != 3:
        print(__doc__.strip(), file=sys.stderr)
        return 2
    sections = []
    for line in Path(sys.argv[1]).read_text(encoding="ascii").splitlines():
        name, address, size = line.split()
        # The per-CPU section begins at 0.
        if int(address, 16):
            sections.append((int(address, 16), int(address, 16) + int(size, 16), name))
    for line in Path(sys.argv[2]).read_text(encoding="ascii").splitlines():
        text, kind, name = line.split()[:3]
        address = int(text, 16)
        section = next((one for one in sections if one[0] <= address < one[1]), None)
        if section and kind in "tTdDbBrR" and not set(name) - set(
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_."):
            flags = ("global" if kind.isupper() else "local") + (
                ",function" if kind in "tT" else ",object")
            print(f"--add-symbol {name}={section[2]}:{address - section[0]:#x},{flags}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
