# SPDX-License-Identifier: GPL-2.0-only
"""NICs with descriptor rings, for tests in Python: the pairs of scripts/lab/vm
--nic-pair. Both NICs of a pair have the same driver, and a cable joins them.
The near ones are in the test's network namespace, the far ones in another one.

A test loads a driver, and unloads it afterwards, so that its NICs are not
there for other tests.
"""
import contextlib
import os
import re
from pathlib import Path

from hostlib import FAR, inside, ip
from testlib import Skip, becomes, sh, until_up

OLD = os.uname().release.startswith("6.1.")
# The addresses that scripts/lab/vm gives, without pair and end
ADDRESS = "02:72:6d:01:"
NET = Path("/sys/class/net")


class Driver:
    """What a test expects of a driver: @native: its XDP is native; @jumbo: an
    MTU that it takes, with a program; @ring: a size of its rings that is not
    the default, None if the size is fixed."""

    def __init__(self, name, native, jumbo, ring=None):
        self.name, self.native, self.jumbo, self.ring = name, native, jumbo, ring

    def __str__(self):
        return self.name


VMXNET3 = Driver("vmxnet3", not OLD, 3000, 512)
E1000E = Driver("e1000e", False, 9000, 512)
CP = Driver("8139cp", False, 3000)
VIRTIO = Driver("virtio_net", True, 3000, 128)
DRIVERS = (VMXNET3, E1000E, CP, VIRTIO)


def found_nics():
    """The NICs of pairs in the machine's own namespace, by their addresses."""
    nics = {}
    for file in NET.glob("*/address"):
        with contextlib.suppress(OSError):
            address = file.read_text().strip()
            if address.startswith(ADDRESS):
                nics[address] = file.parent
    return nics


class Nic:
    """A NIC. @host: its namespace, None for the test's; @far: the other end of
    its cable."""

    def __init__(self, driver, address, name, host):
        self.driver, self.address, self.name, self.host = driver, address, name, host
        self.far = None
        # The device on the bus, and its driver there
        self.device = (found_nics()[address] / "device").resolve()
        self.bus_driver = (self.device / "driver").resolve()

    def inside(self):
        return inside(self.host) if self.host else contextlib.nullcontext()

    def fetch(self):
        """Move the NIC from the machine's namespace."""
        assert becomes(lambda: self.address in found_nics()), f"{self.name} is not there"
        folder = found_nics()[self.address]
        # NAPI runs in a thread, so a burst of frames is one poll.
        (folder / "threaded").write_text("1")
        there = self.host or os.getpid()
        sh(f"nsenter -t 1 -n ip link set {folder.name} netns {there} name {self.name}")
        self.set_up()

    def set_up(self):
        with self.inside():
            # The test's frames have other addresses.
            ip(f"link set {self.name} promisc on up")

    def until_up(self):
        with self.inside():
            until_up(self.name)

    def unbind(self):
        (self.bus_driver / "unbind").write_text(self.device.name)

    def bind(self):
        (self.bus_driver / "bind").write_text(self.device.name)

    def transmitted(self):
        """The frames that the driver has transmitted."""
        with self.inside():
            if self.driver is VIRTIO:
                # It counts a frame when it frees it, which may be never.
                told = sh(f"ethtool -S {self.name}")
                taken, refused = (
                    sum(map(int, re.findall(rf"tx\D*\d+_xdp_tx{what}: (\d+)", told)))
                    for what in ("", "_drops"))
                return taken - refused
            # The numbers of "ip -s link"
            text = Path("/proc/thread-self/net/dev").read_text()
        return int(re.search(rf"\b{self.name}:(.*)", text)[1].split()[9])


def fetch_pairs(driver, first):
    """The near NICs of a driver's pairs, named near0, near1 and so on."""
    pairs = {}
    for address, folder in sorted(found_nics().items()):
        if (folder / "device/driver").resolve().name == driver.name:
            pairs.setdefault(address[:-3], []).append(address)
    near_nics = []
    for number, ends in enumerate(pairs.values(), first):
        near, far = (Nic(driver, address, f"{end}{number}", host)
                     for address, end, host in zip(ends, ("near", "far"), (None, FAR),
                                                   strict=True))
        near.far = far
        near_nics.append(near)
    for near in near_nics:
        near.fetch()
        near.far.fetch()
    for near in near_nics:
        near.until_up()
        near.far.until_up()
    return near_nics


def channels(device):
    """The pairs of queues that a device may have, beside one for each CPU.
    virtio_net writes behind its queues if it has more pairs than CPUs, but not
    one for each CPU in addition, and frames are redirected to it."""
    found = re.findall(r"Combined:\s+(\d+)", sh(f"ethtool -l {device} 2>&1 || :"))
    return max(1, int(found[0]) - os.cpu_count()) if found else 1


def is_loaded(driver):
    return os.path.isdir(f"/sys/module/{driver}")


@contextlib.contextmanager
def loaded(*drivers):
    """The near NICs of some drivers. Afterwards the drivers are unloaded."""
    near_nics = []
    sh(f"ip netns del {FAR} 2>/dev/null; ip netns add {FAR}")
    try:
        with inside(FAR):
            sh("sysctl -qw net.ipv6.conf.default.disable_ipv6=1 2>/dev/null || :")
        for driver in drivers:
            assert not is_loaded(driver), f"{driver} is in use"
            sh(f"modprobe -q {driver} || :")
            near_nics += fetch_pairs(driver, len(near_nics))
        if len(near_nics) < 2 * len(drivers):
            raise Skip("no pairs of NICs: see scripts/lab/vm --nic-pair")
        yield near_nics
    finally:
        sh("".join(f"rmmod {driver}; " for driver in drivers if is_loaded(driver)) +
           f"ip netns del {FAR}")
