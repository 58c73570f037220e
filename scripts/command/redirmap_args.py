# SPDX-License-Identifier: GPL-2.0-only
"""The command line: commands, options, and words that select maps, targets and
devices in the syntax of bpftool(8) and ip(8).

This does not use argparse, whose import takes as long as the start of Python.
"""


class BadUsage(Exception):
    """Invalid arguments; .command is the command that they were given to."""

    def __init__(self, text, command):
        self.command = command
        super().__init__(text)


class Option:
    """An option. With a metavar it takes a value, which read() converts from
    text."""

    def __init__(self, names, name, text, metavar=None, read=None, several=False):
        self.names, self.name, self.text = names, name, text
        self.metavar, self.read, self.several = metavar, read, several


class Command:
    """A command. take() stores the words behind it in the arguments."""

    def __init__(self, name, run, text, words="", take=None, options=()):
        self.name, self.run, self.text = name, run, text
        self.words, self.take, self.options = words, take, options


class Arguments:
    """The parsed command line."""

    def __init__(self, options):
        self.run = self.given = None
        for option in options:
            empty = [] if option.several else None if option.metavar else False
            setattr(self, option.name, empty)
        # From words: devices, names of maps, seconds, a command.
        self.devices, self.names = [], []
        self.seconds = self.about = None

    def selected(self):
        """Does the command line select maps, targets or devices?"""
        return bool(self.maps or self.targets or self.devices or self.names)


# --- values -----------------------------------------------------------------


def is_number(text):
    """Is the text a number? A device may be named by other digits than 0 to
    9."""
    return text.isascii() and text.isdigit()


def number(text):
    if not is_number(text):
        raise ValueError(f"{text!r} is not a number")
    value = int(text)
    if value >= 2**32:
        raise ValueError(f"{text} does not fit into 32 bits")
    return value


def seconds(text):
    try:
        value = float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1e6:
        raise ValueError(f"{text} is not a number of seconds")
    return value


# --- words ------------------------------------------------------------------


def take_which(words, args):
    """Maps, targets and devices: [map] [id] ID, [map] name NAME, target [id]
    ID, [dev] DEVICE. A single number is the id of a map."""
    words = iter(words)

    def behind(word):
        try:
            return next(words)
        except StopIteration:
            raise ValueError(f"{word!r} needs a value behind it") from None

    for word in words:
        kind = word
        if kind in ("map", "target"):
            word = behind(word)
        if kind != "target" and word == "name":
            args.names.append(behind(word))
        elif kind != "map" and word == "dev":
            args.devices.append(behind(word))
        elif kind in ("map", "target") or word == "id" or is_number(word):
            chosen = args.targets if kind == "target" else args.maps
            chosen.append(number(behind(word) if word == "id" else word))
        else:
            args.devices.append(word)


def take_maps(words, args):
    """The same, for maps only."""
    take_which(words, args)
    if args.devices or args.targets:
        raise ValueError(f"{args.given} takes maps only, no targets or devices")


def take_seconds(words, args):
    if len(words) > 1:
        raise ValueError(f"unexpected argument {words[1]!r}")
    args.seconds = seconds(words[0]) if words else 1


def take_command(words, args):
    if len(words) > 1:
        raise ValueError(f"unexpected argument {words[1]!r}")
    args.about = words[0] if words else None


# --- the command line -------------------------------------------------------


def by_name(options):
    """A dictionary of the options, by each of their names."""
    return {name: option for option in options for name in option.names}


def take_option(word, words, options, args):
    """Store the option that a word names, with its value; returns its name."""
    name, given, value = word.partition("=")
    option = options.get(name)
    if not option:
        raise ValueError(f"unknown option {name}")
    if not option.metavar:
        if given:
            raise ValueError(f"{name} takes no value")
        setattr(args, option.name, True)
        return name
    if not given:
        value = next(words, None)
        if value is None:
            raise ValueError(f"{name} needs a value: {option.metavar}")
    try:
        value = option.read(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if option.several:
        getattr(args, option.name).append(value)
    else:
        setattr(args, option.name, value)
    return name


def check_options(names, command, commands, shared):
    """Refuse the options of other commands."""
    own = by_name([*shared, *command.options])
    for name in names:
        if name not in own:
            others = (one.name for one in commands.values() if name in by_name(one.options))
            raise ValueError(f"{name} is not an option of {command.name}, but of "
                             f"{', '.join(others)}")


def parse(argv, commands, shared, default):
    """Parse a command line. Options can stand before or behind the command, but
    not behind "--"."""
    every = [*shared, *(option for command in commands.values() for option in command.options)]
    args = Arguments(every)
    options = by_name(every)
    command = None
    named, rest = [], []
    words = iter(argv)
    options_end = False
    try:
        for word in words:
            if word == "--" and not options_end:
                options_end = True
            elif word.startswith("-") and not options_end:
                named.append(take_option(word, words, options, args))
            elif not command:
                if word not in commands:
                    raise ValueError(f"unknown command {word!r}")
                command = commands[word]
                args.given = word
            else:
                rest.append(word)
        command = command or commands[default]
        check_options(named, command, commands, shared)
        if rest and not command.take:
            raise ValueError(f"unexpected argument {rest[0]!r}")
        if command.take:
            command.take(rest, args)
    except ValueError as error:
        raise BadUsage(str(error), command) from None
    args.run = command.run
    return args


# --- help -------------------------------------------------------------------


def usage_of(command):
    words = f" {command.name} [OPTIONS]" if command else " [OPTIONS] [COMMAND]"
    if command and command.words:
        words += " " + command.words
    return f"usage: redirmap{words}\n"


def help_of(command, commands, shared, about, epilog):
    """The text that --help prints, for one command or for all."""

    def listed(rows):
        return "".join(f"  {left:24}{right}\n" for left, right in rows)

    text = usage_of(command) + "\n"
    text += (command.text[0].upper() + command.text[1:] + "." if command else about) + "\n"
    if not command:
        text += "\ncommands:\n" + listed((one.name, one.text) for one in commands.values())
    text += "\noptions:\n" + listed(
        (", ".join(one.names) + (" " + one.metavar if one.metavar else ""), one.text)
        for one in (*(command.options if command else ()), *shared)
    )
    return f"{text}\n{epilog}\n"
