# SPDX-License-Identifier: GPL-2.0-only
"""redirmap drops: the devices and maps that have lost frames, the number of
frames, the reason, the cure, and whether the loss goes on."""
import errno
import os
import time

from redirmap_netlink import Refused, errno_name
from redirmap_reasons import ERRORS, OTHER_ERROR, REASONS, REFUSED, UNKNOWN
from redirmap_table import (ago, drops_of, failed_of, frames, lookups, map_name, netns_names,
                            plain, print_json, redirects, restarted, seconds, this_netns)
from redirmap_which import (NotFound, chosen_maps, chosen_targets, elsewhere, leads_elsewhere,
                            name_of_ifindex)

TEXTS = {reason.name: reason.text for reason in REASONS}
NOTHING = {
    "packets": 0, "bytes": 0, "as_packets": 0, "drops": {}, "missed": {}, "error": None,
    "ages": {}, "unsegmented": 0, "missed_ages": {},
}

# The key of the sums over removed maps and targets
GONE = ("gone",)
GONE_NAME = "Removed maps and targets"
# Invalid redirects (no_target), in this network namespace
NETNS_NAME = "This network namespace"

# The actions for a missing entry that may mean a loss, in words
MISSED = {
    "aborted": "XDP_ABORTED (flags 0)",
    "drop": "XDP_DROP",
}
MISSED_TEXT = (
    "Such frames are dropped, unless the program does something else with them. Add an entry "
    "for the key, or use another action in the flags of bpf_redirect_map()."
)

# For frames that were too large, and that probably were not segmented yet. The
# module knows of most of them only that they were longer than the MTU of their
# ingress.
UNSEGMENTED = (
    "probably not segmented yet, because the length exceeds the MTU of the ingress device. "
    "Generic XDP sees packets that the sender leaves to the hardware to segment (TSO, GSO), and "
    "packets that GRO of a NIC has merged. A larger MTU does not help. If the map's frames may "
    "leave as packets (parameter packets), the module segments TCP and UDP, except the first "
    "packet of a target, and packets of tunnels. If the loss goes on, use ethtool -K SENDER tso "
    "off gso off tx-udp-segmentation off, or, if the ingress is a VLAN or bond, ethtool -K NIC "
    "gro off. If it still goes on, the MTU of the sender is larger than the MTU of the ingress "
    "device: lower it."
)
# For frames that left as packets.
SLOW = "The device takes packets, not XDP frames, which is slower."
# Reasons for which the cure depends on the kind of the device
ADVISED = ("no_xmit", "driver_error", "xmit_drop")


def target_name(target):
    name = target["ifname"]
    if target["prog_id"] is not None:
        name += f" with egress program {target['prog_id']}"
    return name


def former_name(one):
    """The name of a device whose targets were removed. The device may still
    exist, and may have another name now."""
    now = name_of_ifindex(one["ifindex"])
    if now is None:
        return f"{one['ifname']} (gone)"
    renamed = "" if now == one["ifname"] else f"now {now}, "
    return f"{one['ifname']} ({renamed}removed entries)"


def combined(one, other, sign=1):
    """The sum of two sets of counters, or their difference."""

    def each(kind):
        numbers = dict(one[kind])
        for name, number in other[kind].items():
            numbers[name] = max(numbers.get(name, 0) + sign * number, 0)
        return {name: number for name, number in numbers.items() if number}

    def latest(kind, counted):
        # The age of a difference is not known.
        ages = {name: age for name, age in one[kind].items() if name not in other[counted]}
        if sign > 0:
            for of_these in (one[kind], other[kind]):
                for name, age in of_these.items():
                    ages[name] = min(age, ages.get(name, age))
        return ages

    return {
        **{
            name: max(one[name] + sign * other[name], 0)
            for name in ("packets", "bytes", "as_packets", "unsegmented")
        },
        "drops": each("drops"),
        "missed": each("missed"),
        "error": one["error"] or other["error"],
        "ages": latest("ages", "drops"),
        "missed_ages": latest("missed_ages", "missed"),
    }


