# SPDX-License-Identifier: GPL-2.0-only
"""Streams of bytes between sockets of socket maps, for sock_soak.py.

A flow has two streams, one in each direction. Every byte has to arrive once, in
order. The bytes of a flow that was disturbed on purpose, because a socket was
closed or deleted from the map, have to be the first ones of the stream; then
the flow ends.
"""
import contextlib
import fcntl
import random
import socket
import struct
import termios
import threading
import time

from testlib import becomes

# As in sock_soak.bpf.c.
ENTRIES = 64

# Bytes on their way in one direction.
WINDOW = 1 << 15
# The length is a prime number, so no two places of a stream look alike.
PATTERN = random.Random(0).randbytes(65521)
TWICE = PATTERN * 2
DIFFERENT = 4099


def connection():
    """Two ends, each with a port of its own."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        one = socket.socket()
        one.bind(("127.0.0.1", 0))
        one.connect(server.getsockname())
        other, _ = server.accept()
    for sock in (one, other):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # No socket waits after its end.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return one, other


class Stream:
    def __init__(self, sender, receiver, number):
        self.sender, self.receiver = sender, receiver
        self.start = number * DIFFERENT
        self.dice = random.Random(number)
        self.sent = self.got = 0

    def bytes_at(self, place, size):
        at = (self.start + place) % len(PATTERN)
        return TWICE[at:at + size]

    def send(self):
        room = WINDOW - (self.sent - self.got)
        if room > 0:
            size = self.dice.randrange(1, self.dice.choice((10, 2000, 2000, WINDOW)))
            with contextlib.suppress(BlockingIOError):
                self.sent += self.sender.send(self.bytes_at(self.sent, min(size, room)),
                                              socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)

    def receive(self):
        """Whether there was something."""
        size = self.dice.randrange(1, self.dice.choice((100, len(PATTERN))))
        flags = socket.MSG_DONTWAIT
        peek = self.dice.random() < 0.1
        try:
            data = self.receiver.recv(size, flags | (socket.MSG_PEEK if peek else 0))
        except BlockingIOError:
            return False
        assert data == self.bytes_at(self.got, len(data)), \
            f"wrong bytes behind the first {self.got} of {self.sent}"
        self.got += 0 if peek else len(data)
        return bool(data)


class Flow:
    """Two connected ends. In a proxied flow a proxy is between them, and its
    two sockets are in the map; otherwise the ends are. @proxied: the number of
    the map in World.maps; 0 is the one without a proxy"""

    def __init__(self, number, proxied, keys):
        self.number, self.proxied, self.keys = number, proxied, keys
        self.disturbed = self.stopped = False
        one, other = connection()
        self.socks = self.inserted = [one, other]
        if proxied:
            second = connection()
            self.socks = [*self.socks, *second]
            self.inserted = [other, second[0]]
            other = second[1]
        self.ports = [sock.getsockname()[1] for sock in self.inserted]
        self.streams = [Stream(one, other, 2 * number), Stream(other, one, 2 * number + 1)]

    def send_early(self, number, times):
        """Send bytes of a stream before its receiver in the middle is inserted.
        Return whether all of them have arrived there."""
        stream, sock = self.streams[number], self.inserted[number]
        for _ in range(times):
            stream.send()

        def queued():
            return struct.unpack("i", fcntl.ioctl(sock, termios.FIONREAD, bytes(4)))[0]
        return becomes(lambda: queued() == stream.sent)

    def early_arrives(self, number):
        """Whether the bytes of a stream arrive although none follows."""
        stream = self.streams[number]

        def complete():
            while stream.receive():
                pass
            return stream.got == stream.sent
        return becomes(complete)

    def step(self):
        """Send and receive some bytes."""
        for stream in self.streams:
            try:
                if not self.stopped:
                    stream.send()
                stream.receive()
            except OSError:
                if not self.disturbed:
                    raise

    def is_complete(self):
        return all(stream.got == stream.sent for stream in self.streams)

    def drain(self):
        """Receive what is left."""
        for stream in self.streams:
            with contextlib.suppress(OSError):
                while stream.receive():
                    pass

    def close(self):
        for sock in self.socks:
            sock.close()


class Traffic(threading.Thread):
    """Sends and receives on all flows, until it is stopped."""

    def __init__(self):
        super().__init__(daemon=True)
        self.lock = threading.Lock()
        self.flows = []
        self.error, self.stopped = None, False
        self.bytes = 0

    def run(self):
        try:
            while not self.stopped:
                with self.lock:
                    for flow in self.flows:
                        flow.step()
                # The actions need the lock as well.
                time.sleep(0.0005)
        except (AssertionError, OSError) as error:
            self.error = f"flow {flow.number}, proxied: {flow.proxied}: {error}"

    def add(self, flow):
        with self.lock:
            self.flows.append(flow)

    def stop(self, flow):
        """No more bytes are sent on the flow."""
        with self.lock:
            flow.stopped = True

    @contextlib.contextmanager
    def paused(self):
        """Nothing is sent or received."""
        with self.lock:
            yield

    def is_complete(self, flow):
        """Has every byte arrived that was sent?"""
        with self.lock:
            return flow.is_complete()

    def remove(self, flow):
        """The flow's bytes have been checked afterwards."""
        with self.lock:
            self.flows.remove(flow)
        flow.drain()
        self.bytes += sum(stream.got for stream in flow.streams)
