# SPDX-License-Identifier: GPL-2.0-only
"""The part of redirmap drops about socket maps: redirects that were refused or
had a closing target, and updates that failed, with the cures."""
import errno
import os

from redirmap_reasons import CLOSING, FAILURES, OTHER_FAILURE, REFUSALS, UNKNOWN
from redirmap_table import ago, closing_of, map_name, redirects, seconds, this_netns, updates

TEXTS = {reason.name: reason.text for reason in REFUSALS}

# The key of the sums over removed maps
GONE = ("gone",)
GONE_NAME = "Removed socket maps"


def counts_of(sock):
    """Yield the kind ("refused" or "failed"), the reason or errno, the number,
    the age and the text of each counter above 0."""
    for reason, number in sock["refused"].items():
        yield ("refused", reason, number, sock["refused_ages"].get(reason),
               TEXTS.get(reason, UNKNOWN))
    closing = closing_of(sock)
    if closing:
        yield "refused", "closing", closing, None, CLOSING
    for name, number in sock["failed"].items():
        yield "failed", name, number, None, FAILURES.get(name, OTHER_FAILURE)


def things_of(look):
    """The maps of a Look, and the sums over removed maps, by key: what a record
    says about the map, and its counters."""
    things = {}
    for one in look.maps:
        if one["sock"]:
            things[one["id"], one["netns"], one["name"]] = (
                {"map": one["id"], "netns": one["netns"], "name": map_name(one)}, one["sock"])
    if look.sock_gone:
        things[GONE] = {"map": None, "netns": this_netns(), "name": GONE_NAME}, look.sock_gone
    return things


def baseline(before, after):
    """The former numbers of each map. Those of removed maps are added to the
    sums."""
    counted = {}
    for key, (what, sock) in before.items():
        # The sums of another namespace are reported only there.
        heir = key if key in after or what["netns"] != this_netns() else GONE
        numbers = counted.setdefault(heir, {})
        for kind, name, number, _, _ in counts_of(sock):
            numbers[kind, name] = numbers.get((kind, name), 0) + number
    return counted


def find(before, after, since):
    """Records of the redirects that have failed, and of the updates. before is
    None, or an earlier Look."""
    things = things_of(after)
    counted = baseline(things_of(before), things) if before else {}
    found = {"refused": [], "failed": []}
    for key, (what, sock) in things.items():
        for kind, name, number, age, text in counts_of(sock):
            unit = "redirects" if kind == "refused" else "updates"
            within = None
            if since:
                old = counted.get(key, {}).get((kind, name), 0)
                within = {"seconds": since, unit: max(number - old, 0)}
            more = {"reason": name, unit: number, "age": age} if kind == "refused" else {
                "errno": name, unit: number}
            found[kind].append({**what, **more, "since": within, "text": text})
    if since:
        found["refused"].sort(key=lambda one: -one["since"]["redirects"])
        found["failed"].sort(key=lambda one: -one["since"]["updates"])
    return found["refused"], found["failed"]


def refused_sentence(one, where):
    """A sentence about failed redirects: map, number, time, reason, cure."""
    name, since = one["name"] + where(one), one["since"]
    did = "accepted" if one["reason"] == "closing" else "refused"
    what = " to a closing socket" if one["reason"] == "closing" else ""
    number, when = redirects(one["redirects"]), ago(one, "redirects")
    if since:
        number = f"{redirects(since['redirects'])}{what} in {seconds(since)} s, {number} in all"
        what = ""
        if since["redirects"]:
            when = ""
    return f"{name} {did} {number}{what}{when}. {one['text']}"


def failed_sentence(one, where):
    """A sentence about failed updates: map, number, errno, cure."""
    name, since = one["name"] + where(one), one["since"]
    code = getattr(errno, one["errno"], None)
    why = f"with {one['errno']} ({os.strerror(code)})" if code else "with other errors"
    number = updates(one["updates"])
    if since:
        return (f"{name} failed {updates(since['updates'])} {why} in {seconds(since)} s, "
                f"{number} in all. {one['text']}")
    return f"{name} failed {number} {why}. {one['text']}"


def sentences(refused, failed, where):
    """Yield a sentence for each record of find(). where() returns the namespace
    of a record, as text."""
    for one in refused:
        yield refused_sentence(one, where)
    for one in failed:
        yield failed_sentence(one, where)
