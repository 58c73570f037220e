#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Losses: the time of the last one, packets that were not segmented, and
removed or renamed devices."""
import contextlib
import fcntl
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time

import testlib
from testlib import (OUTPUT, becomes, delete, equal, ifindex, in_a_net, make_map, map_id,
                     open_pinned, redirmap, run, sh, test, update)

in_a_net()

import redirmap_drops  # noqa: E402
import redirmap_main as command  # noqa: E402
import redirmap_netlink  # noqa: E402
import loadlib  # noqa: E402
from hostlib import connection, inside  # noqa: E402
from loadlib import offer, state  # noqa: E402
from redirmap_netlink import Family  # noqa: E402

PIN = "/sys/fs/bpf/redirmap-losses"
SENDER, RECEIVER = "rmsender", "rmreceiver"
ADDRESS = ("10.9.0.2", 5001)
UDP_SEGMENT = 103
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454ca, 2, 0x1000
# Seconds, more than the kernel's rounding of ages.
STEP = 0.2

sh(f"rm -rf {PIN}; mkdir -p {PIN}/hosts {PIN}/missed; "
   f"bpftool prog loadall {OUTPUT}/hosts.bpf.o {PIN}/hosts pinmaps {PIN}/hosts; "
   f"bpftool prog loadall {OUTPUT}/missed.bpf.o {PIN}/missed pinmaps {PIN}/missed; "
   f"bpftool prog loadall {OUTPUT}/tools.bpf.o {PIN}/tools pinmaps {PIN}/tools")
missed = open_pinned(f"{PIN}/missed/rm_array")


def said(*args):
    status, out, err = redirmap(command, "drops", *args)
    equal((status, err), (0, ""))
    return out


def through(name):
    loadlib.through(f"{PIN}/missed/{name}", 1)


def target(device):
    with Family() as family:
        found, = [one for one in family.targets() if one["ifname"] == device]
    return found["stats"]


# --- times of losses --------------------------------------------------------


def age_is_right(lose, stats, reason):
    """Ages are counted from the last loss."""
    def age():
        return stats()["ages"][reason]

    before = time.monotonic()
    lose()
    assert becomes(lambda: reason in stats()["drops"]), stats()
    for _ in range(2):
        since = time.monotonic()
        was = age()
        assert 0 <= was <= time.monotonic() - before + STEP, (was, time.monotonic() - before)
        # The age grows with time,
        assert becomes(lambda: age() > 1)
        now = age()
        assert was + time.monotonic() - since + STEP >= now
        # until one more frame is lost.
        count = stats()["drops"][reason]
        before = time.monotonic()
        lose()
        assert becomes(lambda count=count: stats()["drops"][reason] > count)
        assert age() <= time.monotonic() - before + STEP, age()


@test("when the last frame was lost: a target's, a map's, a namespace's")
def _():
    sh("ip link add du type dummy; ip link set du up")
    prog = open_pinned(f"{PIN}/tools/to_rm_array")
    tools = open_pinned(f"{PIN}/tools/rm_array")
    update(tools, 1, ifindex("du"), -1)
    age_is_right(lambda: offer(prog, bytes(64), 1), lambda: target("du"), "no_xmit")
    for fd in (prog, tools):
        os.close(fd)

    def stats():
        return loadlib.map_stats(map_id(missed))

    age_is_right(lambda: through("nobody_array"), stats, "no_member")
    for action in ("aborted", "drop"):
        age_is_right(lambda action=action: through(f"{action}_array"),
                     lambda: {"drops": stats()["missed"], "ages": stats()["missed_ages"]}, action)
    # Counts that are not losses may grow with each packet, and have no age.
    for action in ("pass", "tx"):
        through(f"{action}_array")
    equal(stats()["missed"], {"aborted": 3, "drop": 3, "pass": 1, "tx": 1})
    equal(sorted(stats()["missed_ages"]), ["aborted", "drop"])
    one, = [one for one in said().splitlines() if "XDP_ABORTED" in one]
    assert re.search(r" in 3 lookups, the last one (just now|\d+ s ago), and returned ", one), one
    age_is_right(lambda: through("no_helper"), lambda: state()["lost"], "no_target")


@test("ages in words")
def _():
    one, = [one for one in re.findall("^du .*", said(), re.M)]
    assert re.match(r"du lost 3 of 3 frames, the last one (just now|\d+ s ago)\. ", one), one
    for age, words in ((0, "just now"), (0.9, "just now"), (1, "1 s ago"), (119.9, "119 s ago"),
                       (120, "2 min ago"), (7199, "119 min ago"), (7200, "2 h ago"),
                       (172800, "2 days ago"), (86400 * 400, "400 days ago")):
        equal(redirmap_drops.ago({"age": age, "packets": 2}), f", the last one {words}")
        equal(redirmap_drops.ago({"age": age, "packets": 1}), f", {words}")
    # A module that was loaded before an upgrade does not report ages.
    equal(redirmap_drops.ago({"age": None, "packets": 2}), "")


# Additions to the family since its first release.
NEWER = (
    (redirmap_netlink.drop, "age"), (redirmap_netlink.drop, "unsegmented"),
    (redirmap_netlink.miss, "age"), (redirmap_netlink.stats, "missed"),
    (redirmap_netlink.map_msg, "elsewhere"), (redirmap_netlink.state_msg, "gone_device"),
    (redirmap_netlink.state_msg, "lost"), (redirmap_netlink.state_msg, "copy_memory"),
    (redirmap_netlink.state_msg, "gone_count"), (redirmap_netlink.state_msg, "gone"),
    (redirmap_netlink.state_msg, "packets"), (redirmap_netlink.state_msg, "qdisc"),
    (redirmap_netlink.state_msg, "early"),
    (redirmap_netlink.stats, "as_packets"), (redirmap_netlink.map_msg, "packets"),
    (redirmap_netlink.target_msg, "packets"), (redirmap_netlink.map_msg, "users"),
)


@contextlib.contextmanager
def without(attributes):
    """A module that lacks some attributes."""
    taken = [(kind._known, kind.numbers[name]) for kind, name in attributes]
    kept = [known.pop(number) for known, number in taken]
    try:
        yield
    finally:
        for (known, number), what in zip(taken, kept, strict=True):
            known[number] = what


@test("a module that was loaded before an upgrade reports less")
def _():
    for some in [NEWER, *([one] for one in NEWER)]:
        with without(some):
            for args in (["list"], ["drops"], ["drops", "--since", "0.01"], ["state"]):
                for form in ([], ["--json"]):
                    status, _, err = redirmap(command, *form, *args)
                    equal((args, some, status, err), (args, some, 0, ""))
    with without(NEWER):
        assert "du lost 3 of 3 frames. " in said(), said()


@test("losses of removed devices keep their time, the latest device comes first")
def _():
    tools = open_pinned(f"{PIN}/tools/rm_array")
    prog = open_pinned(f"{PIN}/tools/to_rm_array")
    sh("ip link del du")
    assert becomes(lambda: state()["gone_devices"])
    assert state()["gone_devices"][0]["stats"]["ages"]["no_xmit"] > 0
    # Two devices alternate; the third one is in between.
    for name in ("da", "db", "da", "dc", "db"):
        if not os.path.exists(f"/proc/sys/net/ipv4/conf/{name}"):
            sh(f"ip link add {name} type dummy")
        sh(f"ip link set {name} up")
        update(tools, 1, ifindex(name), -1)
        offer(prog, bytes(64), 1)
        assert becomes(lambda name=name: target(name)["drops"] == {"no_xmit": 1})
        lost = state()["gone"]["drops"]["no_xmit"]
        delete(tools, 1)
        assert becomes(lambda lost=lost: state()["gone"]["drops"]["no_xmit"] == lost + 1)
    equal([(one["ifname"], one["stats"]["drops"]) for one in state()["gone_devices"]],
          [("db", {"no_xmit": 2}), ("dc", {"no_xmit": 1}), ("da", {"no_xmit": 2}),
           ("du", {"no_xmit": 3})])
    equal(re.findall(r"^(\w+ \(.*?\)) lost", said(), re.M),
          ["db (removed entries)", "dc (removed entries)", "da (removed entries)", "du (gone)"])

    # A device that was renamed is not removed.
    sh("ip link set dc down; ip link set dc name dd")
    assert "dc (now dd, removed entries) lost 1 of 1 frame, " in said(), said()
    sh("ip link del dd")
    assert "dc (gone) lost 1 of 1 frame, " in said(), said()
    for fd in (prog, tools):
        os.close(fd)
    sh("ip link del da; ip link del db")


@test("counters of an entry that was replaced begin at 0, although their sum has grown")
def _():
    what = {"map": None, "target": 1}
    before = {**redirmap_drops.NOTHING, "packets": 5, "bytes": 500, "drops": {"ring_full": 4}}
    after = {**before, "packets": 20, "bytes": 2000, "drops": {"ring_full": 3}}
    loss, = redirmap_drops.losses(what, after, 1, before)
    equal(loss["since"], {"seconds": 1, "packets": 3, "offered": 23})
    # Also if the counter of the reason has not decreased.
    after = {**before, "packets": 2, "bytes": 200, "drops": {"ring_full": 9}}
    loss, = redirmap_drops.losses(what, after, 1, before)
    equal(loss["since"], {"seconds": 1, "packets": 9, "offered": 11})
    # And if no counter has decreased.
    after = {**before, "drops": {"ring_full": 9}}
    loss, = redirmap_drops.losses(what, after, 1, before)
    equal(loss["since"], {"seconds": 1, "packets": 5, "offered": 5})


@test("lookups without an entry in other namespaces are mentioned, if they may be losses")
def _():
    class All:
        all_netns = False

        @staticmethod
        def selected():
            return False

    class Others:
        missed = {"drop": 2, "pass": 5, "aborted": 1}

        def maps(self, _number, _all_netns):
            return [{"stats": {**redirmap_drops.NOTHING, "missed": self.missed}}]

        def targets(self, _number, _all_netns):
            return []

    equal(redirmap_drops.nothing_lost(All, Others()), "No frame was lost in this network "
          "namespace; 3 lookups in others found no entry: see --all-netns.")
    Others.missed = {"pass": 5, "tx": 1}
    equal(redirmap_drops.nothing_lost(All, Others()), "No frame was lost.")


@test("a map, or target, that is removed while the command waits is reported")
def _():
    clock = redirmap_drops.time

    class Clock:
        monotonic = staticmethod(time.monotonic)

        @staticmethod
        def sleep(_):
            os.close(fd)
            assert becomes(lambda: redirmap(command, "list", "--map", str(number))[0] == 1)

    fd = make_map("rm_gone")
    number = map_id(fd)
    redirmap_drops.time = Clock
    try:
        equal(redirmap(command, "drops", "--since", "0.1", "--map", str(number)),
              (1, "", f"redirmap: map {number}: it was removed meanwhile\n"))
    finally:
        redirmap_drops.time = clock


# --- packets that are not segmented yet -------------------------------------


def make_hosts(kind):
    """Two hosts behind in1 and in2, which a map of a kind connects in generic
    XDP; all MTUs are 1500."""
    switch = open_pinned(f"{PIN}/hosts/{kind}_hash")
    for number, name in ((1, SENDER), (2, RECEIVER)):
        sh(f"ip netns add {name}; ip link add in{number} type veth peer name eth0 netns {name}; "
           f"ip link set in{number} up; ip -n {name} addr add 10.9.0.{number}/24 dev eth0; "
           f"ip -n {name} link set eth0 up; "
           f"bpftool net attach xdpgeneric pinned {PIN}/hosts/to_{kind}_hash dev in{number}")
        update(switch, number, ifindex(f"in{number}"))
    for number, name, other in ((2, SENDER, RECEIVER), (1, RECEIVER, SENDER)):
        address = sh(f"ip netns exec {other} cat /sys/class/net/eth0/address").strip()
        sh(f"ip -n {name} neigh add 10.9.0.{number} lladdr {address} dev eth0")
    return switch


@contextlib.contextmanager
def hosts(kind):
    switch = make_hosts(kind)
    try:
        yield switch
    finally:
        for number in (1, 2):
            delete(switch, number)
        os.close(switch)
        sh(f"ip link del in1; ip link del in2; ip netns del {SENDER}; ip netns del {RECEIVER}")


class Refused:
    """The kernel's tracepoint for frames that were too large."""

    def __enter__(self):
        self.folder = "/sys/kernel/tracing/instances/redirmap-losses"
        os.mkdir(self.folder)
        testlib.pathlib.Path(self.folder, "events/xdp/xdp_redirect_err/enable").write_text("1")
        return self

    def __exit__(self, *_):
        os.rmdir(self.folder)

    def too_large(self):
        return testlib.pathlib.Path(self.folder, "trace").read_text().count("err=-90")


