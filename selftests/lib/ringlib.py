# SPDX-License-Identifier: GPL-2.0-only
"""Frames that NICs (pairlib.py) have received, and that leave by another NIC or
a veth, byte for byte, with an exact account on claimed maps: for dev_nics*.py.

    far0 == cable ==> near0 ==> program, map ==> near1 == cable ==> far1
    in1 ===> in0 =============> program, map ==> t0 ===> r0
                                             ==> t1 ===> r1
"""
import collections
import contextlib
import ctypes
import itertools
import os
import socket
import struct

from pairlib import VIRTIO, loaded
from redirmap_netlink import Family
from testlib import (DEVMAP_HASH, OUTPUT, add_veth, becomes, checked, delete, equal, frame_to,
                     frames_of, ifindex, in_sysfs, libbpf, listen, make_map, open_pinned, sh,
                     update)

PIN = "/sys/fs/bpf/redirmap-nics"
PACKETS = "/sys/module/redirmap/parameters/packets"
NATIVE, GENERIC = 1 << 2, 1 << 1     # XDP_FLAGS_DRV_MODE, XDP_FLAGS_SKB_MODE
# The source address of the test's frames, as in netlib.bpf.h
DESTINATION, SOURCE = b"\2\0\0\0\0\1", b"\2\0\0\0\x88\xb5"
# Places of the UDP header, of a frame's number, and of the bytes behind it
UDP, NUMBER, PATTERN = 34, 42, 46
# Flows, which may come by several queues. Frames of a flow keep their order.
FLOWS = 8
LENGTHS = (60, 61, 64, 65, 99, 100, 101, 127, 128, 129, 200, 255, 256, 257, 511, 512, 600, 800,
           1000, 1023, 1024, 1025, 1280, 1400, 1499, 1500, 1501, 1509, 1510)
LONGEST = 1514
# No ring, and no bulk of a poll, is smaller.
BURST = 32
KINDS = ("st_array", "rm_array", "st_hash", "rm_hash")
# Frames of each case, in the order of LENGTHS; more than a burst
COUNT = BURST + 16

VETHS = (("in0", "in1"), ("t0", "r0"), ("t1", "r1"))

numbers = itertools.count(1)


def frame(length):
    """The next frame of this length."""
    number = next(numbers)
    start = DESTINATION + SOURCE + frame_to(2, length)[12:UDP]
    start += struct.pack("!HHHH", 1000 + number % FLOWS, 9, length - UDP, 0)
    start += struct.pack("I", number)
    return start + bytes((at + (at >> 8) + number) % 256 for at in range(PATTERN, length))


def number_of(one):
    return struct.unpack_from("I", one, NUMBER)[0]


# What egress programs of nics.bpf.c make of a frame
EGRESS = {
    None: lambda one: one,
    "odd": lambda one: one if number_of(one) & 1 else None,
    "grow": lambda one: one[:12] + b"\x88\xb5\0\5" + one[12:],
    "shrink": lambda one: one[:-20] if len(one) > 100 else one,
}


def left(frames, egress):
    return [one for one in map(EGRESS[egress], frames) if one is not None]


def check_bytes(arrived, frames, ordered):
    """Each of these has arrived at most once, unchanged, and in the order of
    its flow."""
    place = {one: at for at, one in enumerate(frames)}
    places = []
    for one in arrived:
        assert one in place, f"a frame of {len(one)} bytes was not sent so: {one[:64].hex()} ..."
        places.append(place[one])
    equal(len(set(places)), len(places))
    for flow in range(FLOWS) if ordered else ():
        of_flow = [at for at in places if number_of(frames[at]) % FLOWS == flow]
        equal(of_flow, sorted(of_flow))


@contextlib.contextmanager
def urgent():
    """No thread of NAPI runs on this CPU meanwhile, so all frames come in one
    poll then."""
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def attach(device, name, mode):
    """Attach a program, or none."""
    fd = open_pinned(f"{PIN}/p/{name}") if name else -1
    checked(libbpf.bpf_xdp_attach(ifindex(device), fd, mode, None))
    if name:
        os.close(fd)


def offered():
    """The frames and bytes that programs have redirected."""
    fd = open_pinned(f"{PIN}/m/offered")
    value, told = ctypes.create_string_buffer(8), []
    for key in (0, 1):
        checked(libbpf.bpf_map_lookup_elem(fd, struct.pack("I", key), value))
        told.append(struct.unpack("Q", value.raw)[0])
    os.close(fd)
    return told


