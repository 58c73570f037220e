# SPDX-License-Identifier: GPL-2.0-only
"""Shared by all tests in Python: TAP, maps by libbpf, frames, the module.

    @test("a name for the result")
    def _():
        assert 1 + 1 == 2

    run()

Results are printed in the order of the functions. A test fails by an exception;
Skip skips it.
"""
import contextlib
import ctypes
import errno
import io
import json
import os
import pathlib
import re
import socket
import struct
import subprocess
import sys
import time
import traceback
from importlib.util import find_spec

sys.dont_write_bytecode = True

HERE = pathlib.Path(__file__).resolve().parent
TOP = HERE.parent.parent
OUTPUT = pathlib.Path(os.environ.get("REDIRMAP_TEST_OUTPUT", TOP / "build/selftests"))
KO = os.environ.get("REDIRMAP_KO", f"{TOP}/build/{os.uname().release}/redirmap.ko")
CLAIM = os.environ.get("REDIRMAP_CLAIM", "rm_*")
COMMAND = str(TOP / "scripts/command/redirmap")
SPEC = TOP / "Documentation/netlink/specs/redirmap.yaml"

SKIP = 4
tests = []


class Skip(Exception):
    """A test cannot run, for this reason."""


def test(name):
    def add(function):
        tests.append((name, function))
        return function

    return add


def run():
    """Run all tests, and exit."""
    bad = 0
    for number, (name, function) in enumerate(tests, 1):
        try:
            function()
            print(f"ok {number} {name}")
        except Skip as why:
            print(f"ok {number} {name} # SKIP {why}")
        except Exception:
            bad += 1
            print(f"not ok {number} {name}")
            for line in traceback.format_exc().splitlines():
                print("#  ", line)
        sys.stdout.flush()
    print(f"1..{len(tests)}")
    sys.exit(bool(bad))


def skip_all(why):
    print(f"1..0 # SKIP {why}")
    sys.exit(SKIP)


def need_module():
    if os.geteuid():
        skip_all("not root")
    if not os.path.isdir("/sys/module/redirmap"):
        skip_all("redirmap is not loaded")


def need_modules(*names):
    for name in names:
        if not find_spec(name):
            skip_all(f"no Python module {name}")


def in_a_net():
    """Continue in a network namespace of the test's own."""
    need_module()
    if "REDIRMAP_IN_NET" not in os.environ:
        os.environ["REDIRMAP_IN_NET"] = "1"
        os.execvp("unshare", ["unshare", "--net", sys.executable, *sys.argv])
    no_ipv6()


def sh(command):
    """A shell command's output; an exception if it fails."""
    done = subprocess.run(command, shell=True, text=True, capture_output=True, check=False)
    assert not done.returncode, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout


def becomes(condition, tries=6000):
    """Wait until a condition is true. Returns whether it became true. Looking
    at the condition takes at most half of the time, which others may need."""
    for _ in range(tries):
        began = time.monotonic()
        if condition():
            return True
        time.sleep(max(0.01, time.monotonic() - began))
    return False


def refcnt():
    """References to the module: claimed maps, and running dumps."""
    return int(pathlib.Path("/sys/module/redirmap/refcnt").read_text())


def is_long():
    """With LONG=1 (scripts/lab/check) random operations last longer."""
    return bool(int(os.environ.get("REDIRMAP_LONG") or 0))


def longer(rounds, most):
    """The number of rounds of random operations: the most with LONG=1."""
    return most if is_long() else rounds


def brief(value):
    text = repr(value)
    return text if len(text) < 1000 else text[:1000] + " ..."


def equal(is_, want):
    assert is_ == want, f"is {brief(is_)}, not {brief(want)}"


# --- the command ------------------------------------------------------------

sys.path.insert(0, str(TOP / "scripts/command"))
# Programs that tests start need this path, too.
os.environ["PYTHONPATH"] = f"{TOP}/scripts/command:{HERE}"


def redirmap(command, *args):
    """The command's exit status, stdout and stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = command.main(list(args))
        except SystemExit as end:
            status = end.code
    return status, out.getvalue(), err.getvalue()


# --- maps -------------------------------------------------------------------

DEVMAP, SOCKMAP, SOCKHASH, DEVMAP_HASH = 14, 15, 18, 25
libbpf = ctypes.CDLL("libbpf.so.1", use_errno=True)


def checked(result):
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def make_map(name="rm_test", kind=DEVMAP, entries=8, value_size=4):
    """A map's descriptor."""
    return checked(libbpf.bpf_map_create(kind, name.encode(), 4, value_size, entries, None))


def update(fd, key, device, prog_fd=None):
    """Set an entry for a device, with an egress program if values have room."""
    value = struct.pack("I", device) if prog_fd is None else struct.pack("Ii", device, prog_fd)
    checked(libbpf.bpf_map_update_elem(fd, struct.pack("I", key), value, ctypes.c_uint64(0)))


def delete(fd, key):
    checked(libbpf.bpf_map_delete_elem(fd, struct.pack("I", key)))


def open_pinned(path):
    return checked(libbpf.bpf_obj_get(str(path).encode()))


def fdinfo(fd, name):
    """The lines of the kernel's fdinfo about a descriptor."""
    for line in pathlib.Path(f"/proc/self/fdinfo/{fd}").read_text().splitlines():
        if line.startswith(name + ":"):
            return line.split(":")[1].strip()
    raise KeyError(name)


