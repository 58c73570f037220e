# SPDX-License-Identifier: GPL-2.0-only
"""Select the maps and targets that a command line names."""
from _socket import if_indextoname, if_nametoindex

from redirmap_netlink import TRIES, Refused


class NotFound(Exception):
    """The requested map, target or device does not exist."""


def here(args):
    return "" if args.all_netns else " in this network namespace"


def chosen_maps(args, family):
    """The maps that the command line selects, or all maps."""
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
    """The targets that the command line selects by id or device, or all
    targets. A device in gone may have no target."""
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


def all_of(args, family):
    """All maps and targets, and the state with the sums of removed ones."""
    state = family.state()
    for _ in range(TRIES):
        maps, targets = chosen_maps(args, family), chosen_targets(args, family)
        before, state = state, family.state()
        # Otherwise a map or target that was removed meanwhile would be counted
        # twice, or not at all.
        if all(before["gone"][name] == state["gone"][name]
               for name in ("packets", "bytes", "drops", "missed")) and \
                before["sock_gone"] == state["sock_gone"]:
            break
    return maps, targets, state


def ifindex_of(name):
    """The ifindex of a device in this network namespace, or 0."""
    try:
        return if_nametoindex(name)
    except OSError:
        return 0


def name_of_ifindex(ifindex):
    """The name of a device in this network namespace, or None."""
    try:
        return if_indextoname(ifindex)
    except OSError:
        return None


def no_target(args, name):
    """The error text for a device without a target."""
    # /sys may belong to another namespace, so it is not used here.
    if args.all_netns or ifindex_of(name):
        return f"no entry of a claimed map points to {name}{here(args)}"
    return f"there is no device {name}{here(args)}"


def elsewhere(args, ask):
    """The maps or targets of all namespaces, if the command line covers the
    present namespace only. ask() is family.maps() or family.targets()."""
    if args.all_netns or args.selected():
        return []
    try:
        return ask(None, True)
    except Refused:
        return []


def leads_elsewhere(args, maps):
    """Do entries of these maps point to devices in hidden namespaces?"""
    return not args.all_netns and any(one["elsewhere"] for one in maps)
