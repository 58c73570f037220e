#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Print Debian's changelog, from Documentation/changes.rst.

usage: scripts/deb/changelog.py DATE MAINTAINER

DATE, in RFC 5322, is for the version that is not released yet.
"""
import email.utils
import re
import sys
import textwrap
from datetime import datetime, timezone
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "Documentation/changes.rst"
SECTION = re.compile(r"^([0-9][0-9.]*) \(([\d-]+|unreleased)\)\n=+\n(.*?)(?=^[0-9]|\Z)",
                     re.M | re.S)


def items(text):
    for item in re.findall(r"^\* (.*(?:\n  .*)*)", text, re.M):
        plain = " ".join(item.replace("``", "").split())
        yield textwrap.fill(plain, 76, initial_indent="  * ", subsequent_indent="    ",
                            break_on_hyphens=False)


def main():
    if len(sys.argv) != 3 or sys.argv[1].startswith("-"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    now, maintainer = sys.argv[1:]
    for version, day, text in SECTION.findall(PAGE.read_text(encoding="utf-8")):
        date = now if day == "unreleased" else email.utils.format_datetime(
            datetime.fromisoformat(day).replace(tzinfo=timezone.utc))
        print(f"redirmap ({version}) unstable; urgency=medium\n")
        print("\n".join(items(text)))
        print(f"\n -- {maintainer}  {date}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
