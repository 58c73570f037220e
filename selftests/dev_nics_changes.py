#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# machine: -c 1 --nic-pair vmxnet3 --nic-pair vmxnet3
# machine: --nic-pair e1000e --nic-pair e1000e
# machine: --nic-pair rtl8139 --nic-pair rtl8139
# machine: --nic-pair virtio-net-pci,queues=4
# machine: --nic-pair virtio-net-pci,queues=4
"""NICs with descriptor rings change while frames come from one of them and from
a veth, and leave by another one: link, MTU, rings, channels, programs, address,
namespace; the driver is unbound, and removed. After each change frames flow
again, on stock and on claimed maps. On claimed ones the sum of sent, lost and
missed frames equals what the programs have redirected. In the end the drivers
can be unloaded, and no memory is in use.

This takes minutes for each kernel, so it runs with LONG=1 only."""
import contextlib
import errno
import os
import threading
import time

from testlib import (Skip, becomes, equal, expedited, fdinfo, frames_of, in_a_net, is_long,
                     listen, open_pinned, run, sh, skip_all, test)

if not is_long():
    skip_all("it takes minutes: LONG=1")
in_a_net()

from hostlib import FAR, ip  # noqa: E402
from loadlib import counted  # noqa: E402
from memlib import in_use  # noqa: E402
from pairlib import DRIVERS, VIRTIO, VMXNET3, channels, is_loaded, loaded  # noqa: E402
from placelib import may_fail  # noqa: E402
from ringlib import (BURST, NATIVE, PIN, SOURCE, Rings, attach, frame, offered,  # noqa: E402
                     remove)

# Each source has frames of lengths of its own, and some that repeat.
LENGTHS = {"near0": (300, 900), "in0": (60, 200)}
# KiB that lists of CPUs, and caches, may keep
SLACK = {"kmalloc": 64, "vmalloc": 64, "pages": 512}


class Traffic(threading.Thread):
    """A few frames from each source, again and again."""

    def __init__(self, rings):
        super().__init__(daemon=True)
        self.rings, self.stopped, self.error = rings, False, None
        self.frames = {source: [frame(length) for length in lengths for _ in range(4)]
                       for source, lengths in LENGTHS.items()}

    def run(self):
        try:
            while not self.stopped:
                for source, frames in self.frames.items():
                    # The device is down, has gone, or has no room.
                    with may_fail(errno.ENETDOWN, errno.ENXIO, errno.ENODEV, errno.ENOBUFS,
                                  errno.EAGAIN, errno.EBADF):
                        for one in frames:
                            self.rings.senders[source].send(one)
                time.sleep(0.005)
        except Exception as error:      # for stop()
            self.error = error

    def stop(self):
        self.stopped = True
        self.join()
        if self.error:
            raise self.error


