# SPDX-License-Identifier: GPL-2.0-only
"""BPF maps, programs and links of the system, and their contents.

This uses libbpf, which ip(8) and bpftool(8) need as well, so no process per map
is started.
"""
import ctypes
import errno
import os
from struct import Struct, unpack_from

from redirmap_netlink import ATTACH_TYPES, Refused

# The used members of enum bpf_map_type, bpf_prog_type and bpf_link_type
PROG_ARRAY, ARRAY_OF_MAPS, HASH_OF_MAPS = 3, 12, 13
DEVMAP, SOCKMAP, CPUMAP, SOCKHASH, DEVMAP_HASH = 14, 15, 16, 18, 25
MAP_TYPES = {
    PROG_ARRAY: "prog_array", ARRAY_OF_MAPS: "array_of_maps", HASH_OF_MAPS: "hash_of_maps",
    DEVMAP: "devmap", SOCKMAP: "sockmap", CPUMAP: "cpumap", SOCKHASH: "sockhash",
    DEVMAP_HASH: "devmap_hash",
}
SCHED_CLS, SCHED_ACT, XDP, SOCK_OPS, SK_SKB, SK_MSG, EXT = 3, 4, 6, 13, 14, 16, 28
PROG_TYPES = {
    SCHED_CLS: "sched_cls", SCHED_ACT: "sched_act", XDP: "xdp", EXT: "ext", SOCK_OPS: "sock_ops",
    SK_SKB: "sk_skb", SK_MSG: "sk_msg",
}
LINK_TRACING, LINK_ITER, LINK_XDP, LINK_SOCKMAP = 2, 4, 6, 14
LINK_TYPES = {
    LINK_TRACING: "tracing", 3: "cgroup", LINK_ITER: "iter", LINK_XDP: "xdp", 11: "tcx",
    13: "netkit", LINK_SOCKMAP: "sockmap",
}

# The largest number of maps that a program can use.
MAPS_OF_PROG = 64

# The beginnings of struct bpf_map_info, bpf_prog_info and bpf_link_info
MAP_INFO = Struct("=IIIIII16s")
PROG_INFO = Struct("=II8xIIQQQIIQ16s")
LINK_INFO = Struct("=IIIxxxxII")
# The part of struct bpf_link_info for iterators
LINK_ITER_INFO = Struct("=16xQII")
INFO_SIZE = 256

# The link names in /proc/PID/fd, and the line of fdinfo that contains the id
FILES = {
    "anon_inode:bpf-map": ("map", "map_id"),
    "anon_inode:bpf-prog": ("program", "prog_id"),
    "anon_inode:bpf_link": ("link", "link_id"),
    "anon_inode:bpf-link": ("link", "link_id"),
}

libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)
VERBS = {"map": "map", "program": "prog", "link": "link"}


def ids(kind):
    """Yield the ids of all objects of a kind."""
    ask = getattr(libbpf, f"bpf_{VERBS[kind]}_get_next_id")
    number = ctypes.c_uint32(0)
    while not (result := ask(number, ctypes.byref(number))):
        yield number.value
    if -result != errno.ENOENT:
        raise Refused(-result, f"Listing BPF {kind}s needs CAP_SYS_ADMIN"
                      if -result == errno.EPERM else None)


def info(kind, fd):
    """The kernel's description of an object."""
    buffer = ctypes.create_string_buffer(INFO_SIZE)
    used = (ctypes.c_uint32 * MAPS_OF_PROG)()
    if kind == "program":
        PROG_INFO.pack_into(buffer, 0, 0, 0, 0, 0, 0, 0, 0, 0, MAPS_OF_PROG,
                            ctypes.addressof(used), b"")
    size = ctypes.c_uint32(INFO_SIZE)
    result = libbpf.bpf_obj_get_info_by_fd(fd, buffer, ctypes.byref(size))
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    if kind == "map":
        number, one, key, value, entries, _, name = MAP_INFO.unpack_from(buffer)
        return {
            "id": one, "name": text(name), "type": number, "key_size": key, "value_size": value,
            "max_entries": entries,
        }
    if kind == "program":
        number, one, _, length, _, _, time, _, count, _, name = PROG_INFO.unpack_from(buffer)
        return {
            "id": one, "name": text(name), "type": number,
            "map_ids": used[:min(count, MAPS_OF_PROG)], "load_time": time, "length": length,
        }
    number, one, prog, first, second = LINK_INFO.unpack_from(buffer)
    of_map = first if number == LINK_SOCKMAP else None
    if number == LINK_ITER:
        of_map = map_of_iterator(fd)
    return {
        "id": one, "name": "", "type": number, "prog_id": prog,
        "ifindex": first if number == LINK_XDP else None,
        "target_id": second if number == LINK_TRACING else None,
        "map_id": of_map,
    }


