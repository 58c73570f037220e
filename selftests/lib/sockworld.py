# SPDX-License-Identifier: GPL-2.0-only
"""The random actions of sock_soak.py: claimed maps with flows through them,
further maps, and everything that can happen to them.

    world = World(random.Random(seed))
    world.act()     # returns the name of the action
    world.close()

As in soaklib.py, all random choices follow from the seed.
"""
import ctypes
import errno
import os
import pathlib
import struct
import subprocess

import redirmap_netlink as netlink
from flowlib import ENTRIES, Flow, Traffic
from placelib import create, key_of, may_fail
from soaklib import switch_cpu
from testlib import CLAIM, OUTPUT, becomes, checked, equal, libbpf, map_id, open_pinned, sh

PARAMETERS = pathlib.Path("/sys/module/redirmap/parameters")
PIN = "/sys/fs/bpf/redirmap-sock-soak"

SOCKMAP, SOCKHASH, ARRAY_OF_MAPS = 15, 18, 12
STREAM_PARSER, STREAM_VERDICT, MSG_VERDICT = 4, 5, 7
ANY, NOEXIST, EXIST = 0, 1, 2
VALUE = 8
FLOWS, SIDE_MAPS, SIDE_ENTRIES = 10, 4, 16


def put(fd, key, sock, flags):
    checked(libbpf.bpf_map_update_elem(fd, key_of(key), struct.pack("Q", sock.fileno()),
                                       ctypes.c_uint64(flags)))


class BatchOptions(ctypes.Structure):
    _fields_ = [("sz", ctypes.c_size_t), ("elem_flags", ctypes.c_uint64),
                ("flags", ctypes.c_uint64)]


class Claimed:
    """A claimed map, its programs, and what was done to it."""

    def __init__(self, name, kind, parser=None):
        self.name = name
        self.fd = open_pinned(f"{PIN}/m/rm_{name}")
        self.programs = [(open_pinned(f"{PIN}/p/{prog}"), one)
                         for prog, one in ((parser, STREAM_PARSER), (name, kind)) if prog]
        self.inserts = self.deletes = 0
        self.attach()

    def attach(self):
        for prog, kind in self.programs:
            checked(libbpf.bpf_prog_attach(prog, self.fd, kind, 0))

    def detach(self):
        """The parser last: see known_from_stock.rst."""
        for prog, kind in reversed(self.programs):
            checked(libbpf.bpf_prog_detach2(prog, self.fd, kind))

    def insert(self, key, sock, flags=NOEXIST):
        put(self.fd, key, sock, flags)
        self.inserts += 1

    def insert_batch(self, entries):
        """@entries: pairs of a key and a socket, inserted in this order"""
        count = ctypes.c_uint32(len(entries))
        opts = BatchOptions(sz=ctypes.sizeof(BatchOptions), elem_flags=NOEXIST)
        checked(libbpf.bpf_map_update_batch(
            self.fd, b"".join(key_of(key) for key, _ in entries),
            struct.pack(f"{len(entries)}Q", *(sock.fileno() for _, sock in entries)),
            ctypes.byref(count), ctypes.byref(opts)))
        equal(count.value, len(entries))
        self.inserts += len(entries)

    def first(self, count, take):
        """The first keys of the map, by a batch that may delete them."""
        buffers = [ctypes.create_string_buffer(n) for n in (4, 4 * count, VALUE * count)]
        found = ctypes.c_uint32(count)
        call = libbpf.bpf_map_lookup_and_delete_batch if take else libbpf.bpf_map_lookup_batch
        with may_fail(errno.ENOENT):
            checked(call(self.fd, None, *buffers, ctypes.byref(found), None))
        self.deletes += found.value if take else 0
        return list(struct.unpack_from(f"{found.value}I", buffers[1]))

    def sockets(self):
        with netlink.Family() as family:
            return family.sockets(map_id(self.fd))

    def counters(self):
        with netlink.Family() as family:
            return family.maps(map_id(self.fd))[0]

    def close(self):
        for fd in (self.fd, *(prog for prog, _ in self.programs)):
            os.close(fd)


