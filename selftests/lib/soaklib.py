# SPDX-License-Identifier: GPL-2.0-only
"""The random actions of dev_soak.py: two network namespaces full of maps,
devices and programs, and everything that can happen to them.

    world = World(random.Random(seed))
    world.act()     # returns the name of the action
    world.close()

All random choices follow from the seed, and do not depend on the speed of the
machine: the same seed leads to the same actions in the same order.
"""
import ctypes
import errno
import os
import pathlib
import subprocess

from placelib import PIN, Place, create, ip, key_of, may_fail
from testlib import CLAIM, DEVMAP, DEVMAP_HASH, checked, equal, libbpf, sh

PARAMETERS = pathlib.Path("/sys/module/redirmap/parameters")
CPU = pathlib.Path("/sys/devices/system/cpu/cpu1/online")

# As in soak.bpf.c.
KEYS, OUTER_KEYS, MEMBERS = 16, 4, 3
VALUE, COUNTED_VALUE = 8, 160

ARRAY_OF_MAPS, HASH_OF_MAPS = 12, 13
DEVICES = 5
SIDE_MAPS = 6
EGRESS = ("out_all", "out_short", "out_back")
XDP_GENERIC, XDP_NATIVE = 2, 4

# Globs for maps that are made from then on. Device maps of all names are among
# them.
PACKETS = ("*", "*", "rm_*", "rm_hash,rm_inner,rm_side*", "")
QDISC = ("", "", "rm_array,rm_all_hash", "rm_inner,rm_side*", "rm_*")
# Queueing disciplines; None is the device's own. All of them are empty soon
# after the last packet, because waiting packets keep the pages of their
# senders.
QUEUES = ("pfifo limit 10", "fq_codel", "tbf rate 20mbit burst 10k limit 30k", None, None)

# How a driver fails, by a file of modules/faulty_knobs.c, and the value for
# normal behaviour.
TROUBLES = (("room", 0), ("room", 1000), ("room", -1), ("room", -1), ("take", 3), ("take", 16),
            ("error", errno.EIO), ("error", errno.ENXIO), ("error", 0), ("error", 0),
            ("spoil", 0), ("spoil", 1), ("stopped", 1), ("stopped", 0), ("stopped", 0),
            ("feature", 0), ("feature", 1), ("feature", 1))


def switch_cpu(online):
    """Take CPU 1 offline or online, if there is one."""
    if CPU.exists():
        CPU.write_text("1" if online else "0")


