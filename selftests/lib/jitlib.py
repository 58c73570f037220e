# SPDX-License-Identifier: GPL-2.0-only
"""The compiled code of BPF programs on x86-64, compared without a disassembler:

    one, other = jited(fd), jited(other_fd)
    calls = same_code(one, other)

The kernel shows code and addresses to root only, and while kernel.kptr_restrict
is not 2.
"""
import ctypes
import struct
from pathlib import Path

from testlib import checked, equal, libbpf

# Offsets in struct bpf_prog_info
INFO = 232
JITED_LEN, JITED, KSYMS, FUNCS, KSYM_LIST, FUNC_LIST = 16, 24, 104, 108, 112, 120
CALL, JUMP = 0xe8, 0xe9


def jited(fd):
    """The functions of a program: address and code."""
    def ask(**given):
        info, size = ctypes.create_string_buffer(INFO), ctypes.c_uint32(INFO)
        for at, (form, value) in given.values():
            struct.pack_into(form, info, at, value)
        checked(libbpf.bpf_obj_get_info_by_fd(fd, info, ctypes.byref(size)))
        return info

    info = ask()
    length, = struct.unpack_from("I", info, JITED_LEN)
    count, = struct.unpack_from("I", info, KSYMS)
    assert length and count, "the kernel does not show the code"
    code = ctypes.create_string_buffer(length)
    addresses, lengths = (ctypes.c_uint64 * count)(), (ctypes.c_uint32 * count)()
    ask(length=(JITED_LEN, ("I", length)), code=(JITED, ("Q", ctypes.addressof(code))),
        ksyms=(KSYMS, ("I", count)), addresses=(KSYM_LIST, ("Q", ctypes.addressof(addresses))),
        funcs=(FUNCS, ("I", count)), lengths=(FUNC_LIST, ("Q", ctypes.addressof(lengths))))
    assert all(addresses), "the kernel does not show addresses"
    equal(sum(lengths), length)
    found, at = [], 0
    for address, size in zip(addresses, lengths, strict=True):
        found.append((address, code.raw[at:at + size]))
        at += size
    return found


def relative(code, address, at):
    """The target of the displacement at an offset."""
    return (address + at + 4 + struct.unpack_from("<i", code, at)[0]) & (1 << 64) - 1


def targets(function):
    """The places outside of the function that the displacement after each byte
    of a call or jump would lead to, by its offset. Bytes of other instructions
    are included."""
    address, code = function
    found = {at: relative(code, address, at) for at in range(1, len(code) - 3)
             if code[at - 1] in (CALL, JUMP)}
    return {at: to for at, to in found.items() if not address <= to < address + len(code)}


def same_function(one, other, maps):
    """Compare, byte by byte. Displacements may differ if the targets do not,
    and 64-bit constants if each of the first is always the same one of the
    other."""
    equal(len(other[1]), len(one[1]))
    at = 0
    while at < len(one[1]):
        if one[1][at] == other[1][at]:
            at += 1
            continue
        # The beginning of the operand whose bytes differ
        for start in range(max(at - 3, 1), at + 1):
            first = targets(one).get(start)
            if first and first == targets(other).get(start):
                at = start + 4
                break
        else:
            for start in range(max(at - 7, 2), at + 1):
                # mov r64, imm64
                if one[1][start - 2] in (0x48, 0x49) and one[1][start - 1] & 0xf8 == 0xb8:
                    first, second = (struct.unpack_from("<Q", function[1], start)[0]
                                     for function in (one, other))
                    equal(maps.setdefault(first, second), second)
                    at = start + 8
                    break
            else:
                raise AssertionError(f"byte {at} differs: {one[1].hex()}, {other[1].hex()}")


def same_code(one, other):
    """Assert that two programs have the same code, but for addresses of data.
    Returns the number of different addresses."""
    equal(len(other), len(one))
    maps = {}
    for functions in zip(one, other, strict=True):
        same_function(*functions, maps)
    return len(maps)


def address_of(symbol):
    """A function's address."""
    for line in Path("/proc/kallsyms").read_text().splitlines():
        address, _, name = line.split()[:3]
        if name == symbol:
            return int(address, 16)
    raise KeyError(symbol)