class World:
    def __init__(self, dice):
        self.dice = dice
        self.numbers = 0
        self.side = {}
        (PARAMETERS / "early").write_text("rm_proxy,rm_parsed\n", encoding="ascii")
        sh(f"rm -rf {PIN}; mkdir -p {PIN}; "
           f"bpftool prog loadall {OUTPUT}/sock_soak.bpf.o {PIN}/p pinmaps {PIN}/m")
        self.maps = [Claimed("local", MSG_VERDICT), Claimed("proxy", STREAM_VERDICT),
                     Claimed("parsed", STREAM_VERDICT, "parser")]
        self.routes, self.counts = (open_pinned(f"{PIN}/m/{name}") for name in
                                    ("routes", "counts"))
        sh(f"rm -r {PIN}")
        self.keys = [list(range(ENTRIES)) for _ in self.maps]
        self.flows = []
        self.traffic = Traffic()
        for _ in range(FLOWS):
            self.begin_flow()
        self.traffic.start()

    def check(self):
        assert not self.traffic.error, self.traffic.error

    def close(self):
        """Let all flows end, compare the counters, and close the maps."""
        self.switch_cpu(True)
        self.set_claim(CLAIM)
        while self.flows:
            self.finish_flow()
        self.traffic.stopped = True
        self.traffic.join()
        self.check()
        told = [self.compare(number) for number in range(len(self.maps))]
        for fd in (*self.side.values(), self.routes, self.counts):
            os.close(fd)
        for one in self.maps:
            one.close()
        return "; ".join(told)

    def compare(self, number):
        """All sockets have left a map, and its counters are exact."""
        one, values = self.maps[number], ctypes.create_string_buffer(8)
        calls = []
        for key in (2 * number, 2 * number + 1):
            checked(libbpf.bpf_map_lookup_elem(self.counts, key_of(key), values))
            calls += struct.unpack("Q", values.raw)
        told = one.counters()
        sock = told["sock"]
        accepted = sum(sock[name] for name in ("msg_egress", "msg_ingress", "skb_egress",
                                               "skb_ingress"))
        refused = sum(sock["refused"].values())
        equal([accepted + refused, accepted], calls)
        equal((sock["inserts"], sock["deletes"], told["used"], sock["left"]),
              (one.inserts, one.deletes, 0, one.inserts - one.deletes))
        return f"{one.name}: {accepted} redirects, {refused} refused, {one.inserts} inserts"

    # --- choices ---

    def new_name(self, prefix):
        self.numbers += 1
        return f"{prefix}{self.numbers}"

    def flow(self):
        return self.dice.choice(self.flows)

    def map_of(self, flow):
        return self.maps[flow.proxied]

    def used_map(self):
        """A map with flows, if there is one."""
        return self.map_of(self.flow()) if self.flows else self.dice.choice(self.maps)

    # --- flows ---

    def begin_flow(self):
        if len(self.flows) == FLOWS:
            return self.finish_flow()
        self.numbers += 1
        proxied = self.dice.choice((0, 0, 1, 2))
        keys = [self.keys[proxied].pop(self.dice.randrange(len(self.keys[proxied])))
                for _ in range(2)]
        flow = Flow(self.numbers, proxied, keys)
        for port, key in zip(flow.ports, reversed(keys)):
            checked(libbpf.bpf_map_update_elem(self.routes, key_of(port), key_of(key),
                                               ctypes.c_uint64(ANY)))
        early = self.dice.choice((0, 1, None)) if proxied else None
        self.insert_flow(flow, early)
        self.flows.append(flow)
        self.traffic.add(flow)
        return f"flow {flow.number}, {self.map_of(flow).name}, keys {keys}, early: {early}"

    def insert_flow(self, flow, early):
        """Insert both sockets. @early: the stream whose first bytes are there
        before; the program has to find the target of its redirects."""
        order = [*zip(flow.keys, flow.inserted)]
        if early is not None:
            assert flow.send_early(early, self.dice.randrange(1, 5)), "early bytes are lost"
            if early == 0:
                order.reverse()
        if self.dice.random() < 0.5:
            self.map_of(flow).insert_batch(order)
        else:
            for key, sock in order:
                self.map_of(flow).insert(key, sock)
        if early is not None:
            assert flow.early_arrives(early), \
                f"{flow.streams[early].got} of {flow.streams[early].sent} early bytes"

    def end_flow(self, flow):
        """The flow's last bytes are checked, and its sockets are closed."""
        self.flows.remove(flow)
        self.traffic.remove(flow)
        for port in flow.ports:
            checked(libbpf.bpf_map_delete_elem(self.routes, key_of(port)))
        flow.close()
        self.keys[flow.proxied] += flow.keys

    def finish_flow(self):
        """Every byte has arrived when the flow ends."""
        if not self.flows:
            return "no flow to finish"
        flow = self.flow()
        self.traffic.stop(flow)
        assert becomes(lambda: self.traffic.is_complete(flow) or self.traffic.error), \
            [(stream.sent, stream.got) for stream in flow.streams]
        self.check()
        self.end_flow(flow)
        return f"finish flow {flow.number}"

    def disturb(self, what, act):
        """One flow ends in the middle; the others go on."""
        if not self.flows:
            return f"no flow to {what}"
        flow = self.flow()
        flow.disturbed = True
        told = act(flow)
        self.end_flow(flow)
        return f"{what} flow {flow.number}: {told}"

    def close_sock(self):
        def act(flow):
            number = self.dice.randrange(len(flow.socks))
            # The traffic may be using the descriptor, so it stays open.
            with open("/dev/null", "rb") as null:
                os.dup2(null.fileno(), flow.socks[number].fileno())
            return f"socket {number}"
        return self.disturb("close", act)

    def shut_down(self):
        def act(flow):
            number, how = self.dice.randrange(len(flow.socks)), self.dice.randrange(3)
            with may_fail(errno.ENOTCONN):
                flow.socks[number].shutdown(how)
            return f"socket {number}, {how}"
        return self.disturb("shut down", act)

    def delete_sock(self):
        def act(flow):
            one, number = self.map_of(flow), self.dice.randrange(2)
            checked(libbpf.bpf_map_delete_elem(one.fd, key_of(flow.keys[number])))
            one.deletes += 1
            return f"key {flow.keys[number]}"
        return self.disturb("delete", act)

    def delete_both(self):
        def act(flow):
            one, count = self.map_of(flow), ctypes.c_uint32(2)
            if not flow.proxied:
                # The ends lose what they have not read. Later bytes would
                # arrive behind the gap, by TCP.
                self.traffic.stop(flow)
            checked(libbpf.bpf_map_delete_batch(one.fd, b"".join(map(key_of, flow.keys)),
                                                ctypes.byref(count), None))
            one.deletes += 2
            return f"keys {flow.keys}"
        return self.disturb("delete a batch of", act)

    def take(self):
        """A batch deletes the first sockets of a map, of one flow or of
        several, which end. See delete_both() for the bytes that are lost."""
        one, count = self.used_map(), self.dice.randrange(1, 5)
        with self.traffic.paused():
            keys = one.first(count, False)
            flows = [flow for flow in self.flows
                     if self.map_of(flow) is one and not {*flow.keys}.isdisjoint(keys)]
            for flow in flows:
                flow.stopped = flow.disturbed = True
            equal(one.first(count, True), keys)
        for flow in flows:
            self.end_flow(flow)
        return f"take {keys} of {one.name}"

    def replace_by_itself(self):
        """A socket takes its own place, which needs a map without a program."""
        if not self.flows:
            return "no socket to replace"
        flow = self.flow()
        one, number = self.map_of(flow), self.dice.randrange(2)
        one.detach()
        one.insert(flow.keys[number], flow.inserted[number], EXIST)
        one.attach()
        return f"replace the socket at {flow.keys[number]} of {one.name}"

    # --- reading ---

    def keys_of(self, one):
        """The keys that a map has to have."""
        return sorted(key for flow in self.flows if self.map_of(flow) is one for key in flow.keys)

    def read(self):
        one = self.dice.choice(self.maps)
        equal(sorted(one.first(ENTRIES, False)), self.keys_of(one))
        return f"read {one.name}"

    def walk(self):
        one = self.dice.choice(self.maps)
        key, last, value = ctypes.create_string_buffer(4), None, ctypes.create_string_buffer(VALUE)
        found = 0
        while not libbpf.bpf_map_get_next_key(one.fd, last, key):
            last = key.raw
            found += not libbpf.bpf_map_lookup_elem(one.fd, last, value)
        equal(found, len(self.keys_of(one)))
        return f"walk {one.name}"

    def dump(self):
        with netlink.Family() as family:
            names = [one["name"] for one in family.maps()]
        assert {"rm_local", "rm_proxy", "rm_parsed"} <= {*names}, names
        return "dump"

    def dump_sockets(self):
        """No map changes meanwhile, but its sockets send and receive."""
        one = self.used_map()
        found = {int.from_bytes(bytes.fromhex(sock["key"]), "little"): sock["inode"]
                 for sock in one.sockets()}
        wanted = {key: os.fstat(sock.fileno()).st_ino for flow in self.flows
                  if self.map_of(flow) is one for key, sock in zip(flow.keys, flow.inserted)}
        equal(found, wanted)
        return f"dump the sockets of {one.name}"

    # --- further maps ---

    def make_map(self):
        if len(self.side) == SIDE_MAPS:
            return self.free_map()
        name, kind = self.new_name("rm_side"), self.dice.choice((SOCKMAP, SOCKHASH))
        self.side[name] = create(kind, name, VALUE, SIDE_ENTRIES)
        return f"make {name}, kind {kind}"

    def free_map(self):
        if not self.side:
            return "nothing to free"
        name = self.dice.choice([*self.side])
        os.close(self.side.pop(name))
        return f"free {name}"

    def insert_aside(self):
        if not self.side or not self.flows:
            return "nothing to insert"
        name, key = self.dice.choice([*self.side]), self.dice.randrange(SIDE_ENTRIES)
        flow, number = self.flow(), self.dice.randrange(2)
        put(self.side[name], key, flow.inserted[number], ANY)
        return f"{name}: socket {number} of flow {flow.number} at {key}"

    def delete_aside(self):
        if not self.side:
            return "nothing to delete"
        name, key = self.dice.choice([*self.side]), self.dice.randrange(SIDE_ENTRIES)
        with may_fail(errno.ENOENT, errno.EINVAL):
            checked(libbpf.bpf_map_delete_elem(self.side[name], key_of(key)))
        return f"{name}: delete {key}"

    def nest_map(self):
        """Make an outer map of a map, and free both."""
        if not self.side:
            return "nothing to nest"
        name = self.dice.choice([*self.side])
        fd = create(ARRAY_OF_MAPS, "outer", 4, 4, self.side[name])
        checked(libbpf.bpf_map_update_elem(fd, key_of(0), key_of(self.side[name]),
                                           ctypes.c_uint64(ANY)))
        os.close(self.side.pop(name))
        os.close(fd)
        return f"free {name} in an outer map"

    # --- the machine ---

    def switch_cpu(self, online=None):
        online = self.dice.random() < 0.6 if online is None else online
        switch_cpu(online)
        return f"CPU 1 {'online' if online else 'offline'}"

    def set_claim(self, claim=None):
        claim = self.dice.choice(("rm_*", "rm_*", "*", "")) if claim is None else claim
        (PARAMETERS / "claim").write_text(claim + "\n", encoding="ascii")
        return f"claim={claim}"

    def unload(self):
        done = subprocess.run(["rmmod", "redirmap"], capture_output=True, check=False)
        assert done.returncode, "rmmod succeeded although there are claimed maps"
        return "rmmod is refused"

    # The frequencies, in the order of the methods
    ACTIONS = {
        "begin_flow": 24, "finish_flow": 6,
        "close_sock": 4, "shut_down": 3, "delete_sock": 4, "delete_both": 3, "take": 3,
        "replace_by_itself": 4,
        "read": 3, "walk": 3, "dump": 2, "dump_sockets": 4,
        "make_map": 5, "free_map": 3, "insert_aside": 10, "delete_aside": 4, "nest_map": 2,
        "switch_cpu": 2, "set_claim": 2, "unload": 1,
    }

    def act(self):
        """Perform a random action. Returns its name."""
        name = self.dice.choices([*self.ACTIONS], self.ACTIONS.values())[0]
        told = getattr(self, name)()
        self.check()
        return told
