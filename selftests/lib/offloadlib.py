# SPDX-License-Identifier: GPL-2.0-only
"""Packets that are not segmented yet, or have no final checksum, with the notes
that go with them to a device (struct virtio_net_hdr), and a sender of such
packets, for tests in Python."""
import contextlib
import errno
import os
import socket
import struct
import threading
import time

from placelib import may_fail
from testlib import equal

NEEDS_CSUM, GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP_L4 = 1, 0, 1, 4, 5
TCP, UDP = 6, 17
MSS = 1000
# Before 6.2 there are no notes for UDP.
UDP_NOTES = tuple(int(part) for part in os.uname().release.split(".")[:2]) >= (6, 2)

SOL_PACKET, PACKET_VNET_HDR, ETH_P_IP = 263, 15, 0x800
# Addresses of packets by IPv4, and the number of the first byte
ADDRESSES, FIRST_BYTE = bytes([10, 9, 0, 9, 10, 9, 0, 1]), 1000


def folded(data, start=0):
    """The sum of the Internet checksum."""
    if len(data) % 2:
        data += b"\0"
    total = start + sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def pseudo(addresses, protocol, length):
    return folded(addresses + struct.pack("!II", length, protocol))


class Packet:
    """A packet, and the notes that go with it."""

    def __init__(self, size, protocol=TCP, v6=False, tags=(), options=False, gso=MSS,
                 partial=True):
        self.payload = os.urandom(size)
        self.protocol, self.v6, self.partial = protocol, v6, partial
        self.gso = gso if size > gso else 0
        head = 20 if protocol == TCP else 8
        length = head + size
        if v6:
            addresses = bytes(15) + b"\1" + bytes(15) + b"\2"
            # An empty header of destination options
            extra = bytes([protocol, 0, 1, 4, 0, 0, 0, 0]) if options else b""
            ip = struct.pack("!IHBB", 6 << 28, len(extra) + length, 60 if options else protocol,
                             64) + addresses + extra
        else:
            addresses = ADDRESSES
            ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + length, 7, 0x4000, 64, protocol, 0)
            ip = ip[:10] + struct.pack("!H", 0xffff - folded(ip + addresses)) + addresses
        self.addresses = addresses
        start = pseudo(addresses, protocol, length)
        if protocol == TCP:
            transport = struct.pack("!HHIIBBHHH", 1, 2, FIRST_BYTE, 1, 5 << 4, 0x18, 100, start, 0)
        else:
            transport = struct.pack("!HHHH", 1, 2, length, start)
        ethernet = b"\2\0\0\0\0\1\2\0\0\0\0\2"
        for tag in tags:
            ethernet += struct.pack("!HH", 0x8100, tag)
        ethernet += b"\x86\xdd" if v6 else b"\x08\0"
        self.start = len(ethernet) + len(ip)
        self.headers = self.start + head
        self.offset = 16 if protocol == TCP else 6
        self.data = ethernet + ip + transport + self.payload
        if not partial:
            self.data = self.completed()

    def completed(self, length=None):
        """So much of the packet, with the final checksum."""
        data, at = self.data[:length], self.start + self.offset
        final = (0xffff - folded(data[self.start:])) or 0xffff
        return data[:at] + struct.pack("!H", final) + data[at + 2:]

    def write(self, tap, skip=0):
        """Write the packet, without its first bytes, to a tap or tun."""
        kind = GSO_NONE
        if self.gso:
            kind = GSO_UDP_L4 if self.protocol == UDP else GSO_TCPV6 if self.v6 else GSO_TCPV4
        notes = struct.pack("=BBHHHH", NEEDS_CSUM if self.partial else 0, kind,
                            self.headers - skip if self.gso else 0, self.gso,
                            self.start - skip if self.partial else 0,
                            self.offset if self.partial else 0)
        os.write(tap, notes + self.data[skip:])

    def check(self, frames):
        """The frames are this packet in segments, with valid checksums."""
        sizes = [self.gso] * (len(self.payload) // self.gso) if self.gso else []
        if len(self.payload) > sum(sizes):
            sizes.append(len(self.payload) - sum(sizes))
        equal([len(frame) for frame in frames], [self.headers + size for size in sizes])
        sent = 0
        for number, (frame, size) in enumerate(zip(frames, sizes, strict=True)):
            equal(frame[self.headers:], self.payload[sent:sent + size])
            length = len(frame) - self.start
            equal(pseudo(self.addresses, self.protocol, length) and
                  folded(frame[self.start:], pseudo(self.addresses, self.protocol, length)),
                  0xffff)
            if self.protocol == TCP:
                equal(struct.unpack_from("!I", frame, self.start + 4), (FIRST_BYTE + sent,))
            if not self.v6:
                ip = frame[self.start - 20:self.start]
                equal((folded(ip), struct.unpack_from("!H", ip, 2)[0]), (0xffff, 20 + length))
                equal(struct.unpack_from("!H", ip, 4), (7 + number,))
            sent += size


class Sender(threading.Thread):
    """Send packets of all kinds from a device, again and again, until stop() is
    called, and look at what arrives at another device, as far as it is of TCP
    over IPv4."""

    # One packet may cost as much as hundreds of frames.
    PAUSE = 0.02

    def __init__(self, device, arrives_at):
        super().__init__(daemon=True)
        self.segments, self.completed, self.stopped, self.error = 0, 0, False, None
        self.out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.out.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        self.out.bind((device, 0))
        self.wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, 0)
        self.wire.bind((arrives_at, ETH_P_IP))
        short, long = Packet(100), Packet(5 * MSS)
        udp = [Packet(100, UDP)] + ([Packet(3 * MSS, UDP)] if UDP_NOTES else [])
        # Some of these several times, so that they arrive in short runs as
        # well.
        self.packets = [short, long, Packet(100, v6=True), short, Packet(3 * MSS, v6=True),
                        short, Packet(20 * MSS, tags=(5,)), long, *udp]

    def run(self):
        try:
            while not self.stopped:
                for packet in self.packets:
                    with may_fail(errno.ENOBUFS):
                        packet.write(self.out.fileno())
                    time.sleep(self.PAUSE)
                self.look()
        except Exception as error:      # for stop()
            self.error = error

    def look(self):
        """Count later segments, and short packets, with final checksums."""
        # None is left, or the device is down.
        with contextlib.suppress(OSError):
            while frame := self.wire.recv(1 << 16):
                if frame[23] != TCP or frame[26:34] != ADDRESSES:
                    continue
                number, = struct.unpack_from("!I", frame, 38)
                start = pseudo(ADDRESSES, TCP, len(frame) - 34)
                final = folded(frame[34:], start) == 0xffff
                self.segments += final and number > FIRST_BYTE
                self.completed += final and len(frame) < MSS

    def stop(self):
        self.stopped = True
        self.join()
        self.out.close()
        self.wire.close()
        if self.error:
            raise self.error
