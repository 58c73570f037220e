# SPDX-License-Identifier: GPL-2.0-only
"""redirmap metrics: all counters in the text format of Prometheus."""
import os
import sys

from redirmap_netlink import ACTIONS, REFUSAL_NAMES
from redirmap_reasons import REASONS
from redirmap_which import all_of

# The help text and the type of each metric, in the order of the output. Names
# and units follow Prometheus' conventions: base units, and _total for a
# counter.
METRICS = {
    "redirmap_loaded": ("gauge", "Is the module loaded?"),
    "redirmap_module_info": ("gauge", "The version of the loaded module, and its parameters."),
    "redirmap_copy_memory_bytes": ("gauge", "Memory that is kept for copies of broadcasts."),
    "redirmap_map_capacity_entries": ("gauge", "Entries that the map can have."),
    "redirmap_map_entries": ("gauge", "Entries that the map has."),
    "redirmap_map_members": ("gauge", "Targets of the broadcasts of the map."),
    "redirmap_map_users": ("gauge", "References to the map."),
    "redirmap_map_memory_bytes": ("gauge", "Memory of the map, without targets."),
    "redirmap_map_missed_lookups_total": (
        "counter", "Lookups of the map that found no entry, by the returned action."),
    "redirmap_map_lost_frames_total": (
        "counter", "Frames that were lost before the map led to a target, by reason."),
    "redirmap_map_accepted_redirects_total": (
        "counter", "Redirects to sockets of the map that were accepted, by data and direction."),
    "redirmap_map_closing_redirects_total": (
        "counter", "Accepted redirects to closing sockets of the map, by data."),
    "redirmap_map_refused_redirects_total": (
        "counter", "Redirects to sockets of the map that were refused, by reason."),
    "redirmap_map_inserts_total": ("counter", "Sockets that were inserted in the map."),
    "redirmap_map_deletes_total": ("counter", "Sockets that were deleted from the map."),
    "redirmap_map_failed_updates_total": ("counter", "Updates of the map that failed, by errno."),
    "redirmap_target_maps": ("gauge", "Maps that hold the target."),
    "redirmap_target_sent_frames_total": (
        "counter", "Frames that the driver of the target has taken."),
    "redirmap_target_sent_bytes_total": (
        "counter", "Bytes of the frames that the driver of the target has taken."),
    "redirmap_target_sent_as_packets_frames_total": (
        "counter", "Of the sent frames, those that left as packets."),
    "redirmap_target_lost_frames_total": ("counter", "Frames that were lost, by reason."),
    "redirmap_removed_sent_frames_total": ("counter", "Frames that removed targets have sent."),
    "redirmap_removed_sent_bytes_total": ("counter", "Bytes that removed targets have sent."),
    "redirmap_removed_sent_as_packets_frames_total": (
        "counter", "Frames that removed targets have sent as packets."),
    "redirmap_removed_lost_frames_total": (
        "counter", "Frames that removed maps and targets have lost, by reason."),
    "redirmap_removed_missed_lookups_total": (
        "counter", "Lookups of removed maps that found no entry, by the returned action."),
    "redirmap_removed_accepted_redirects_total": (
        "counter", "Redirects that removed maps have accepted, by data and direction."),
    "redirmap_removed_closing_redirects_total": (
        "counter", "Accepted redirects to closing sockets of removed maps, by data."),
    "redirmap_removed_refused_redirects_total": (
        "counter", "Redirects that removed maps have refused, by reason."),
    "redirmap_removed_inserts_total": (
        "counter", "Sockets that were inserted in removed maps."),
    "redirmap_removed_deletes_total": (
        "counter", "Sockets that were deleted from removed maps."),
    "redirmap_removed_failed_updates_total": (
        "counter", "Updates of removed maps that failed, by errno."),
    "redirmap_invalid_redirect_lost_frames_total": (
        "counter", "Frames that were lost without a map and a target, by reason."),
}

# The kernel reports only counters above 0. The others are printed as well,
# because rate() and increase() see the first event only if its series was 0
# before.
ACTION_ZEROS = dict.fromkeys(ACTIONS, 0)
REFUSAL_ZEROS = dict.fromkeys(REFUSAL_NAMES, 0)


def drop_zeros(*objects):
    """A 0 for each reason for which one of these objects counts lost frames."""
    return {reason.name: 0 for reason in REASONS if not set(objects).isdisjoint(reason.by)}


MAP_ZEROS = drop_zeros("map")
TARGET_ZEROS = drop_zeros("target")
PROGRAM_ZEROS = drop_zeros("target", "program")
GONE_ZEROS = drop_zeros("map", "target", "program")
NETNS_ZEROS = drop_zeros("netns")


def quoted(value):
    """A value of a label. A name may contain any byte."""
    text = str(value).encode("utf-8", "backslashreplace").decode()
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


