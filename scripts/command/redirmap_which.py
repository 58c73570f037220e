# SPDX-License-Identifier: GPL-2.0-only
"""Which maps and targets a command is about, and what lies beyond its view."""
from _socket import if_indextoname, if_nametoindex

from redirmap_netlink import Refused


class NotFound(Exception):
    """There is nothing of what was asked for."""


def here(args):
    return "" if args.all_netns else " in this network namespace"


def chosen_maps(args, family):
    """Maps that were named, or all when nothing was."""
    if not args.selected():
        return family.maps(None, args.all_netns)
    found = []
    for number in args.maps:
        found += family.maps(number, args.all_netns)
    if args.names:
        every = family.maps(None, args.all_netns)
        for name in args.names:
            named = [one for one in every if one["name"] == name]
            if not named:
                raise NotFound(f"no claimed map is named {name}{here(args)}")
            found += named
    return found


def chosen_targets(args, family, gone=()):
    """Targets that were named, by id or device, or all when nothing was. Devices that
    are gone may be named without having any."""
    if not args.selected():
        return family.targets(None, args.all_netns)
    found = []
    for number in args.targets:
        found += family.targets(number, args.all_netns)
    if args.devices:
        every = family.targets(None, args.all_netns)
        for name in args.devices:
            named = [one for one in every if one["ifname"] == name]
            if not named and name not in gone:
                raise NotFound(no_target(args, name))
            found += named
    return found


def ifindex_of(name):
    """That of a device of this network namespace, or 0."""
    try:
        return if_nametoindex(name)
    except OSError:
        return 0


def name_of_ifindex(ifindex):
    """That of a device of this network namespace, or None."""
    try:
        return if_indextoname(ifindex)
    except OSError:
        return None


def no_target(args, name):
    """Why there is no target for a device."""
    # Not by /sys, which may be another namespace's.
    if args.all_netns or ifindex_of(name):
        return f"no entry of a claimed map leads to {name}{here(args)}"
    return f"there is no device {name}{here(args)}"


def elsewhere(args, ask):
    """The maps of all namespaces, or the targets, where there may be more of them:
    ask() is family.maps() or family.targets()."""
    if args.all_netns or args.selected():
        return []
    try:
        return ask(None, True)
    except Refused:
        return []


def leads_elsewhere(args, maps):
    """Do entries of these maps lead to targets that were not told of?"""
    return not args.all_netns and any(one["elsewhere"] for one in maps)
