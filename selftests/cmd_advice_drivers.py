#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""The advice of redirmap drops for a device whose driver takes no frames: by
errno, by missing properties of hardware, and by the requirements of drivers."""
import errno
import os
import re
import subprocess

import testlib
from advicelib import (ASKED, ENXIO, FRAMES, GENERIC, HOST, OLD, READY, advised, attach, leave,
                       remove, said, told_of)
from redirmap_advice import ANNOUNCE, WANT_PROGRAM, Why, hardware
from redirmap_links import Network, Place
from redirmap_reasons import REASONS
from testlib import becomes, equal, frame_to, ifindex, run, send, sh, test

attach("xdpdrv")


@test("a driver's errno, of a device that is up")
def _():
    testlib.load_faulty()
    sh("ip link add f0 type faulty; ip link set f0 up")
    table = errnos_of_drivers()
    assert {"ENXIO", "ENETDOWN", "EINVAL", "EIO"} <= table, table
    seen = set()
    for name in sorted(table | {"EFAULT"}):
        number = getattr(errno, name)
        knob("f0", "error", number)
        refused = advised("f0")
        words = f" The last error was {name} ({os.strerror(number)})."
        assert refused.startswith("The driver refused with an error. "), refused
        assert refused.endswith(words), refused
        equal("lists no driver with this errno" in refused, name == "EFAULT")
        seen.add(refused.removesuffix(words))
    # One sentence for each errno.
    equal(len(seen), len(table) + 1)
    knob("f0", "error", 0)
    remove("f0")


@test("the texts of reasons name the errnos and the drivers, also in the documents")
def _():
    # Without a device that explains more, these texts are all.
    general = {one.name: one.text for one in REASONS}
    for name in errnos_of_drivers():
        assert re.search(rf"\b{name}\b", general["driver_error"]), name
    wanting = set.union(*WANT_PROGRAM.values()) & ANNOUNCE
    named = {"igb", "ixgbe", "i40e", "ice", "virtio_net"}
    assert named <= wanting, wanting
    for name in named:
        assert re.search(rf"\b{name}\b", general["no_xmit"]), name
    for page in ("counters", "redirmap.8", "redirect", "known_from_stock"):
        text = (testlib.TOP / f"Documentation/{page}.rst").read_text(encoding="utf-8")
        assert not [name for name in named if not re.search(rf"\b{name}\b", text)], page
    text = (testlib.TOP / "Documentation/counters.rst").read_text(encoding="utf-8")
    table = text[text.index("\nErrnos of drivers\n"):text.index("\nSent\n")]
    equal(set(re.findall("^``(E[A-Z]+)`` ", table, re.M)), errnos_of_drivers())


def errnos_of_drivers():
    """The errnos that drivers return: Documentation/drivers.rst."""
    text = (testlib.TOP / "Documentation/drivers.rst").read_text(encoding="utf-8")
    return set(re.findall("^(E[A-Z]+) ", text[text.index("\nErrnos\n"):], re.M))


def knob(device, name, value):
    """A file of faulty_dev.c. The mounted sysfs is that of another
    namespace."""
    sh(f"unshare --mount sh -c 'mount -t sysfs sysfs /sys && "
       f"echo {value} >/sys/class/net/{device}/faulty/{name}'")


@test("a device that may announce ndo_xdp_xmit(), by its kind")
def _():
    if OLD:
        print("# skipped: Linux 6.1 has no announcements")
        return
    sh("ip link add f0 type faulty; ip link set f0 up")
    knob("f0", "feature", 0)
    equal(advised("f0"), f"A device of the kind faulty transmits no XDP frames: {GENERIC}")
    knob("f0", "feature", 1)
    equal(told_of("f0"), "The device transmits XDP frames now: the cause of the loss has gone.")
    # A device that returns an errno is not of a kind without ndo_xdp_xmit().
    knob("f0", "error", errno.EIO)
    send("in1", frame_to(HOST, 100), FRAMES)
    assert becomes(lambda: "driver_error" in said("--json", "f0"))
    text = told_of("f0", reason="driver_error")
    assert text.startswith("The driver refused with an error. The transmit ring "), text
    remove("f0")


@test("hardware: its driver has no XDP, wants a program, a carrier, channels")
def _():
    # A dummy, in the place of a NIC.
    sh("ip link add du type dummy; ip link set du up")
    network = Network(Place(""))

    def nic_says(driver, reason, code=None, programs=(), **more):
        link = network.link(ifindex("du"))
        link.kind, link.driver, link.programs = None, lambda: driver, dict.fromkeys(programs)
        for name, value in more.items():
            setattr(link, name, value)
        return hardware(network, link, Why(reason, code))

    def features(number):
        network.xdp_features = lambda link: number

    def channels(combined, most):
        network.channels = lambda link: {"combined": combined, "combined_max": most}

    program = "needs an XDP program on du itself; a program that returns XDP_PASS is sufficient."
    if OLD:
        equal(nic_says("e1000", "no_xmit"),
              "The driver e1000 has no ndo_xdp_xmit, or the frames had several buffers, which "
              f"this kernel does not redirect: {GENERIC}")
        text = nic_says("igb", "no_xmit")
        assert text.startswith("This kernel redirects no frames of several buffers: "), text
    else:
        # With the features that the kernel reports for a device without XDP.
        equal(nic_says("e1000", "no_xmit"),
              "The driver e1000 does not support XDP on du, and an XDP program does not change "
              f"that: {GENERIC}")
        features(1)
        equal(nic_says("igb", "no_xmit"), f"The driver igb {program}")
        equal(nic_says("new", "no_xmit"),
              "The driver new may need an XDP program on du itself. If that does not help, "
              f"{GENERIC}")
        for driver in ("igb", "new"):
            equal(nic_says(driver, "no_xmit", programs=["xdpdrv"]),
                  f"The driver {driver} does not transmit XDP frames: {GENERIC}")
        # Rings are irrelevant for a driver that has refused no frame.
        channels(1, 64)
        equal(nic_says("i40e", "no_xmit"), f"The driver i40e {program}")

    for driver, code, needs in (
            ("igb", errno.ENXIO, program), ("bnxt_en", errno.EINVAL, program),
            ("funeth", errno.ENETDOWN, program), ("igb", errno.ENETDOWN, None),
            ("bnxt_en", errno.ENXIO, None), ("mlx5_core", errno.ENETDOWN, None)):
        equal(nic_says(driver, "driver_error", code), needs and f"The driver {driver} {needs}")
        equal(nic_says(driver, "driver_error", code, ["xdpdrv"]), None)
        equal(nic_says(driver, "driver_error", code, up=False),
              "It is down: ip link set dev du up.")
    equal(nic_says("igc", "driver_error", errno.ENETDOWN), None)
    equal(nic_says("igc", "driver_error", errno.ENETDOWN, carrier=False),
          "It has no carrier: check the cable, and the device at its other end.")

    cpus = os.cpu_count()
    text = f"The driver mlx5_core needs a channel for each of the {cpus} CPUs, and has "
    channels(cpus - 1, cpus)
    equal(nic_says("mlx5_core", "driver_error", errno.ENXIO),
          f"{text}{cpus - 1}: ethtool -L du combined {cpus}.")
    channels(cpus, cpus)
    equal(nic_says("mlx5_core", "driver_error", errno.ENXIO), None)
    channels(1, cpus - 1)
    equal(nic_says("mlx5_core", "driver_error", errno.ENXIO),
          f"{text}{cpus - 1} at most: let interrupts of the ingress devices go to the first CPUs "
          f"only; or {GENERIC}")
    network.close()
    remove("du")


@test("a tap that no process has open")
def _():
    sh("modprobe tun; ip tuntap add ta mode tap; ip link set ta up")
    equal(advised("ta"), f"{READY}No process has ta open: start the process that reads from "
                         f"it.{ENXIO}")
    remove("ta")


@test("a driver that wants a program first")
def _():
    name = nic()
    if not name:
        print("# skipped: no virtio NIC, see scripts/lab/vm --nics")
        return
    try:
        equal(advised(name), f"The driver virtio_net needs an XDP program on {name} itself; a "
                             f"program that returns XDP_PASS is sufficient.{ASKED}")
    finally:
        sh("rmmod virtio_net")


def nic():
    """A virtio NIC of the machine, moved to this namespace and up; or None."""
    assert not os.path.isdir("/sys/module/virtio_net"), "somebody uses the NICs"
    subprocess.run(["modprobe", "-q", "virtio_net"], check=False)
    for line in sh("nsenter -t 1 -n ip -br link").splitlines():
        name, _, address = line.split()[:3]
        if address.startswith("02:72:6d:00:00:0"):
            sh(f"nsenter -t 1 -n ip link set {name} netns {os.getpid()}; ip link set {name} up")
            return name
    return None


try:
    run()
finally:
    leave()