SENT = 300000


def tcp_over(refused):
    """TCP between the hosts: when packets that are not segmented are lost, the
    sender begins to segment. The number of losses by then, and in the end."""
    with connection(SENDER, RECEIVER, ADDRESS) as (sender, receiver):
        data = threading.Thread(target=sender.sendall, args=[bytes(SENT)], daemon=True)
        data.start()
        assert becomes(lambda: refused.too_large()), "nothing was lost"
        sh(f"ip netns exec {SENDER} ethtool -K eth0 tso off gso off")
        got = 0
        while got < SENT:
            got += len(receiver.recv(1 << 16))
        data.join()
        lost = refused.too_large()
        # From then on packets are segmented before they are sent.
        sender.sendall(bytes(SENT))
        while got < 2 * SENT:
            got += len(receiver.recv(1 << 16))
        return lost, refused.too_large()


for kind in ("rm", "st"):
    @test(f"{kind}: TCP in generic XDP, all MTUs 1500: the sender has to segment")
    def _(kind=kind):
        with hosts(kind), Refused() as refused:
            lost, now = tcp_over(refused)
            assert lost > 0
            equal(now, lost)
            if kind == "st":
                return
            stats = target("in2")
            equal((stats["drops"], stats["unsegmented"]), ({"too_large": lost}, lost))
            text = said("in2").splitlines()[0]
            assert re.match(
                rf"in2 lost {lost} of \d+ frames, .*(just now|ago)\. The packets? (was|were) "
                rf"{re.escape(redirmap_drops.UNSEGMENTED)}$", text), text


