# SPDX-License-Identifier: GPL-2.0-only
"""The commands and options of redirmap, according to its own tables, for tests
that compare these with a document or the completion."""
import redirmap_main as command


def names_of(options):
    return {name for option in options for name in option.names}


COMMANDS = set(command.COMMANDS)
OPTIONS = {name: names_of((*command.SHARED, *one.options))
           for name, one in command.COMMANDS.items()}
OPTIONS[""] = names_of(command.SHARED)
SHORT = {"-h", "-j", "-V"}
