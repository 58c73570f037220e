# SPDX-License-Identifier: GPL-2.0-only
"""Sockets and socket maps, for tests in Python."""
import ctypes
import socket

from testlib import libbpf


def put(fd, key, sock, flags=0):
    """0, or the errno of an insert. A key is bytes, or the slot of an array."""
    number = sock if isinstance(sock, int) else sock.fileno()
    key = key if isinstance(key, bytes) else key.to_bytes(4, "little")
    return -libbpf.bpf_map_update_elem(fd, key, number.to_bytes(8, "little"),
                                       ctypes.c_uint64(flags))


def pair(host="127.0.0.1"):
    """Two connected TCP sockets."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as server:
        one = socket.create_connection(server.getsockname()[:2])
        other, _ = server.accept()
    for sock in (one, other):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(60)
    return one, other


def datagram():
    """A bound UDP socket."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind(("127.0.0.1", 0))
    return sock


def udp_pair():
    """Two UDP sockets, connected to each other."""
    one, other = datagram(), datagram()
    one.connect(other.getsockname())
    other.connect(one.getsockname())
    return one, other


def vsock_pair():
    """Two connected vsock sockets of this machine; OSError if it has none."""
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as server:
        # VMADDR_CID_LOCAL
        server.bind((1, socket.VMADDR_PORT_ANY))
        server.listen()
        one = socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM)
        one.settimeout(60)
        one.connect(server.getsockname())
        other, _ = server.accept()
    other.settimeout(60)
    return one, other