def tap_of(name):
    """A descriptor. Data that are written to it arrive through a tap, without a
    header."""
    fd = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TAP | IFF_NO_PI))
    return fd


def send_udp(times, segment):
    """Packets of ten segments, from the first host to the second one."""
    with inside(SENDER):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with sock:
        sock.setsockopt(socket.SOL_UDP, UDP_SEGMENT, segment)
        for _ in range(times):
            sock.sendto(bytes(10 * segment), ADDRESS)


@test("packets not segmented and frames too large are distinguished, also in broadcasts")
def _():
    with hosts("rm"):
        send_udp(5, 1000)
        assert becomes(lambda: target("in2")["drops"] == {"too_large": 5}), target("in2")
        equal(target("in2")["unsegmented"], 5)
        # An MTU smaller than that of the ingress, which is the first cause to
        # remove.
        sh("ip link set in2 mtu 1000")
        send_udp(2, 1100)
        assert becomes(lambda: target("in2")["drops"] == {"too_large": 7}), target("in2")
        equal(target("in2")["unsegmented"], 5)
        text = said("in2").splitlines()[0]
        assert " Of these frames, 5 were probably not segmented yet, " in text, text
        assert text.endswith(" The other frames: The frame was larger than the device's MTU "
                             "allows. Raise the MTU, or lower the MTU of the senders."), text
        sh("ip link set in2 mtu 1500")

        sh(f"ip link set in1 xdpgeneric off; "
           f"bpftool net attach xdpgeneric pinned {PIN}/tools/all_rm_array dev in1")
        tools = open_pinned(f"{PIN}/tools/rm_array")
        update(tools, 2, ifindex("in2"), -1)
        send_udp(3, 1000)
        assert becomes(lambda: target("in2")["drops"] == {"too_large": 10}), target("in2")
        equal(target("in2")["unsegmented"], 8)
        delete(tools, 2)
        os.close(tools)