def account(device):
    """The packets and bytes that the targets of a device have sent, those that
    left as packets, and its losses by reason."""
    number, sums, drops = ifindex(device), [0, 0, 0], collections.Counter()
    with Family() as family:
        for one in family.targets():
            if one["ifindex"] == number:
                stats = one["stats"]
                for at, name in enumerate(("packets", "bytes", "as_packets")):
                    sums[at] += stats[name] or 0
                drops.update(stats["drops"])
    return (*sums, drops)


def remove():
    """Remove what a test may have left."""
    sh("".join(f"ip link del {one} 2>/dev/null; " for one, _ in VETHS) + f"rm -rf {PIN}")


class Rings:
    """The network above. @near: the near NICs of two pairs."""

    def __init__(self, near, native):
        self.near, self.mode = near, NATIVE if native else GENERIC
        # A tap (scripts/lab/vm) may move a flow to another queue at any time.
        self.ordered = all(nic.driver is not VIRTIO for nic in near)
        self.senders, self.receivers, self.opened = {}, {}, contextlib.ExitStack()
        sh(f"rm -rf {PIN}; mkdir -p {PIN}; "
           f"echo 'rm_packets*' >{PACKETS}; "
           f"bpftool prog loadall {OUTPUT}/nics.bpf.o {PIN}/p pinmaps {PIN}/m")
        # Targets, and their counters, exist as long as they have an entry. They
        # differ by the parameter.
        self.kept = [make_map(name, DEVMAP_HASH, 64, 8) for name in ("rm_kept", "rm_packets_kept")]
        self.keys = {}
        sh(f"echo >{PACKETS}")
        for one, peer in VETHS:
            add_veth(one, peer)
        self.programs(True)
        if native:
            # Its NAPI, which exists while there is a program
            in_sysfs("echo 1 >/sys/class/net/in0/threaded")
        self.open()

    def open(self):
        """Open the sockets of all devices."""
        self.opened.close()
        enter = self.opened.enter_context
        self.senders = {self.near[0].name: enter(self.sender(self.near[0].far)),
                        "in0": enter(self.sender(None))}
        self.receivers = {nic.name: enter(self.receiver(nic)) for nic in self.near}
        for one, peer in VETHS[1:]:
            self.receivers[one] = enter(contextlib.closing(listen(peer)))

    @staticmethod
    @contextlib.contextmanager
    def sender(nic):
        with nic.inside() if nic else contextlib.nullcontext():
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            sock.bind((nic.name if nic else "in1", 0))
        with sock:
            yield sock

    @staticmethod
    @contextlib.contextmanager
    def receiver(near):
        with near.far.inside():
            sock = listen(near.far.name)
        with sock:
            yield sock

    def programs(self, on):
        """Let targets take XDP frames: some drivers need a program for that."""
        if self.mode == NATIVE:
            nics = [nic.name for nic in self.near if nic.driver.native]
            for device in (*nics, "in0", "r0", "r1"):
                attach(device, "pass" if on else None, NATIVE)

    def off(self):
        """No device has a program: vmxnet3 forgets its program when it stops
        its queues, and keeps a reference to it for ever."""
        for device in (self.near[0].name, "in0"):
            attach(device, None, self.mode)
        self.programs(False)

    def each(self, command, *devices):
        """Run a command for the NICs, on both ends, and for other devices."""
        for nic in itertools.chain.from_iterable((near, near.far) for near in self.near):
            with nic.inside():
                sh(command.format(nic.name))
        for device in devices:
            sh(command.format(device))

    def set_mtu(self, mtu):
        self.off()
        self.each(f"ip link set {{}} mtu {mtu}", *itertools.chain.from_iterable(VETHS))
        self.until_up()

    def set_channels(self, count):
        """virtio_net changes its number of queues only without a program."""
        self.off()
        self.each(f"ethtool -L {{}} combined {count}")
        self.until_up()

    def until_up(self):
        for near in self.near:
            near.until_up()
            near.far.until_up()
        self.programs(True)

    def close(self):
        self.off()
        self.opened.close()
        for fd in self.kept:
            os.close(fd)
        remove()

    def nic(self, device):
        return next((nic for nic in self.near if nic.name == device), None)

    def keep(self, device, egress):
        """Claimed maps keep this target."""
        key = self.keys.setdefault((ifindex(device), egress), len(self.keys))
        for fd in self.kept:
            self.put(fd, key, device, egress)

    @staticmethod
    def put(fd, key, device, egress=None):
        prog = open_pinned(f"{PIN}/p/{egress}") if egress else -1
        try:
            update(fd, key, ifindex(device), prog)
        finally:
            if egress:
                os.close(prog)

    def burst(self, source, frames):
        with urgent():
            for one in frames:
                self.senders[source].send(one)

    def arrivals(self, device, count):
        """The test's frames that have arrived behind a device. The receiver may
        have lost some of them."""
        arrived = []

        def look():
            arrived.extend(one for one in frames_of(self.receivers[device])
                           if one[6:12] == SOURCE)
            return len(arrived) >= count

        becomes(look, 300)
        return arrived

    def run(self, source, verb, kind, entries, frames, mode=None, as_packets=()):
        """Send frames to a source, whose program is verb_kind (nics.bpf.c).
        @entries: (device, egress program) from key 1 on; @as_packets: devices
        that frames leave as packets."""
        mode = mode or self.mode
        claimed = kind.startswith("rm_")
        fd = open_pinned(f"{PIN}/m/{kind}")
        for key, (device, egress) in enumerate(entries, 1):
            self.keep(device, egress)
            self.put(fd, key, device, egress)
        if mode != self.mode:
            attach(source, None, self.mode)
        attach(source, f"{verb}_{kind}", mode)
        members = [one for one in entries if verb != "others" or one[0] != source]
        nics = [nic for device, _ in members if (nic := self.nic(device))]
        before = offered(), [account(device) for device, _ in members], \
            [nic.transmitted() for nic in nics]

        for at in range(0, len(frames), BURST):
            part = frames[at:at + BURST]
            self.burst(source, part)
            want = before[0][0] + at + len(part)
            assert becomes(lambda want=want: offered()[0] >= want, 500), \
                f"{offered()[0] - want + len(part)} of {len(part)} frames have come to {source}"
        equal(offered(), [before[0][0] + len(frames), before[0][1] + sum(map(len, frames))])

        for at, (device, egress) in enumerate(members):
            want = left(frames, egress)
            if claimed:
                self.check_account(device, before[1][at], frames, want, device in as_packets)
            arrived = self.arrivals(device, len(want))
            check_bytes(arrived, want, self.ordered)
            assert len(arrived) >= len(want) * 3 // 4, f"{len(arrived)} of {len(want)} at {device}"
            if len(arrived) < len(want):
                print(f"# {len(arrived)} of {len(want)} frames have arrived behind {device}")
        for nic, taken in zip(nics, before[2], strict=True):
            want = len(left(frames, dict(members)[nic.name]))
            assert becomes(lambda nic=nic, want=taken + want: nic.transmitted() == want, 300), \
                f"{nic.name} has transmitted {nic.transmitted() - taken}, not {want}"
        if mode != self.mode:
            attach(source, None, mode)
        for key in range(1, len(entries) + 1):
            delete(fd, key)
        os.close(fd)

    @staticmethod
    def check_account(device, before, frames, want, as_packets):
        """Offered = sent + lost by reason. No frame but those that a program
        drops may be lost, because bursts are shorter than rings."""
        lost = len(frames) - len(want)
        expected = (before[0] + len(want), before[1] + sum(map(len, want)),
                    before[2] + (len(want) if as_packets else 0),
                    before[3] + collections.Counter(prog_drop=lost))
        now = []
        assert becomes(lambda: now.append(account(device)) or now[-1] == expected, 300), \
            f"{device}: is {now[-1]}, not {expected}; was {before}"


class Stage:
    """The drivers that are loaded; consecutive tests share them."""

    def __init__(self):
        self.drivers, self.opened = (), contextlib.ExitStack()

    def __call__(self, *drivers):
        if drivers != self.drivers:
            self.close()
            self.opened.callback(remove)
            near = self.opened.enter_context(loaded(*drivers))
            self.rings = Rings(near[::len(near) // 2], drivers[0].native)
            self.opened.callback(self.rings.close)
            self.drivers = drivers
        return self.rings

    def close(self):
        """rmmod succeeds, although frames have run."""
        self.drivers = ()
        self.opened.close()


def some(count=COUNT, longest=LONGEST):
    lengths = [*LENGTHS, longest, (longest + 60) // 2]
    return [frame(lengths[at % len(lengths)]) for at in range(count)]


def cases(rings, source, to, kinds=KINDS, programs=tuple(EGRESS), longest=LONGEST):
    """Frames of a source go to one device."""
    for kind in kinds:
        for egress in programs:
            # A longer frame is not one that every NIC takes.
            most = longest - 4 * (egress == "grow")
            rings.run(source, "one", kind, [(to, egress)], some(longest=most))
