# SPDX-License-Identifier: GPL-2.0-only
"""The command line: commands, options, and words that name maps, targets and
devices as bpftool(8) and ip(8) have them.

Not by argparse, whose import takes as long as Python's start.
"""


class BadUsage(Exception):
    """Arguments that make no sense; carries the command that they are for."""

    def __init__(self, text, command):
        self.command = command
        super().__init__(text)


class Option:
    """An option; with a metavar it takes a value, which read() makes of a text."""

    def __init__(self, names, name, text, metavar=None, read=None, several=False):
        self.names, self.name, self.text = names, name, text
        self.metavar, self.read, self.several = metavar, read, several


class Command:
    """A command; words() takes the words that follow, and the arguments."""

    def __init__(self, name, run, text, words="", take=None, options=()):
        self.name, self.run, self.text = name, run, text
        self.words, self.take, self.options = words, take, options


class Arguments:
    """The wishes of a command line."""

    def __init__(self, options):
        self.run = self.given = None
        for option in options:
            empty = [] if option.several else None if option.metavar else False
            setattr(self, option.name, empty)
        # Words alone: devices, names of maps, seconds, a command.
        self.devices, self.names = [], []
        self.seconds = self.about = None

    def selected(self):
        """Is it about some maps, targets or devices, and not about all?"""
        return bool(self.maps or self.targets or self.devices or self.names)


# --- values -----------------------------------------------------------------


def number(text):
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"{text!r} is not a number")
    value = int(text)
    if value >= 2**32:
        raise ValueError(f"{text} is not a number of 32 bits")
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
    """Maps, targets and devices: [map] [id] ID, [map] name NAME, target [id] ID,
    [dev] DEVICE. A number alone is a map's id."""
    words = iter(words)

    def behind(word):
        try:
            return next(words)
        except StopIteration:
            raise ValueError(f"{word!r} wants something behind it") from None

    for word in words:
        kind = word
        if kind in ("map", "target"):
            word = behind(word)
        if kind != "target" and word == "name":
            args.names.append(behind(word))
        elif kind != "map" and word == "dev":
            args.devices.append(behind(word))
        elif kind in ("map", "target") or word == "id" or word.isdigit():
            chosen = args.targets if kind == "target" else args.maps
            chosen.append(number(behind(word) if word == "id" else word))
        else:
            args.devices.append(word)


def take_maps(words, args):
    """The same, of maps only."""
    take_which(words, args)
    if args.devices or args.targets:
        raise ValueError("only maps are chosen from")


def take_seconds(words, args):
    if len(words) > 1:
        raise ValueError(f"what is {words[1]!r}?")
    args.seconds = seconds(words[0]) if words else 1


def take_command(words, args):
    if len(words) > 1:
        raise ValueError(f"what is {words[1]!r}?")
    args.about = words[0] if words else None


# --- the command line -------------------------------------------------------


def by_name(options):
    """Options by all their names."""
    return {name: option for option in options for name in option.names}


def take_option(word, words, options, args):
    """The option that a word names, with its value; what it is called there."""
    name, given, value = word.partition("=")
    option = options.get(name)
    if not option:
        raise ValueError(f"no option {name}")
    if not option.metavar:
        if given:
            raise ValueError(f"{name} takes no value")
        setattr(args, option.name, True)
        return name
    if not given:
        value = next(words, None)
        if value is None:
            raise ValueError(f"{name} wants a value: {option.metavar}")
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
    """Options of another command are refused."""
    own = by_name([*shared, *command.options])
    for name in names:
        if name not in own:
            others = (one.name for one in commands.values() if name in by_name(one.options))
            raise ValueError(f"{name} is no option of {command.name}, but of {', '.join(others)}")


def parse(argv, commands, shared, default):
    """The arguments of a command line; options stand before or behind the command."""
    every = [*shared, *(option for command in commands.values() for option in command.options)]
    args = Arguments(every)
    options = by_name(every)
    command = None
    named, rest = [], []
    words = iter(argv)
    try:
        for word in words:
            if word.startswith("-"):
                named.append(take_option(word, words, options, args))
            elif not command:
                if word not in commands:
                    raise ValueError(f"no command {word!r}")
                command = commands[word]
                args.given = word
            else:
                rest.append(word)
        command = command or commands[default]
        check_options(named, command, commands, shared)
        if rest and not command.take:
            raise ValueError(f"what is {rest[0]!r}?")
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
    """The text that --help prints, of a command or of all."""

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