def by_tap(program, lost):
    """One long frame arrives through a tap, by a program; "in2" must then have
    lost this number of packets."""
    sh(f"ip tuntap add dev tapin mode tap; ip link set tapin up; "
       f"bpftool net attach xdpgeneric pinned {PIN}/{program} dev tapin")
    tap = tap_of("tapin")
    try:
        os.write(tap, testlib.frame_to(2, 3000))
        assert becomes(lambda: target("in2")["drops"] == {"too_large": lost}), target("in2")
    finally:
        os.close(tap)
        sh("ip link del tapin")


@test("a plain frame that is longer than its ingress's MTU: probably not segmented")
def _():
    with hosts("rm") as switch:
        sh("modprobe tun")
        by_tap("hosts/to_rm_hash", 1)
        text = said("in2").splitlines()[0]
        assert " The packet was probably not segmented yet, " in text, text
        assert text.endswith(" If it still goes on, the MTU of the sender is larger than the MTU "
                             "of the ingress device: lower it."), text
        # In a broadcast the module examines the packet.
        tools = open_pinned(f"{PIN}/tools/rm_array")
        update(tools, 2, ifindex("in2"), -1)
        by_tap("tools/all_rm_array", 2)
        equal(target("in2")["unsegmented"], 1)
        delete(tools, 2)
        os.close(tools)
        assert switch


try:
    run()
finally:
    os.close(missed)
    sh(f"rm -rf {PIN}")
    for name in (SENDER, RECEIVER):
        subprocess.run(["ip", "netns", "del", name], capture_output=True, check=False)
    sys.stdout.flush()