class World:
    """Two namespaces, their objects, and the actions on these.

    At home every broadcast goes to a group of MEMBERS targets, so the number of
    frames is known. In the wild groups change.
    """

    def __init__(self, dice, packets=None):
        """@packets: the globs for the first maps; None for a random choice"""
        self.dice = dice
        self.numbers = 0
        self.claim = CLAIM
        self.side = {}
        self.pinned = []
        self.faulty = set()
        self.bridges = set()
        self.set_packets(packets)
        self.set_qdisc()
        sh(f"rm -rf {PIN}; ip netns add soak-wild")
        self.home = Place("home", os.open("/proc/self/ns/net", os.O_RDONLY),
                          ("rm_array", "rm_hash", "rm_counted", "rm_all_array",
                           "rm_all_hash", "rm_outer", "to_generic_xdp"))
        self.wild = Place("wild", os.open("/run/netns/soak-wild", os.O_RDONLY),
                          ("rm_array", "rm_hash"))
        self.places = (self.home, self.wild)
        self.make_steady()
        for place in self.places:
            for _ in range(3):
                self.add_device(place)
            self.fill(place)

    def make_steady(self):
        """Make the objects that exist to the end: the members, and the devices
        for generic XDP."""
        self.members = [f"member{number}" for number in range(MEMBERS)]
        names = [*self.members, "to-generic"]
        # One member checks its frames, and may fail. It gets unsegmented
        # packets in segments.
        self.faulty.add(names[1])
        ip(f"link add {names[1]} type faulty", f"link set {names[1]} up")
        veths = [name for name in names if name not in self.faulty]
        ip(*(line for name in veths for line in (
            f"link add {name} type veth peer name {name}p",
            f"link set {name} up", f"link set {name}p up")))
        # The last one is for devices that cannot transmit XDP frames.
        for name in (names[0], names[MEMBERS]):
            sh(f"ethtool -K {name}p gro on")
        for key, name in enumerate(self.members):
            for one in ("rm_all_array", "rm_all_hash"):
                egress = self.dice.choice((None, *EGRESS))
                if one == "rm_all_array" and name in self.faulty:
                    egress = None
                self.home.put(self.home.maps[one], VALUE, [key * 3], name, egress)
        self.home.put(self.home.maps["to_generic_xdp"], 4, [0], names[MEMBERS])
        self.home.attach(f"{names[MEMBERS]}p", "scatter", XDP_GENERIC)
        self.put_inner()

    def fill(self, place):
        """At first, every key of the maps that change leads to a device."""
        for name in ("rm_array", "rm_hash", "rm_counted"):
            if name in place.maps:
                size = COUNTED_VALUE if name == "rm_counted" else VALUE
                for key in range(KEYS):
                    device, egress = self.device(place), self.egress()
                    with may_fail(errno.ENOMEM):
                        place.put(place.maps[name], size, [key], device, egress)

    def close(self):
        """Close the maps and delete the devices, in a random order."""
        steps = [self.close_maps, self.delete_devices]
        self.dice.shuffle(steps)
        self.switch_cpu(True)
        self.set_claim(CLAIM)
        self.set_packets("*")
        self.set_qdisc("")
        for step in steps:
            step()
        sh(f"rm -rf {PIN}; ip netns del soak-wild")

    def close_maps(self):
        for fd in self.side.values():
            os.close(fd)
        for place in self.places:
            for fd in place.maps.values():
                os.close(fd)
        sh(f"rm -rf {PIN}")

    def delete_devices(self):
        names = [*self.members, "to-generic"]
        ip(*self.removal(*names, *self.home.devices))
        # Or they are deleted with their namespace.
        if self.dice.random() < 0.5:
            with self.wild:
                ip(*self.removal(*self.wild.devices))
        for place in self.places:
            place.devices.clear()
            place.close()

    # --- choices ---

    def place(self):
        return self.dice.choice(self.places)

    def key(self):
        return self.dice.randrange(KEYS)

    def keys(self):
        """One of the keys, or several."""
        if self.dice.random() < 0.6:
            return [self.key()]
        return self.dice.sample(range(KEYS), self.dice.randrange(2, KEYS))

    def device(self, place):
        names = [*place.devices, *(self.members if place is self.home else ())]
        return self.dice.choice(names) if names else None

    def map(self, place):
        """A map whose entries change, and the size of its values."""
        name = self.dice.choice([name for name in ("rm_array", "rm_hash", "rm_counted")
                                 if name in place.maps])
        return name, place.maps[name], COUNTED_VALUE if name == "rm_counted" else VALUE

    def egress(self):
        return self.dice.choice((None, None, None, *EGRESS))

    def claims(self):
        """Are maps named rm_... claimed?"""
        return self.claim in ("rm_*", "*")

    # --- entries ---

    def update(self):
        place = self.place()
        name, fd, size = self.map(place)
        keys, device, egress = self.keys(), self.device(place), self.egress()
        if self.dice.random() < 0.05:
            device = None
        errors = [errno.ENOMEM] if name == "rm_counted" else []
        if device is None:
            errors.append(errno.EINVAL)
        with may_fail(*errors):
            place.put(fd, size, keys, device, egress)
        return f"{place.name}: {name}: {keys} lead to {device}, {egress}"

    def delete(self):
        place = self.place()
        name, fd, _ = self.map(place)
        keys = self.keys()
        count = ctypes.c_uint32(len(keys))
        with may_fail(errno.ENOENT):
            if len(keys) == 1:
                checked(libbpf.bpf_map_delete_elem(fd, key_of(keys[0])))
            else:
                checked(libbpf.bpf_map_delete_batch(fd, b"".join(map(key_of, keys)),
                                                    ctypes.byref(count), None))
        return f"{place.name}: {name}: delete {keys}"

    def read(self):
        place = self.place()
        name, fd, size = self.map(place)
        take = name != "rm_array" and self.dice.random() < 0.3
        call = libbpf.bpf_map_lookup_and_delete_batch if take else libbpf.bpf_map_lookup_batch
        buffers = [ctypes.create_string_buffer(n) for n in (8, 4 * KEYS, size * KEYS)]
        count = ctypes.c_uint32(KEYS)
        with may_fail(errno.ENOENT):
            checked(call(fd, None, *buffers, ctypes.byref(count), None))
        return f"{place.name}: {name}: {'take' if take else 'read'} all"

    def walk(self):
        place = self.place()
        name, fd, size = self.map(place)
        key, last = ctypes.create_string_buffer(4), None
        value = ctypes.create_string_buffer(size)
        for _ in range(10 * KEYS):
            if libbpf.bpf_map_get_next_key(fd, last, key):
                break
            last = key.raw
            with may_fail(errno.ENOENT):
                checked(libbpf.bpf_map_lookup_elem(fd, last, value))
        return f"{place.name}: walk {name}"

    # --- maps ---

    def new_name(self, prefix):
        self.numbers += 1
        return f"{prefix}{self.numbers}"

    def make_map(self):
        if len(self.side) == SIDE_MAPS:
            return self.free_map()
        place, name = self.place(), self.new_name("rm_side")
        kind = self.dice.choice((DEVMAP, DEVMAP_HASH))
        size = self.dice.choice((4, VALUE, COUNTED_VALUE) if self.claims() else (4, VALUE))
        with place:
            fd = create(kind, name, size)
        self.side[name] = fd
        keys, device, egress = self.keys(), self.device(place), self.egress()
        errors = [errno.ENOMEM] if size == COUNTED_VALUE else []
        if device is None:
            errors.append(errno.EINVAL)
        # One by one, because it may be a stock map, which has no batches.
        for key in keys:
            with may_fail(*errors):
                place.put(fd, size, [key], device, egress)
        return (f"{place.name}: make {name}, kind {kind}, {size} bytes: "
                f"{keys} lead to {device}, {egress}")

    def free_map(self):
        if not self.side:
            return "nothing to free"
        name = self.dice.choice([*self.side])
        os.close(self.side.pop(name))
        return f"free {name}"

    def pin_map(self):
        if not self.side or len(self.pinned) > SIDE_MAPS:
            return self.unpin_map()
        name = self.dice.choice([*self.side])
        path = f"{PIN}/{self.new_name('pin')}"
        checked(libbpf.bpf_obj_pin(self.side[name], path.encode()))
        self.pinned.append(path)
        return f"pin {name}"

    def unpin_map(self):
        if not self.pinned:
            return "nothing to unpin"
        path = self.pinned.pop(self.dice.randrange(len(self.pinned)))
        os.unlink(path)
        return f"unpin {path}"

    def nest_map(self):
        """Make an outer map, which is pinned or closed at once."""
        if not self.side:
            return "nothing to nest"
        name, outer = self.dice.choice([*self.side]), self.new_name("outer")
        kind = self.dice.choice((ARRAY_OF_MAPS, HASH_OF_MAPS))
        fd = create(kind, outer, 4, 4, self.side[name])
        value = key_of(self.side[name])
        checked(libbpf.bpf_map_update_elem(fd, key_of(0), value, ctypes.c_uint64(0)))
        if self.dice.random() < 0.5:
            os.close(self.side.pop(name))
        if len(self.pinned) < SIDE_MAPS:
            path = f"{PIN}/{outer}"
            checked(libbpf.bpf_obj_pin(fd, path.encode()))
            self.pinned.append(path)
        os.close(fd)
        return f"{outer}: {name} in kind {kind}"

    def put_inner(self):
        """Replace or delete an inner map that frames go through."""
        outer, key = self.home.maps["rm_outer"], self.dice.randrange(OUTER_KEYS)
        if self.dice.random() < 0.2:
            with may_fail(errno.ENOENT):
                checked(libbpf.bpf_map_delete_elem(outer, key_of(key)))
            return f"no inner map at {key}"
        fd = create(DEVMAP_HASH, "rm_inner", VALUE)
        keys, device, egress = self.keys(), self.device(self.home), self.egress()
        # One by one, because it may be a stock map, which has no batches.
        for one in keys:
            self.home.put(fd, VALUE, [one], device, egress)
        # Stock and claimed maps cannot be in one outer map.
        refused = 0
        try:
            checked(libbpf.bpf_map_update_elem(outer, key_of(key), key_of(fd),
                                               ctypes.c_uint64(0)))
        except OSError as error:
            refused = error.errno
        os.close(fd)
        equal(refused, 0 if self.claims() else errno.EINVAL)
        return f"inner map at {key}: {keys} lead to {device}, {egress}"

    # --- devices ---

    def add_device(self, place=None):
        place = place or self.place()
        if len(place.devices) == DEVICES:
            return self.delete_device(place)
        name = self.new_name("dev")
        kind = self.dice.choice(("veth", "veth", "veth", "faulty", "dummy", "bridge"))
        peer = self.dice.choice(("sink", "sink", None)) if kind == "veth" else None
        lines = [f"link add {name} type {kind}", f"link set {name} up"]
        if kind == "veth":
            lines[0] += f" peer name {name}p"
            lines.append(f"link set {name}p up")
        if kind == "bridge":
            lines += [f"link add {name}p type dummy", f"link set {name}p master {name} up"]
            self.bridges.add(name)
        with place:
            ip(*lines)
        if peer:
            place.attach(f"{name}p", peer, XDP_NATIVE)
        elif kind == "faulty":
            self.faulty.add(name)
        # Where the peer is.
        place.devices[name] = place if kind == "veth" else None
        return f"{place.name}: new {name}, {kind}, peer runs {peer}"

    def any_device(self, place):
        return self.dice.choice([*place.devices]) if place.devices else None

    def movable_device(self, place):
        """Any device but bridges, which stay in their namespace."""
        name = self.any_device(place)
        return None if name in self.bridges else name

    def removal(self, *names):
        """The commands that delete devices, and the ports of bridges."""
        return [f"link del {one}" for name in names
                for one in ((name, f"{name}p") if name in self.bridges else (name,))]

    def delete_device(self, place=None):
        place = place or self.place()
        name = self.any_device(place)
        if name:
            del place.devices[name]
            with place:
                ip(*self.removal(name))
        return f"{place.name}: delete {name}"

    def move_device(self):
        places = [*self.places]
        self.dice.shuffle(places)
        here, there = places
        name = self.movable_device(here)
        if name and len(there.devices) < DEVICES:
            there.devices[name] = here.devices.pop(name)
            with here:
                # By a descriptor, because one of the two namespaces has no
                # name.
                ip(f"link set {name} netns /proc/{os.getpid()}/fd/{there.net}")
            with there:
                ip(f"link set {name} up")
        return f"{name} moves from {here.name} to {there.name}"

    def bury_device(self):
        """Delete a device together with its namespace."""
        place = self.place()
        name = self.movable_device(place)
        if name:
            del place.devices[name]
            with place:
                sh("ip netns add soak-grave")
                ip(f"link set {name} netns soak-grave", "netns del soak-grave")
        return f"{place.name}: {name} goes with a namespace"

    def switch_device(self):
        place, state = self.place(), self.dice.choice(("up", "up", "down"))
        name = self.device(place)
        if name:
            with place:
                ip(f"link set {name} {state}")
        return f"{place.name}: {name} {state}"

    def set_mtu(self):
        place, mtu = self.place(), self.dice.choice((1500, 1500, 200, 100))
        name = self.device(place)
        if name:
            with place:
                ip(f"link set {name} mtu {mtu}")
        return f"{place.name}: {name}: MTU {mtu}"

    def queue(self):
        """Give a device another queueing discipline, or its own."""
        place, queue = self.place(), self.dice.choice(QUEUES)
        name = self.device(place)
        if name:
            with place:
                if queue:
                    sh(f"tc qdisc replace dev {name} root {queue}")
                else:
                    sh(f"tc qdisc del dev {name} root 2>/dev/null || :")
        return f"{place.name}: {name}: queue {queue}"

    def trouble(self):
        """Make a driver fail, or end that."""
        place, (knob, value) = self.place(), self.dice.choice(TROUBLES)
        names = [name for name in (*place.devices, *(self.members if place is self.home else ()))
                 if name in self.faulty]
        if not names:
            return "nobody fails"
        name = self.dice.choice(names)
        place.turn(name, knob, value)
        return f"{place.name}: {name}: {knob} {value}"

    # --- programs ---

    def replace_peer(self):
        place = self.place()
        name = self.device(place)
        prog = self.dice.choice(("sink", None))
        home = None if name in self.faulty else place.devices.get(name, place)
        if name and home:
            home.attach(f"{name}p", prog, XDP_NATIVE)
        return f"{place.name}: peer of {name} runs {prog}"

    def replace_generic(self):
        prog = self.dice.choice(("scatter", "scatter_again"))
        self.home.attach("to-genericp", prog, XDP_GENERIC)
        return f"generic XDP runs {prog}"

    # --- the machine ---

    def switch_cpu(self, online=None):
        online = self.dice.random() < 0.6 if online is None else online
        switch_cpu(online)
        return f"CPU 1 {'online' if online else 'offline'}"

    def set_claim(self, claim=None):
        claim = self.dice.choice(("rm_*", "rm_*", "*", "", "st_*")) if claim is None else claim
        self.claim = claim
        (PARAMETERS / "claim").write_text(claim + "\n")
        return f"claim={claim}"

    def set_packets(self, globs=None):
        globs = self.dice.choice(PACKETS) if globs is None else globs
        (PARAMETERS / "packets").write_text(globs + "\n")
        return f"packets={globs}"

    def set_qdisc(self, globs=None):
        globs = self.dice.choice(QDISC) if globs is None else globs
        (PARAMETERS / "qdisc").write_text(globs + "\n")
        return f"qdisc={globs}"

    def unload(self):
        done = subprocess.run(["rmmod", "redirmap"], capture_output=True, check=False)
        assert done.returncode, "rmmod succeeded although there are claimed maps"
        return "rmmod is refused"

    # The frequencies, in the order of the methods
    ACTIONS = {
        "update": 12, "delete": 4, "read": 3, "walk": 2,
        "make_map": 5, "free_map": 3, "pin_map": 2, "unpin_map": 2, "nest_map": 2,
        "put_inner": 4,
        "add_device": 5, "delete_device": 4, "move_device": 3, "bury_device": 1,
        "switch_device": 4, "set_mtu": 4, "queue": 4, "trouble": 5,
        "replace_peer": 3, "replace_generic": 2,
        "switch_cpu": 2, "set_claim": 3, "set_packets": 2, "set_qdisc": 2, "unload": 1,
    }

    def act(self):
        """Perform a random action. Returns its name."""
        name = self.dice.choices([*self.ACTIONS], self.ACTIONS.values())[0]
        return getattr(self, name)()
