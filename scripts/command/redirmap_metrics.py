# SPDX-License-Identifier: GPL-2.0-only
"""redirmap metrics: all counters in the text format of Prometheus."""
import os
import sys

from redirmap_which import all_of

# The help text and the type of each metric, in the order of the output. Names
# and units follow Prometheus' conventions: base units, and _total for a
# counter.
METRICS = {
    "redirmap_loaded": ("gauge", "Is the module loaded?"),
    "redirmap_module_info": ("gauge", "The version of the loaded module, and its claim policy."),
    "redirmap_copy_memory_bytes": ("gauge", "Memory that is kept for copies of broadcasts."),
    "redirmap_map_capacity_entries": ("gauge", "Entries that the map can have."),
    "redirmap_map_entries": ("gauge", "Entries that the map has."),
    "redirmap_map_members": ("gauge", "Targets of the broadcasts of the map."),
    "redirmap_map_memory_bytes": ("gauge", "Memory of the map, without targets."),
    "redirmap_map_missed_lookups_total": (
        "counter", "Lookups of the map that found no entry, by the returned action."),
    "redirmap_map_lost_frames_total": (
        "counter", "Frames that were lost before the map led to a target, by reason."),
    "redirmap_target_maps": ("gauge", "Maps that hold the target."),
    "redirmap_target_sent_frames_total": (
        "counter", "Frames that the driver of the target has taken."),
    "redirmap_target_sent_bytes_total": (
        "counter", "Bytes of the frames that the driver of the target has taken."),
    "redirmap_target_lost_frames_total": ("counter", "Frames that were lost, by reason."),
    "redirmap_removed_sent_frames_total": ("counter", "Frames that removed targets have sent."),
    "redirmap_removed_sent_bytes_total": ("counter", "Bytes that removed targets have sent."),
    "redirmap_removed_lost_frames_total": (
        "counter", "Frames that removed maps and targets have lost, by reason."),
    "redirmap_removed_missed_lookups_total": (
        "counter", "Lookups of removed maps that found no entry, by the returned action."),
    "redirmap_invalid_redirect_lost_frames_total": (
        "counter", "Frames that were lost without a map and a target, by reason."),
}


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

    def add_each(self, name, numbers, label, labels=None):
        """A sample for each reason or action."""
        for key, number in numbers.items():
            self.add(name, number, {**(labels or {}), label: key})

    def text(self):
        """All of them, in the order of the table. A metric without a sample is left out."""
        return "".join(
            f"# HELP {name} {METRICS[name][1]}\n# TYPE {name} {METRICS[name][0]}\n"
            + "".join(line + "\n" for line in lines)
            for name, lines in self.lines.items() if lines
        )


def add_map(samples, one):
    labels = {"map": one["id"], "name": one["name"], "type": one["type"], "netns": one["netns"]}
    samples.add("redirmap_map_capacity_entries", one["capacity"], labels)
    samples.add("redirmap_map_memory_bytes", one["memory"], labels)
    for name, key in (("entries", "used"), ("members", "members")):
        if one[key] is not None:
            samples.add(f"redirmap_map_{name}", one[key], labels)
    if one["stats"]:
        samples.add_each("redirmap_map_missed_lookups_total", one["stats"]["missed"], "action",
                         labels)
        samples.add_each("redirmap_map_lost_frames_total", one["stats"]["drops"], "reason",
                         labels)


def add_target(samples, one):
    labels = {"target": one["id"], "device": one["ifname"], "netns": one["netns"]}
    if one["prog_id"] is not None:
        labels["program"] = one["prog_id"]
    samples.add("redirmap_target_maps", one["refs"], labels)
    samples.add("redirmap_target_sent_frames_total", one["stats"]["packets"], labels)
    samples.add("redirmap_target_sent_bytes_total", one["stats"]["bytes"], labels)
    samples.add_each("redirmap_target_lost_frames_total", one["stats"]["drops"], "reason", labels)


def add_all(samples, maps, targets, state):
    samples.add("redirmap_module_info", 1,
                {"version": state["version"], "claim": state["claim"]})
    samples.add("redirmap_copy_memory_bytes", state["copy_memory"])
    for one in maps:
        add_map(samples, one)
    for one in targets:
        add_target(samples, one)
    gone = state["gone"]
    samples.add("redirmap_removed_sent_frames_total", gone["packets"])
    samples.add("redirmap_removed_sent_bytes_total", gone["bytes"])
    samples.add_each("redirmap_removed_lost_frames_total", gone["drops"], "reason")
    samples.add_each("redirmap_removed_missed_lookups_total", gone["missed"], "action")
    samples.add_each("redirmap_invalid_redirect_lost_frames_total", state["lost"]["drops"],
                     "reason")


def replace(path, text):
    """Write a file, so that a reader finds the former content or the new one."""
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