def map_of_iterator(fd):
    """The id of the socket map that a link of an iterator holds, or None."""
    buffer = ctypes.create_string_buffer(INFO_SIZE)
    target = ctypes.create_string_buffer(32)
    LINK_ITER_INFO.pack_into(buffer, 0, ctypes.addressof(target), len(target), 0)
    if libbpf.bpf_obj_get_info_by_fd(fd, buffer, ctypes.byref(ctypes.c_uint32(INFO_SIZE))) < 0:
        return None
    return LINK_ITER_INFO.unpack_from(buffer)[2] if target.value == b"sockmap" else None


def text(name):
    return name.rstrip(b"\0").decode(errors="replace")


class Opened:
    """A descriptor of the object with an id; None if the object was removed."""

    def __init__(self, kind, number):
        self.fd = getattr(libbpf, f"bpf_{VERBS[kind]}_get_fd_by_id")(number)

    def __enter__(self):
        return self.fd if self.fd >= 0 else None

    def __exit__(self, *_):
        if self.fd >= 0:
            os.close(self.fd)


def everything(kind):
    """The kernel's descriptions of all objects of a kind, by id."""
    found = {}
    for number in ids(kind):
        with Opened(kind, number) as fd:
            if fd is not None:
                found[number] = info(kind, fd)
    return found


def values(one, at=0):
    """The set of the 32-bit numbers at an offset in the values of a map."""
    found = set()
    with Opened("map", one["id"]) as fd:
        if fd is None:
            return found
        key, value = (ctypes.create_string_buffer(one[size]) for size in ("key_size",
                                                                          "value_size"))
        last = None
        # Limited, because the walk of a hash that changes meanwhile may never
        # end.
        for _ in range(one["max_entries"]):
            if libbpf.bpf_map_get_next_key(fd, last, key):
                break
            last = key
            if not libbpf.bpf_map_lookup_elem(fd, key, value):
                found.add(unpack_from("=I", value, at)[0])
    return found - {0}


def instructions(one):
    """The instructions of a program, after the verifier has changed them."""
    with Opened("program", one["id"]) as fd:
        if fd is None:
            return b""
        code = ctypes.create_string_buffer(one["length"])
        buffer = ctypes.create_string_buffer(INFO_SIZE)
        PROG_INFO.pack_into(buffer, 0, 0, 0, 0, one["length"], 0, ctypes.addressof(code), 0, 0,
                            0, 0, b"")
        size = ctypes.c_uint32(INFO_SIZE)
        result = libbpf.bpf_obj_get_info_by_fd(fd, buffer, ctypes.byref(size))
        return code.raw if not result else b""


def socket_programs(number):
    """The ids of the programs that are attached to the socket map with an id,
    by attach type; None if the map cannot be opened."""
    found = {}
    with Opened("map", number) as fd:
        if fd is None:
            return None
        for attach_type, name in ATTACH_TYPES.items():
            one, count = ctypes.c_uint32(0), ctypes.c_uint32(1)
            # EBUSY: the map has a verdict of the other type.
            result = libbpf.bpf_prog_query(fd, attach_type, 0, None, ctypes.byref(one),
                                           ctypes.byref(count))
            if not result and count.value and one.value:
                found[name] = one.value
    return found


def attached(number):
    """The ids of the programs that are attached to a socket map."""
    return set((socket_programs(number) or {}).values())


def describe(kind, number):
    """The kernel's description of the object with an id; None if it cannot be
    opened."""
    with Opened(kind, number) as fd:
        return None if fd is None else info(kind, fd)


def kind_of_pin(path, proc):
    """The kind and the id of a pinned object; None if it is of no known
    kind."""
    fd = libbpf.bpf_obj_get(os.fsencode(path))
    if fd < 0:
        return None
    try:
        kind, _ = FILES.get(os.readlink(f"self/fd/{fd}", dir_fd=proc), (None, None))
        return (kind, info(kind, fd)["id"]) if kind else None
    finally:
        os.close(fd)
