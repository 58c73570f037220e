# SPDX-License-Identifier: GPL-2.0-only
"""How Sphinx builds these pages: scripts/lab/docs, which sets KERNEL_SOURCE.

The directive kernel-doc and the program behind it are those of Debian's
linux-source.
"""
import logging
import os
import posixpath
import subprocess
import sys
from pathlib import Path

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.addnodes import pending_xref
from sphinx.util.docutils import SphinxDirective

TOP = Path(__file__).resolve().parents[1]
KERNEL = Path(os.environ["KERNEL_SOURCE"])
sys.path.insert(0, str(KERNEL / "Documentation/sphinx"))

project = "redirmap"
author = "The redirmap developers"
copyright = "The redirmap developers"  # noqa: A001
release = version = subprocess.run([TOP / "scripts/lab/version"], capture_output=True, text=True,
                                   check=True).stdout.strip()
extensions = ["kerneldoc"]
kerneldoc_bin = str(KERNEL / "scripts/kernel-doc")
kerneldoc_srctree = str(TOP)

root_doc = "Documentation/index"
source_suffix = ".rst"
exclude_patterns = ["build", ".*"]
primary_domain = "c"
highlight_language = "none"
smartquotes = False
# Annotations of declarations in the sources.
c_id_attributes = ["__init", "__exit", "__percpu", "__rcu", "__user", "__must_check",
                   "__always_inline", "noinline"]
nitpicky = True
# Types of the kernel, and of C.
nitpick_ignore_regex = [("c:.*", ".*")]
html_theme = "alabaster"
html_copy_source = False
html_theme_options = {"description": "BPF redirect maps as a kernel module",
                      "page_width": "1100px", "fixed_sidebar": "true"}
html_last_updated_fmt = None


class SameName(logging.Filter):
    """Sphinx has one space of names for structures and functions, C two."""

    def filter(self, record):
        return "Duplicate C declaration" not in record.getMessage()


class SourceDocs(SphinxDirective):
    """source-docs:: FOLDER has the kernel-doc comments of a folder."""
    required_arguments = 1

    def run(self):
        lines = []
        for path in sorted((TOP / self.arguments[0]).glob("*.[ch]")):
            if "\n/**\n" in path.read_text(encoding="utf-8"):
                name = path.relative_to(TOP)
                lines += [f".. rubric:: {name}", "", f".. kernel-doc:: {name}", ""]
        found = nodes.container()
        self.state.nested_parse(StringList(lines, source=self.arguments[0]), 0, found)
        return [found]


def link_pages(app, doctree):
    """The pages link to each other as files, so that the links also work
    without Sphinx. Make these links references to pages, because Sphinx reports
    references without a target."""
    here = posixpath.dirname(app.env.docname)
    for node in list(doctree.findall(nodes.reference)):
        page, dot, anchor = node.get("refuri", "").partition(".rst")
        if not dot or ":" in page or anchor:
            continue
        name = posixpath.normpath(posixpath.join(here, page))
        reference = pending_xref(
            "", nodes.inline("", node.astext()), refdoc=app.env.docname, refdomain="std",
            reftype="doc", reftarget="/" + name, refexplicit=True, refwarn=True)
        reference.source, reference.line = node.source or node.parent.source, node.line
        node.replace_self(reference)


def setup(app):
    for handler in logging.getLogger("sphinx").handlers:
        handler.addFilter(SameName())
    app.add_directive("source-docs", SourceDocs)
    app.connect("doctree-read", link_pages)