def map_id(fd):
    return int(fdinfo(fd, "map_id"))


# --- devices and frames -----------------------------------------------------

SOL_PACKET, ETH_P_ALL = 263, 3


def ifindex(name):
    return socket.if_nametoindex(name)


def netns():
    """The inode of the current network namespace."""
    return os.stat("/proc/self/ns/net").st_ino


def no_ipv6():
    """Devices that are created from now on send no packets by themselves."""
    if os.path.isdir("/proc/sys/net/ipv6"):
        sh("sysctl -qw net.ipv6.conf.default.disable_ipv6=1")


def until_up(*devices):
    """Wait until devices have a carrier. The kernel calls them up when it has
    activated their queues as well, some time later; until then the queues drop
    all packets."""
    def up():
        return {one["ifname"] for one in json.loads(sh("ip -j link")) if one["operstate"] == "UP"}

    assert becomes(lambda: up().issuperset(devices)), sh("ip link")


def add_veth(name, peer):
    sh(f"ip link add {name} type veth peer name {peer}; "
       f"ip link set {name} up; ip link set {peer} up")
    until_up(name, peer)


def frame_to(host, length):
    """A frame to 10.9.0.HOST, in the form that hosts.bpf.c reads."""
    ip = struct.pack(
        "!BBHHHBBH4s4s", 0x45, 0, length - 14, 0, 0, 64, 17, 0, bytes([10, 9, 0, 9]),
        bytes([10, 9, 0, host]),
    )
    frame = b"\2\0\0\0\0\1" + b"\2\0\0\0\0\2" + b"\x08\0" + ip
    return frame.ljust(length, b"\0")


def send(device, frame, count):
    """Send a frame through a device, which its peer receives."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as raw:
        raw.bind((device, 0))
        for _ in range(count):
            raw.send(frame)


def listen(device, outgoing=False):
    """A packet socket for the frames that a device receives or, if @outgoing,
    also for those that it transmits. It has room for those of a whole test."""
    # Without a protocol it gets no frames of other devices until it is bound.
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK)
    if not outgoing:
        sock.setsockopt(SOL_PACKET, 23, 1)    # PACKET_IGNORE_OUTGOING
    sock.setsockopt(socket.SOL_SOCKET, 33, 64 << 20)    # SO_RCVBUFFORCE
    sock.bind((device, ETH_P_ALL))
    return sock


def frames_of(sock):
    """The frames that wait in a packet socket, which has lost none."""
    while True:
        try:
            yield sock.recv(1 << 16)
        except BlockingIOError:
            break
        except OSError as error:
            # The device has gone down since the last call.
            if error.errno != errno.ENETDOWN:
                raise
    # PACKET_STATISTICS
    _, lost = struct.unpack("II", sock.getsockopt(SOL_PACKET, 6, 8))
    assert not lost, f"the socket had no room for {lost} frames"


def seen_by_program(device):
    """The frames that a veth has passed to its XDP program."""
    return sum(map(int, re.findall(r"rx_queue_\d+_xdp_packets: (\d+)",
                                   sh(f"ethtool -S {device}"))))


# --- the module -------------------------------------------------------------

EXPEDITED = pathlib.Path("/sys/kernel/rcu_expedited")


@contextlib.contextmanager
def expedited():
    """Grace periods are short until the end of the with block."""
    former = EXPEDITED.read_text()
    EXPEDITED.write_text("1")
    try:
        yield
    finally:
        EXPEDITED.write_text(former)


def unload():
    assert becomes(lambda: not subprocess.run(
        ["rmmod", "redirmap"], capture_output=True, check=False).returncode)


def load():
    sh(f"insmod {KO} claim='{CLAIM}'")


def load_faulty():
    """Devices that check their frames, and fail: see modules/faulty_dev.c."""
    if not os.path.isdir("/sys/module/faulty"):
        sh(f"insmod {OUTPUT}/../{os.uname().release}-selftests/modules/faulty.ko")


def add_faulty(device):
    """A device of modules/faulty_dev.c, which receives what it sends."""
    load_faulty()
    sh(f"ip link add {device} type faulty; ip link set {device} up")


def in_sysfs(command):
    """A shell command that sees the devices of the test's namespace. The
    mounted sysfs is that of another one."""
    return sh(f"unshare --mount sh -c 'mount -t sysfs sysfs /sys && {command}'")


def knob(device, name, value=None):
    """Write a file of faulty_knobs.c, or read it."""
    file = f"/sys/class/net/{device}/faulty/{name}"
    return in_sysfs(f"cat {file}" if value is None else f"echo {value} >{file}").strip()


@contextlib.contextmanager
def held(func, params=""):
    """Hold the next call of a function until the end of the with block."""
    sh(f"rmmod holdup 2>/dev/null; "
       f"insmod {OUTPUT}/../{os.uname().release}-selftests/modules/holdup.ko func={func} {params}")
    folder = pathlib.Path("/sys/module/holdup/parameters")
    hold, count = folder / "hold", folder / "held"
    hold.write_text("1")
    try:
        yield lambda: becomes(lambda: int(count.read_text()) == 1)
    finally:
        hold.write_text("0")
        sh("rmmod holdup")


def kernel_source():
    return pathlib.Path(sh(f"{TOP}/scripts/lab/kernel source").strip())