class Look:
    """The losses of all maps and targets at one moment.

    Each map and target has a key, counters, and an heir. The key identifies the
    map or target; an id alone does not, because ids are reused. The heir is the
    key of the sums to which the counters are added when the map or target is
    removed.
    """

    def __init__(self, args, family):
        self.things = {}
        self.maps, self.targets = [], []
        # The sums over removed socket maps of this namespace
        self.sock_gone = None
        by_map = args.maps or args.names
        by_target = args.targets or args.devices
        gone = self._gone(args, family) if args.devices or not args.selected() else set()
        if by_target or not by_map:
            self.targets = chosen_targets(args, family, gone)
        if by_map or not by_target:
            self.maps = chosen_maps(args, family)
        # Removed things come last.
        former, self.things = self.things, {}
        for one in self.targets:
            self._add(
                ("target", one["id"], one["netns"], one["ifindex"], one["prog_id"], one["entry"]),
                ("gone", one["ifindex"], one["ifname"]),
                target_name(one), one["stats"], one["netns"], target=one["id"],
                ifindex=one["ifindex"],
            )
        for one in self.maps:
            if not one["stats"]:
                continue
            self._add(
                ("map", one["id"], one["netns"], one["name"]), GONE, map_name(one),
                one["stats"], one["netns"], map_id=one["id"],
            )
        self.things.update(former)

    def _add(self, key, heir, name, stats, netns, map_id=None, target=None, ifindex=None):
        what = {
            "map": map_id, "target": target, "ifindex": ifindex, "netns": netns, "name": name,
        }
        self.things[key] = what, stats, heir

    def _gone(self, args, family):
        """Add the removed things; returns the names of their devices."""
        state = family.state()
        rest = state["gone"]
        for one in state["gone_devices"]:
            rest = combined(rest, one["stats"], -1)
            if not args.devices or one["ifname"] in args.devices:
                self._add(("gone", one["ifindex"], one["ifname"]), GONE, former_name(one),
                          one["stats"], this_netns(), ifindex=one["ifindex"])
        if not args.devices:
            self.sock_gone = state["sock_gone"]
            self._add(GONE, None, GONE_NAME, rest, this_netns())
            self._add(("netns",), None, NETNS_NAME, state["lost"], this_netns())
        return {one["ifname"] for one in state["gone_devices"]}


def look(args, family):
    """The losses of all maps and targets, each of them exactly once."""
    if args.selected():
        return Look(args, family)
    return family.settled(lambda: Look(args, family))


def sum_of(stats):
    return stats["packets"] + drops_of(stats)


def text_of(reason, packets, stats):
    """The cause and the cure, as far as the counters show them."""
    text = TEXTS.get(reason, UNKNOWN)
    if reason == "driver_error" and stats["error"]:
        return f"{REFUSED} {ERRORS.get(errno_name(stats['error']), OTHER_ERROR)}"
    if reason != "too_large" or not stats["unsegmented"]:
        return text
    if stats["unsegmented"] >= packets:
        return f"{'The packet was' if packets == 1 else 'The packets were'} {UNSEGMENTED}"
    number = stats["unsegmented"]
    return (f"Of these frames, {number:,} {'was' if number == 1 else 'were'} {UNSEGMENTED} The "
            f"other frames: {text}")


def losses(what, stats, since=None, before=None):
    """Yield a record for each reason with lost frames."""
    for reason, packets in stats["drops"].items():
        within = None
        if since:
            # Counters of a replaced entry restart; sums over removed maps and
            # targets do not.
            anew = what["target"] is not None and before and restarted(before, stats)
            old = before if before and not anew else NOTHING
            within = {
                "seconds": since,
                "packets": max(packets - old["drops"].get(reason, 0), 0),
                "offered": max(sum_of(stats) - sum_of(old), 0),
            }
        yield {
            **what,
            "reason": reason,
            "packets": packets,
            "error": stats["error"] if reason == "driver_error" else None,
            "age": stats["ages"].get(reason),
            "unsegmented": stats["unsegmented"] if reason == "too_large" else 0,
            "offered": sum_of(stats),
            "since": within,
            "text": text_of(reason, packets, stats),
        }