class Samples:
    """The samples of each metric, as lines."""

    def __init__(self):
        self.lines = {name: [] for name in METRICS}

    def add(self, name, value, labels=None):
        text = ",".join(f'{key}="{quoted(one)}"' for key, one in (labels or {}).items())
        self.lines[name].append(f"{name}{{{text}}} {value}" if text else f"{name} {value}")

    def add_each(self, name, zeros, numbers, label, labels=None):
        """A sample for each reason, action or errno: those of zeros, and those
        that the kernel has counted."""
        for key, number in {**zeros, **numbers}.items():
            self.add(name, number, {**(labels or {}), label: key})

    def text(self):
        """All of them, in the order of the table. A metric without a sample is
        left out."""
        return "".join(
            f"# HELP {name} {METRICS[name][1]}\n# TYPE {name} {METRICS[name][0]}\n"
            + "".join(line + "\n" for line in lines)
            for name, lines in self.lines.items() if lines
        )


def add_sock(samples, prefix, sock, labels=None):
    """The counters of a socket map, or the sums over removed ones."""
    for data in ("msg", "skb"):
        for direction in ("egress", "ingress"):
            samples.add(f"{prefix}_accepted_redirects_total", sock[f"{data}_{direction}"],
                        {**(labels or {}), "data": data, "direction": direction})
        samples.add(f"{prefix}_closing_redirects_total", sock[f"{data}_closing"],
                    {**(labels or {}), "data": data})
    samples.add_each(f"{prefix}_refused_redirects_total", REFUSAL_ZEROS, sock["refused"],
                     "reason", labels)
    samples.add(f"{prefix}_inserts_total", sock["inserts"], labels)
    samples.add(f"{prefix}_deletes_total", sock["deletes"], labels)
    samples.add_each(f"{prefix}_failed_updates_total", {}, sock["failed"], "errno", labels)


def add_map(samples, one):
    labels = {"map": one["id"], "name": one["name"], "type": one["type"], "netns": one["netns"]}
    samples.add("redirmap_map_capacity_entries", one["capacity"], labels)
    samples.add("redirmap_map_memory_bytes", one["memory"], labels)
    for name, key in (("entries", "used"), ("members", "members"), ("users", "users")):
        if one[key] is not None:
            samples.add(f"redirmap_map_{name}", one[key], labels)
    if one["stats"]:
        samples.add_each("redirmap_map_missed_lookups_total", ACTION_ZEROS,
                         one["stats"]["missed"], "action", labels)
        samples.add_each("redirmap_map_lost_frames_total", MAP_ZEROS, one["stats"]["drops"],
                         "reason", labels)
    if one["sock"]:
        add_sock(samples, "redirmap_map", one["sock"], labels)


def add_target(samples, one):
    labels = {"target": one["id"], "device": one["ifname"], "netns": one["netns"]}
    zeros = TARGET_ZEROS
    if one["prog_id"] is not None:
        labels["program"] = one["prog_id"]
        zeros = PROGRAM_ZEROS
    samples.add("redirmap_target_maps", one["refs"], labels)
    samples.add("redirmap_target_sent_frames_total", one["stats"]["packets"], labels)
    samples.add("redirmap_target_sent_bytes_total", one["stats"]["bytes"], labels)
    samples.add("redirmap_target_sent_as_packets_frames_total", one["stats"]["as_packets"],
                labels)
    samples.add_each("redirmap_target_lost_frames_total", zeros, one["stats"]["drops"],
                     "reason", labels)


def add_all(samples, maps, targets, state):
    # A module that was loaded before an upgrade may not report all of them.
    samples.add("redirmap_module_info", 1, {
        name: state[name] for name in ("version", "claim", "packets", "qdisc", "early")
        if state[name] is not None})
    samples.add("redirmap_copy_memory_bytes", state["copy_memory"])
    for one in maps:
        add_map(samples, one)
    for one in targets:
        add_target(samples, one)
    gone = state["gone"]
    samples.add("redirmap_removed_sent_frames_total", gone["packets"])
    samples.add("redirmap_removed_sent_bytes_total", gone["bytes"])
    samples.add("redirmap_removed_sent_as_packets_frames_total", gone["as_packets"])
    samples.add_each("redirmap_removed_lost_frames_total", GONE_ZEROS, gone["drops"], "reason")
    samples.add_each("redirmap_removed_missed_lookups_total", ACTION_ZEROS, gone["missed"],
                     "action")
    add_sock(samples, "redirmap_removed", state["sock_gone"])
    samples.add_each("redirmap_invalid_redirect_lost_frames_total", NETNS_ZEROS,
                     state["lost"]["drops"], "reason")


def replace(path, text):
    """Write a file, so that a reader finds the old content or the new."""
    # The collector reads only files that end in .prom.
    part = f"{path}.{os.getpid()}"
    try:
        with open(part, "x", encoding="utf-8") as file:
            file.write(text)
            os.fchmod(file.fileno(), 0o644)
        os.replace(part, path)
    except OSError:
        if os.path.exists(part):
            os.unlink(part)
        raise


def run(args, family, out):
    """Without a family, the module is not loaded."""
    samples = Samples()
    samples.add("redirmap_loaded", int(family is not None))
    if family:
        add_all(samples, *all_of(args, family))
    if args.output:
        replace(args.output, samples.text())
    else:
        (out or sys.stdout).write(samples.text())
