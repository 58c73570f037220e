# SPDX-License-Identifier: GPL-2.0-only
"""Network namespaces with programs, maps and devices in them, for soaklib.py
and others."""
import contextlib
import ctypes
import os
import pathlib
import struct
import subprocess

from testlib import OUTPUT, checked, ifindex, libbpf, open_pinned, sh

PIN = "/sys/fs/bpf/redirmap-soak"
# Kinds of frames that programs count, as in soak.bpf.c.
ONCE, TO_MEMBERS, TO_CHANGING = range(3)

# An ifindex without a device
NOBODY = 1 << 30
CLONE_NEWNET = 0x40000000

# No command takes that long, unless it waits for a reference for ever.
PATIENCE = 100 * int(os.environ.get("REDIRMAP_SLOW", "1"))

CPUS = libbpf.libbpf_num_possible_cpus()
libc = ctypes.CDLL(None, use_errno=True)


class MapOptions(ctypes.Structure):
    """struct bpf_map_create_opts"""
    _fields_ = [
        ("sz", ctypes.c_size_t), ("btf_fd", ctypes.c_uint32),
        ("btf_key_type_id", ctypes.c_uint32), ("btf_value_type_id", ctypes.c_uint32),
        ("btf_vmlinux_value_type_id", ctypes.c_uint32), ("inner_map_fd", ctypes.c_uint32),
        ("map_flags", ctypes.c_uint32), ("map_extra", ctypes.c_uint64),
        ("numa_node", ctypes.c_uint32), ("map_ifindex", ctypes.c_uint32),
    ]


def create(kind, name, value_size=4, entries=16, inner=None):
    opts = MapOptions(sz=ctypes.sizeof(MapOptions), inner_map_fd=inner or 0)
    return checked(libbpf.bpf_map_create(kind, name.encode(), 4, value_size, entries,
                                         ctypes.byref(opts)))


def ip(*lines):
    """Run commands of ip(8), which must end."""
    with subprocess.Popen(["ip", "-batch", "-"], stdin=subprocess.PIPE, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as child:
        try:
            told = child.communicate("\n".join(lines), timeout=PATIENCE)[0]
        except subprocess.TimeoutExpired:
            # The process cannot be killed either.
            print("Bail out! this takes forever: ip", "; ".join(lines), flush=True)
            os._exit(1)
    assert not child.returncode, f"ip {lines}: {told}"


@contextlib.contextmanager
def may_fail(*errors):
    """Allow one of these errors: devices and programs are created and
    deleted."""
    try:
        yield
    except OSError as error:
        if error.errno not in errors:
            raise


def key_of(number):
    return struct.pack("I", number)


class Place:
    """A network namespace, the programs and maps in it, and devices that are
    created and deleted."""

    def __init__(self, name, net, maps):
        self.name, self.net, self.maps = name, net, {}
        self.home = os.open("/proc/self/ns/net", os.O_RDONLY)
        self.pin = f"{PIN}/{name}"
        self.devices = {}
        self.sys = f"/run/redirmap-{name}-sys"
        with self:
            sh(f"mkdir -p {self.sys}; mount -t sysfs sysfs {self.sys}")
            sh(f"mkdir -p {self.pin}; bpftool prog loadall {OUTPUT}/soak.bpf.o {self.pin}/p "
               f"pinmaps {self.pin}/m")
        for one in maps:
            self.maps[one] = open_pinned(f"{self.pin}/m/{one}")

    def __enter__(self):
        assert not libc.setns(self.net, CLONE_NEWNET), os.strerror(ctypes.get_errno())

    def __exit__(self, *args):
        assert not libc.setns(self.home, CLONE_NEWNET)

    @contextlib.contextmanager
    def prog(self, name):
        """A program's descriptor; -1 without a name."""
        fd = open_pinned(f"{self.pin}/p/{name}") if name else -1
        try:
            yield fd
        finally:
            if fd >= 0:
                os.close(fd)

    def put(self, fd, size, keys, device, egress=None):
        """Make keys lead to a device, in a batch if there are several keys."""
        with self, self.prog(egress) as prog:
            value = struct.pack("Ii", ifindex(device) if device else NOBODY, prog)
            value = value[:4] if size == 4 else value.ljust(size, b"\0")
            if len(keys) == 1:
                checked(libbpf.bpf_map_update_elem(fd, key_of(keys[0]), value,
                                                   ctypes.c_uint64(0)))
            else:
                count = ctypes.c_uint32(len(keys))
                checked(libbpf.bpf_map_update_batch(fd, b"".join(map(key_of, keys)),
                                                    value * len(keys), ctypes.byref(count),
                                                    None))

    def attach(self, device, name, mode):
        with self, self.prog(name) as fd:
            checked(libbpf.bpf_xdp_attach(ifindex(device), fd, mode, None))

    def turn(self, device, knob, value):
        """Write a file of a faulty device; some devices lack some files."""
        path = pathlib.Path(f"{self.sys}/class/net/{device}/faulty/{knob}")
        if path.exists():
            path.write_text(f"{value}\n")

    def close(self):
        sh(f"umount {self.sys}; rmdir {self.sys}")
        os.close(self.net)
        os.close(self.home)

    def offers(self):
        """The number of frames that were sent, by kind."""
        sums = []
        fd = open_pinned(f"{self.pin}/m/offers")
        for kind in (ONCE, TO_MEMBERS, TO_CHANGING):
            values = ctypes.create_string_buffer(8 * CPUS)
            checked(libbpf.bpf_map_lookup_elem(fd, key_of(kind), values))
            sums.append(sum(struct.unpack(f"{CPUS}Q", values.raw)))
        os.close(fd)
        return sums