def baseline(before, after):
    """The former counters of each map and target. Counters of removed ones are
    added to their heirs."""
    counted = {key: stats for key, (_, stats, _) in before.things.items()}
    for key, (what, stats, heir) in before.things.items():
        # The sums of another namespace are reported only there.
        if key in after.things or not heir or what["netns"] != this_netns():
            continue
        heir = heir if heir in after.things else GONE
        counted[heir] = combined(counted.get(heir, NOTHING), stats)
    return counted


def misses(what, stats, since=None, before=None):
    """Yield a record for each action that failed lookups have returned."""
    for action, number in stats["missed"].items():
        within = None
        if since:
            old = (before or NOTHING)["missed"].get(action, 0)
            within = {"seconds": since, "lookups": max(number - old, 0)}
        yield {
            **{name: what[name] for name in ("map", "target", "netns", "name")},
            "action": action, "lookups": number, "age": stats["missed_ages"].get(action),
            "since": within,
        }


def slow_targets(look):
    """Records of targets whose frames left as packets although the parameter
    qdisc does not select the map. They are not lost, but cost more than XDP
    frames."""
    return [
        {
            "target": one["id"], "ifindex": one["ifindex"], "netns": one["netns"], "map": None,
            "name": target_name(one), "packets": one["stats"]["as_packets"],
            "sent": one["stats"]["packets"], "text": SLOW,
        }
        for one in look.targets
        if one["packets"] == "fallback" and one["stats"]["as_packets"]
    ]


def advise(found, slow, targets):
    """Replace the texts by advice for the kind of each device."""
    found = [one for one in found if one["reason"] in ADVISED and one["target"] is not None]
    if not (found or slow):
        return
    # Rarely needed, so it is imported only here.
    from redirmap_advice import Adviser

    packets = {one["id"]: one["packets"] for one in targets}
    with Adviser() as adviser:
        for loss in found:
            loss["text"] = adviser.text(loss, packets[loss["target"]])
        for one in slow:
            cure = adviser.cure(one)
            if cure:
                one["text"] += f" {cure}"


def find_losses(before, after, since):
    """Records of all losses. before is None, or an earlier Look."""
    counted = baseline(before, after) if before else {}
    found, missed = [], []
    for key, (what, stats, _) in after.things.items():
        found += losses(what, stats, since, counted.get(key))
        missed += misses(what, stats, since, counted.get(key))
    if since:
        # Losses that go on come first, the largest one at the top.
        found.sort(key=lambda one: -one["since"]["packets"])
        missed.sort(key=lambda one: -one["since"]["lookups"])
    return found, missed


def find_failures(before, after, since):
    """Records of the redirects to sockets that have failed, and of the updates
    of socket maps. before is None, or an earlier Look."""
    gone = after.sock_gone
    if not (any(one["sock"] for one in after.maps) or gone and (failed_of(gone) or
                                                                gone["failed"])):
        return [], []
    # Rarely needed, so it is imported only here.
    import redirmap_failures

    return redirmap_failures.find(before, after, since)


def find_uncounted(look, family):
    """Records of the programs whose redirects the socket maps do not count, and
    None; or None, and the reason why they are not known."""
    if not any(one["sock"] for one in look.maps):
        return [], None
    try:
        import redirmap_uncounted

        return redirmap_uncounted.find(look.maps, family), None
    except (Refused, OSError) as error:
        return None, error


def of_frames(loss, counts):
    """"17 of 1,041 frames"; for a map only "17 frames", because no counter has
    the total."""
    if loss["map"] is not None or loss["name"] in (GONE_NAME, NETNS_NAME):
        return frames(counts["packets"])
    return f"{counts['packets']:,} of {frames(counts['offered'])}"


def sentence(loss, where):
    """A sentence about a loss: device, number of frames, time, reason, cure."""
    name = loss["name"] + where(loss)
    since = loss["since"]
    if not since:
        said = f"{name} lost {of_frames(loss, loss)}{ago(loss)}."
    elif since["packets"]:
        said = (f"{name} lost {of_frames(loss, since)} in {seconds(since)} s, "
                f"{loss['packets']:,} in all: the loss goes on.")
    else:
        said = (f"{name} lost none in {seconds(since)} s, {of_frames(loss, loss)} before"
                f"{ago(loss)}: the loss has stopped, or there is no traffic.")
    said += " " + loss["text"]
    if loss["error"]:
        code = errno_name(loss["error"])
        said += f" The last error was {code} ({os.strerror(loss['error'])})."
    return said


