#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""A TCP proxy that reads and writes no byte itself, and its server, for
scripts/lab/demo: the programs of demo_sock.bpf.c move the data.

The server greets each client, and answers each line in capital letters. A
client that waits for the greeting sends its first line when the proxy has
accepted it, and has a connection to the server: bytes that arrive earlier would
wait in the queue of the socket. The proxy prints a word when it is ready.
"""
import socket
import threading

# As in demo_sock.bpf.c.
SERVER, PROXY = ("127.0.0.1", 7000), ("127.0.0.1", 7001)


def serve(listener):
    while True:
        connection, _ = listener.accept()
        with connection, connection.makefile("rw", encoding="ascii") as lines:
            print("welcome", file=lines, flush=True)
            for line in lines:
                print(line.upper(), end="", file=lines, flush=True)


threading.Thread(target=serve, args=[socket.create_server(SERVER)], daemon=True).start()
with socket.create_server(PROXY) as proxy:
    print("ready", flush=True)
    # Sockets that are closed leave the map.
    opened = []
    while True:
        opened += [proxy.accept(), socket.create_connection(SERVER)]
