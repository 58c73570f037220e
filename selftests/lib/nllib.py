# SPDX-License-Identifier: GPL-2.0-only
"""The netlink family's answers, message by message, as bytes, for tests in
Python: building dictionaries of thousands of objects takes minutes in the
VM."""
import socket
import struct

from redirmap_netlink import (NETLINK_GENERIC, NLM_F_DUMP, NLM_F_REQUEST, NLMSG_DONE, VERSION,
                              Family)

# struct nlmsghdr and struct genlmsghdr
HEADERS = 16 + 4
NLA_TYPE_MASK = 0x3fff


def answer(command, dump=True, size=1 << 16, asked=b""):
    """For each part of an answer to a request with encoded attributes: the
    types, flags and bytes of its messages."""
    with Family() as family:
        number = family.number
    request = struct.pack("IHHIIBBH", HEADERS + len(asked), number,
                          NLM_F_REQUEST | (NLM_F_DUMP if dump else 0),
                          1, 0, command, VERSION, 0) + asked
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_GENERIC) as sock:
        sock.send(request)
        done = False
        while not done:
            data, part = sock.recv(size), []
            while data:
                length, kind, flags = struct.unpack_from("IHH", data)
                assert kind in (number, NLMSG_DONE), kind
                part.append((kind, flags, data[:length]))
                data = data[length + 3 & ~3:]
            done = not dump or part[-1][0] == NLMSG_DONE
            yield part


def messages(command, dump=True):
    """The bytes of each message, without the end of a dump."""
    return [data for part in answer(command, dump) for kind, _, data in part if kind != NLMSG_DONE]


def attributes(data):
    """The attributes of a nest, by number; if one occurs twice, the last."""
    told = {}
    while data:
        length, number = struct.unpack_from("HH", data)
        told[number & NLA_TYPE_MASK] = data[4:length]
        data = data[length + 3 & ~3:]
    return told


def number_of(msg_class, name):
    """The number of an attribute, from redirmap_netlink.py."""
    return msg_class.numbers[name.lower()]


def told(command, msg_class, *names):
    """Some attributes of each object in a dump."""
    numbers = [number_of(msg_class, name) for name in names]
    all_of_each = [attributes(data[HEADERS:]) for data in messages(command)]
    return [[one[number] for number in numbers] for one in all_of_each]