def missed_sentence(miss, where):
    """A sentence about misses: map, number of lookups, action, cure."""
    name, since = miss["name"] + where(miss), miss["since"]
    number = lookups(miss["lookups"])
    when = ago(miss, "lookups")
    if since:
        number = f"{lookups(since['lookups'])} in {seconds(since)} s, {number} in all"
        if since["lookups"]:
            when = ""
    return (f"{name} found no entry in {number}{when}, and returned {MISSED[miss['action']]}. "
            f"{MISSED_TEXT}")


def nothing_lost(args, family):
    """The sentence if there is no loss to report."""
    if args.selected():
        return "The selected maps and targets have lost no frame."
    found = [one for ask in (family.maps, family.targets) for one in elsewhere(args, ask)]
    others = [one["stats"] for one in found if one["stats"]]
    lost = sum(map(drops_of, others))
    missed = sum(stats["missed"].get(action, 0) for stats in others for action in MISSED)
    failed = sum(failed_of(one["sock"]) for one in found if one.get("sock"))
    if failed and not lost:
        return (f"No frame was lost in this network namespace; {redirects(failed)} to sockets "
                "failed in others: see --all-netns.")
    if missed and not lost:
        return (f"No frame was lost in this network namespace; {lookups(missed)} in others "
                "found no entry: see --all-netns.")
    if lost:
        return (f"No frame was lost in this network namespace; {frames(lost)} in others: see "
                "--all-netns.")
    return "No frame was lost."


def gone_meanwhile(args, family):
    """The selected ids whose map or target was removed, as text."""
    gone = []
    for kind, ask, numbers in (("map", family.maps, args.maps),
                               ("target", family.targets, args.targets)):
        for number in numbers:
            try:
                ask(number, args.all_netns)
            except Refused:
                gone.append(f"{kind} {number}")
    return " and ".join(gone)


def run(args, family, out):
    names = netns_names() if args.all_netns else {}

    def where(one):
        if not args.all_netns:
            return ""
        if one["netns"] == this_netns():
            return " in this network namespace"
        return f" in network namespace {names.get(one['netns'], one['netns'])}"

    before = since = None
    if args.since:
        before, begin = look(args, family), time.monotonic()
        time.sleep(args.since)
    try:
        after = look(args, family)
    except (NotFound, Refused) as error:
        gone = error
        if isinstance(error, Refused):
            gone = gone_meanwhile(args, family) if error.code == errno.ENOENT else ""
        if not (before and gone):
            raise
        raise NotFound(f"{gone}: it was removed meanwhile") from None
    if before:
        since = time.monotonic() - begin
    found, missed = find_losses(before, after, since)
    slow = slow_targets(after)
    advise(found, slow, after.targets)
    refused, failed = find_failures(before, after, since)

    uncounted, why = find_uncounted(after, family)

    if args.json:
        print_json({"drops": found, "missed": missed, "as_packets": slow, "refused": refused,
                    "failed": failed, "uncounted": uncounted}, out)
        return
    for loss in found:
        print(plain(sentence(loss, where)), file=out)
    missed = [one for one in missed if one["action"] in MISSED]
    for miss in missed:
        print(plain(missed_sentence(miss, where)), file=out)
    for one in slow:
        print(plain(f"{one['name']}{where(one)} sent {one['packets']:,} of "
                    f"{frames(one['sent'])} as packets. {one['text']}"), file=out)
    if refused or failed:
        from redirmap_failures import sentences

        for text in sentences(refused, failed, where):
            print(plain(text), file=out)
    if not (found or missed or refused or failed):
        print(nothing_lost(args, family), file=out)
    if uncounted:
        from redirmap_uncounted import sentence as uncounted_sentence

        for one in uncounted:
            print(plain(uncounted_sentence(one, where)), file=out)
    if why:
        print(plain(f"It is not known whether all programs of these maps are counted: {why}."),
              file=out)
    if leads_elsewhere(args, after.maps):
        print("Entries of maps point to devices in other network namespaces; --all-netns reports "
              "the losses there.", file=out)
