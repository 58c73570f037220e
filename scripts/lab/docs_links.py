#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Print the links of HTML pages whose file, or place in a file, does not exist.

usage: docs_links.py FOLDER

Links to other machines are not followed. The exit status is 1 if a link is
printed.
"""
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit


class Page(HTMLParser):
    def __init__(self, path):
        super().__init__()
        self.links, self.places = set(), set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, _, attrs):
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.links.add(value)
            elif name in ("id", "name"):
                self.places.add(value)


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        print(__doc__.strip(), file=sys.stderr)
        return 2
    top = Path(sys.argv[1]).resolve()
    pages = {path: Page(path) for path in top.rglob("*.html")}
    bad = 0
    for path, page in sorted(pages.items()):
        for link in sorted(page.links):
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if not target.exists() or (parts.fragment and target in pages and
                                       unquote(parts.fragment) not in pages[target].places):
                print(f"{path.relative_to(top)}: {link}")
                bad = 1
    return bad or not pages


if __name__ == "__main__":
    sys.exit(main())