class Round:
    """The network of ringlib.py, with traffic through a map. The methods in
    CHANGES change both near NICs."""

    CHANGES = ("link", "mtu", "ring", "channels", "programs", "address", "namespace", "unbind",
               "remove")

    def __init__(self, rings, driver, kind):
        self.rings, self.driver, self.kind = rings, driver, kind
        self.map = open_pinned(f"{PIN}/m/{kind}")
        self.before = offered()[0], sum(counted())
        self.set_up()
        self.traffic = Traffic(rings)

    def set_up(self):
        """Frames of both sources go to near1."""
        self.rings.put(self.map, 1, "near1")
        self.rings.programs(True)
        for source in LENGTHS:
            attach(source, f"one_{self.kind}", self.rings.mode)

    def flows(self, when):
        """New frames of both sources arrive, unchanged."""
        sock, seen = self.rings.receivers["near1"], dict.fromkeys(LENGTHS, 0)
        for _ in frames_of(sock):
            pass

        def look():
            for one in frames_of(sock):
                ours = [source for source, frames in self.traffic.frames.items() if one in frames]
                assert ours or one[6:12] != SOURCE, one.hex()
                seen.update((source, seen[source] + 1) for source in ours)
            return min(seen.values()) >= 16

        assert becomes(look, 1500), f"{when}: {seen}, {offered()}\n{sh('ip -s link')}"

    def change(self, name):
        # vmxnet3 forgets its program when it stops its queues, and keeps a
        # reference to it for ever. virtio_net keeps its number of queues while
        # it has a program, and is held for ever if it leaves with one.
        if (self.driver is VMXNET3 or name == "channels" or
                self.driver is VIRTIO and name in ("unbind", "remove")):
            for nic in self.rings.near:
                attach(nic.name, None, self.rings.mode)
        getattr(self, name)()
        self.set_up()
        self.flows(name)

    def each(self, *commands):
        """Run commands for each near NIC, one after the other."""
        for command in commands:
            for nic in self.rings.near:
                sh(command.format(nic.name))

    def link(self):
        """Frames for a target that is down are lost, and counted."""
        for nic in self.rings.near:
            sh(f"ip link set {nic.name} down")
            before = offered()[0]
            assert becomes(lambda before=before: offered()[0] >= before + 20, 500)
            sh(f"ip link set {nic.name} up")

    def mtu(self):
        self.each("ip link set {} mtu 1000", "ip link set {} mtu 1500")

    def ring(self):
        if self.driver.ring:
            self.each(*(f"ethtool -G {{}} rx {size} tx {size}"
                        for size in (self.driver.ring, 256)))

    def channels(self):
        most = channels("near0")
        if most > 1:
            for count in (2, most, 1, most):
                self.each(f"ethtool -L {{}} combined {count}")
                self.set_up()
                self.flows(f"{count} channels")
                for nic in self.rings.near:
                    attach(nic.name, None, self.rings.mode)

    def programs(self):
        for _ in range(3):
            self.rings.off()
            self.set_up()

    def address(self):
        for nic in self.rings.near:
            ip(f"link set {nic.name} address 02:00:00:00:07:07",
               f"link set {nic.name} address {nic.address}")

    def namespace(self):
        for nic in self.rings.near:
            ip(f"link set {nic.name} netns {FAR}")
        for nic in self.rings.near:
            sh(f"ip -n {FAR} link set {nic.name} netns {os.getpid()}")
            nic.set_up()

    def unbind(self):
        for nic in self.rings.near:
            nic.unbind()
        for nic in self.rings.near:
            nic.bind()
            nic.fetch()

    def remove(self):
        sh(f"rmmod {self.driver}; modprobe {self.driver}")
        for near in self.rings.near:
            near.fetch()
            near.far.fetch()
        self.rings.open()

    def finish(self):
        """No frame runs any more; each was counted."""
        self.traffic.stop()
        if self.kind.startswith("rm_"):
            now = []
            assert becomes(lambda: now.append((offered()[0] - self.before[0],
                                               sum(counted()) - self.before[1])) or
                           now[-1][0] == now[-1][1], 600), now[-1]
        print(f"# {self.driver}, {self.kind}: {offered()[0] - self.before[0]} frames")
        os.close(self.map)
        self.rings.off()


@contextlib.contextmanager
def network(driver):
    with contextlib.ExitStack() as stack:
        stack.callback(remove)
        rings = Rings(stack.enter_context(loaded(driver)), driver.native)
        stack.callback(rings.close)
        yield rings


def prog_id(name):
    fd = open_pinned(f"{PIN}/p/{name}")
    try:
        return fdinfo(fd, "prog_id")
    finally:
        os.close(fd)


for driver in DRIVERS:
    memory = {}

    for kind in ("st_array", "rm_array"):
        @test(f"{driver}, {kind}: changes under traffic")
        def _(driver=driver, kind=kind, memory=memory):
            with expedited(), network(driver) as rings:
                one = Round(rings, driver, kind)
                one.traffic.start()
                try:
                    one.flows("at first")
                    for name in Round.CHANGES:
                        one.change(name)
                    one.finish()
                finally:
                    one.traffic.stop()
            memory[kind] = in_use()

    @test(f"{driver}: all memory is free again")
    def _(driver=driver, memory=memory):
        def grown():
            now = in_use()
            return {name: now[name] - memory["st_array"][name] for name in SLACK}

        # Pages of frames are freed some time later.
        assert becomes(lambda: all(grown()[name] <= SLACK[name] for name in SLACK), 60), grown()


@test("vmxnet3 forgets its program when it goes down, and keeps it in memory for ever")
def _():
    if not VMXNET3.native:
        raise Skip("vmxnet3 of 6.1 runs no native XDP")
    # A claimed map would be in use for ever, and with it the module.
    with network(VMXNET3) as rings:
        attach("near0", "one_st_array", NATIVE)
        number = prog_id("one_st_array")
        sh("ip link set near0 down; ip link set near0 up")
        rings.near[0].until_up()
        before = offered()
        with contextlib.closing(listen("near0")) as sock:
            # No program sees the frames, which go to the stack.
            frames = [frame(100) for _ in range(BURST)]
            rings.burst("near0", frames)
            passed = []
            assert becomes(lambda: passed.extend(frames_of(sock)) or len(passed) >= BURST, 500)
        equal((sorted(passed), offered()), (sorted(frames), before))
    assert not is_loaded(VMXNET3)
    sh(f"bpftool prog show id {number}")


try:
    run()
finally:
    remove()
