# SPDX-License-Identifier: GPL-2.0-only
"""Two hosts, each in a network namespace of its own, for tests in Python: a
near one, whose frames come to an XDP program of hosts.bpf.c, and a far one
behind the device that is tested. Frames of the far host come back without XDP.

    near, near0 == frames ==> program, map ==> device, far0 ==> far
    near, near0 <== tc ============================== device <== far
"""
import contextlib
import ctypes
import json
import os
import socket
import subprocess
import threading

from testlib import OUTPUT, checked, expedited, ifindex, libbpf, open_pinned, sh, update

NEAR, FAR = "rm-near", "rm-far"
NEAR_IP, FAR_IP = "10.9.0.1", "10.9.0.2"
FAR_KEY = 2
PIN = "/sys/fs/bpf/redirmap-hostlib"

# The longest packet of the near host, and of devices below a tunnel. Native XDP
# on a veth takes 3.5 KiB.
MTU, BELOW = 3000, 3300

CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


@contextlib.contextmanager
def inside(host):
    """Make the calling thread's sockets and devices those of a host."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    there = os.open(f"/run/netns/{host}", os.O_RDONLY)
    checked(libc.setns(there, CLONE_NEWNET))
    try:
        yield
    finally:
        checked(libc.setns(home, CLONE_NEWNET))
        os.close(home)
        os.close(there)


@contextlib.contextmanager
def connection(sender, receiver, address):
    """Both ends of a connection by TCP to an address of the receiver."""
    with inside(receiver):
        server = socket.create_server(address)
    with inside(sender):
        near_end = socket.create_connection(address)
    with server, near_end:
        far_end, _ = server.accept()
        with far_end:
            yield near_end, far_end


def at(host, command):
    """Run a shell command at a host."""
    with inside(host):
        return sh(command)


def ip(*lines, tool="ip", force=False):
    """Run commands of ip(8), or of tc(8), in one process: starting one takes
    longer than most commands."""
    done = subprocess.run([tool, *(["-force"] if force else []), "-batch", "-"],
                          input="\n".join(lines), text=True, capture_output=True, check=False)
    assert force or not done.returncode, f"{tool} {lines}: {done.stdout}{done.stderr}"


def ip_far(*lines):
    with inside(FAR):
        ip(*lines)


def near(command):
    return at(NEAR, command)


def far(command):
    return at(FAR, command)


@contextlib.contextmanager
def hosts():
    """The hosts, and the programs. Afterwards nothing of them is left."""
    remove_hosts()
    with expedited():
        try:
            make_hosts()
            yield
        finally:
            remove_hosts()


def make_hosts():
    for host in (NEAR, FAR):
        sh(f"ip netns add {host}")
        at(host, "if [ -d /proc/sys/net/ipv6 ]; then "
                 "sysctl -qw net.ipv6.conf.default.disable_ipv6=1; fi; ip link set lo up")
    sh(f"mkdir -p {PIN}; bpftool prog loadall {OUTPUT}/hosts.bpf.o {PIN}/p pinmaps {PIN}/m; "
       f"ip link add near0 mtu {MTU} type veth peer name eth0 netns {NEAR} mtu {MTU}; "
       "ip link set near0 up")
    # Native XDP loses checksums that the device would have completed.
    near(f"ethtool -K eth0 tx off; ip addr add {NEAR_IP}/24 dev eth0; ip link set eth0 up")


def remove_hosts():
    for host in (NEAR, FAR):
        sh(f"ip netns del {host} 2>/dev/null || :")
    sh(f"ip link del near0 2>/dev/null || :; rm -rf {PIN}")


def lead(name, device):
    """Frames from the near host go through this map, to a device."""
    fd = open_pinned(f"{PIN}/m/{name}")
    update(fd, FAR_KEY, ifindex(device))
    os.close(fd)
    attach("near0", f"to_{name}")


def attach(device, name):
    fd = open_pinned(f"{PIN}/p/{name}") if name else -1
    checked(libbpf.bpf_xdp_attach(ifindex(device), fd, 1 << 2, None))    # XDP_FLAGS_DRV_MODE
    if name:
        os.close(fd)


def add_wire():
    """A veth to the far host: far0 here, eth0 there."""
    ip(f"link add far0 mtu {BELOW} type veth peer name eth0 netns {FAR} mtu {BELOW}",
       "link set far0 up")
    ip_far("link set eth0 up")


def give_ip(device, mtu=MTU):
    ip_far(f"addr add {FAR_IP}/24 dev {device}", f"link set {device} mtu {mtu} up")


def back_from(device):
    """Frames that a device receives go to the near host."""
    ip(f"qdisc add dev {device} clsact",
       f"filter add dev {device} ingress matchall action mirred egress redirect dev near0",
       tool="tc")


def add_outer():
    """IPv4 between here and the far host, for tunnels."""
    add_wire()
    ip("addr add 10.8.0.1/24 dev far0")
    ip_far("addr add 10.8.0.2/24 dev eth0")


def links(where=sh):
    """The devices that ip(8) shows, by their names."""
    return {one["ifname"]: one for one in json.loads(where("ip -j link"))}


def route(device, far_device):
    """Devices without a MAC header: hosts are not asked for their addresses,
    and packets to the near host are routed."""
    mac = links(near)["eth0"]["address"]
    sh("sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 "
       f"net.ipv4.conf.{device}.rp_filter=0")
    ip(f"link set {device} mtu {MTU} up", f"route replace {NEAR_IP} dev near0",
       f"neigh replace {NEAR_IP} lladdr {mac} dev near0")
    with inside(NEAR):
        ip(f"neigh replace {FAR_IP} lladdr 02:00:00:00:00:02 dev eth0")
    ip_far(f"addr add {FAR_IP} dev {far_device}", f"link set {far_device} mtu {MTU} up",
           f"route add {NEAR_IP} dev {far_device}")


def ask_again():
    """The near host asks at once for an address that it has asked for in
    vain."""
    near(f"ip neigh flush to {FAR_IP} nud incomplete nud failed")


def clean():
    """Remove all that a test has added to hosts()."""
    attach("near0", None)
    # Some devices leave with another one, and there may be no route.
    for host, keep in ((None, ("lo", "near0")), (FAR, ("lo",))):
        with inside(host) if host else contextlib.nullcontext():
            ip(*(f"link del {name}" for name in links() if name not in keep), force=True)
    ip("neigh flush dev near0 nud all", "route flush dev near0", force=True)
    with inside(NEAR):
        ip("neigh flush dev eth0 nud all", force=True)


def ping(count, *args):
    """Does the far host answer?"""
    command = " ".join(["ping -q -i 0.01 -c", str(count), *args, FAR_IP])
    return near(f"{command} >/dev/null && echo yes || :") != ""


def send_by_tcp(data, patience=120):
    """Send data to the far host by TCP. Returns what arrives."""
    with inside(FAR):
        listener = socket.create_server((FAR_IP, 7000))
    with inside(NEAR):
        sender = socket.socket()
    with listener, sender:
        for one in (listener, sender):
            one.settimeout(patience)
        sender.connect((FAR_IP, 7000))

        def send_all():
            sender.sendall(data)
            sender.shutdown(socket.SHUT_WR)

        thread = threading.Thread(target=send_all, daemon=True)
        thread.start()
        receiver, _ = listener.accept()
        with receiver:
            receiver.settimeout(patience)
            parts = []
            while part := receiver.recv(1 << 18):
                parts.append(part)
        thread.join()
    return b"".join(parts)
