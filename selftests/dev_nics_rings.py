#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
# machine: -c 1 --nic-pair vmxnet3 --nic-pair vmxnet3
# machine: --nic-pair e1000e --nic-pair e1000e
# machine: --nic-pair rtl8139 --nic-pair rtl8139
# machine: --nic-pair virtio-net-pci,queues=4
# machine: --nic-pair virtio-net-pci,queues=4
"""NICs with descriptor rings, as sources and as targets: frames that a NIC has
received leave by another NIC, by a veth, or by several of them, and frames of a
veth leave by a NIC. Each frame that arrives has its bytes, on stock and on
claimed maps; on claimed ones each frame is counted once, and the sum is that of
the driver. See ringlib.py.

vmxnet3 (6.12) and virtio_net run native XDP, the others generic XDP. One
CPU: otherwise it is chance how many frames meet a full ring.
"""
from testlib import in_a_net, run, test

in_a_net()

from pairlib import DRIVERS  # noqa: E402
from ringlib import KINDS, LONGEST, NATIVE, Stage, cases, some  # noqa: E402

stage = Stage()


for driver in DRIVERS:
    for source, to in (("near0", "near1"), ("near0", "near0"), ("near0", "t0"), ("in0", "near1")):
        @test(f"{driver}: {source} to {to}")
        def _(driver=driver, source=source, to=to):
            cases(stage(driver), source, to)

    @test(f"{driver}: broadcasts to 2 to 4 devices, with and without the ingress device")
    def _(driver=driver):
        rings = stage(driver)
        # In generic XDP the kernel's own copies share their bytes.
        change = "grow" if driver.native else None
        members = [("near1", None), ("t0", change), ("t1", "odd"), ("near0", None)]
        for kind in KINDS:
            for entries in (members[:2], members[:3], members, [members[3], members[0]]):
                for verb in ("every", "others"):
                    rings.run("near0", verb, kind, entries, some(longest=LONGEST - 4))

    @test(f"{driver}: frames of up to {driver.jumbo + 14} bytes")
    def _(driver=driver):
        rings = stage(driver)
        rings.set_mtu(driver.jumbo)
        for source in ("near0", "in0"):
            cases(rings, source, "near1", KINDS[:2], (None, "grow"), driver.jumbo + 14)
        for kind in KINDS[:2]:
            rings.run("near0", "every", kind, [("near1", None), ("t0", None)],
                      some(longest=driver.jumbo + 14))
        rings.set_mtu(1500)

    if not driver.native:
        @test(f"{driver}: frames of native XDP leave as packets")
        def _(driver=driver):
            rings = stage(driver)
            for egress in (None, "shrink"):
                rings.run("in0", "one", "rm_packets", [("near1", egress)], some(), NATIVE,
                          ["near1"])


try:
    run()
finally:
    stage.close()
