#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Run each command that the documents show, in the described situation, and
compare its output with the shown one, except for numbers. scripts/lab/examples
finds the commands, and describes how a document names the place (PLACES) of
each.

Devices, maps and programs have the names that the documents use: port1 and
port2, and DEV, PEER, PROGRAM, if the reader is to insert the name. Only the
word ID is replaced by a real id."""
import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import testlib
from testlib import (KO, OUTPUT, SPEC, TOP, becomes, equal, ifindex, need_module, need_modules,
                     redirmap, refcnt, run, sh, test)

need_module()
need_modules("docutils", "yaml", "jsonschema")

import redirmap_main as command_main  # noqa: E402
from socketlib import pair, put  # noqa: E402

BPFFS = Path("/sys/fs/bpf")
CLAIM = Path("/sys/module/redirmap/parameters/claim")
EXAMPLES = OUTPUT / "examples"
SHOWN = json.loads((EXAMPLES / "commands.json").read_text(encoding="utf-8"))
tmp = Path(tempfile.mkdtemp())


# --- places -----------------------------------------------------------------


class Place:
    """A place in which commands run: as root, in a folder."""
    folder = tmp

    def enter(self):
        """Prepare it once, before its first command."""

    def before(self):
        """Prepare each block."""

    def meanwhile(self):
        """Act repeatedly while a command runs."""

    def leave(self):
        """Clean up after its last command."""


def unload_if_loaded():
    if CLAIM.exists():
        testlib.unload()


class Sources(Place):
    """The sources; the module is not loaded yet."""
    folder = TOP

    def before(self):
        unload_if_loaded()

    def leave(self):
        unload_if_loaded()
        testlib.load()


class Folder(Sources):
    """The folder of the module."""
    folder = Path(KO).parent


class Losses(Place):
    """Program forward redirects frames from port1 to port2, which is down."""
    prepare = "ip link set port2 down"
    length = 100

    def enter(self):
        CLAIM.write_text("tx_ports", encoding="ascii")
        # CLONE_NEWNET: devices and counters of its own
        testlib.checked(testlib.ctypes.CDLL(None).unshare(0x40000000))
        testlib.no_ipv6()
        for one, other in (("port1", "host1"), ("port2", "host2"), ("DEV", "PEER"),
                           ("SENDER", "INGRESS"), ("TARGET", "behind")):
            testlib.add_veth(one, other)
        sh(f"ethtool -K host2 gro on; ethtool -K INGRESS gro on; rm -rf {BPFFS}/documents && "
           f"bpftool prog loadall {OUTPUT}/documents.bpf.o {BPFFS}/documents pinmaps {BPFFS} && "
           f"bpftool net attach xdpdrv pinned {BPFFS}/documents/forward dev port1 && "
           f"bpftool net attach xdpdrv pinned {BPFFS}/documents/PROGRAM dev DEV && "
           f"bpftool map update name tx_ports key 0 0 0 0 value {ifindex('port2')} 0 0 0 && "
           f"mv {BPFFS}/documents/PROGRAM {BPFFS}/pass && rm -r {BPFFS}/documents && "
           + self.prepare)
        self.meanwhile()
        assert becomes(lambda: "port2 lost" in redirmap(command_main, "drops")[1])

    def meanwhile(self):
        testlib.send("host1", testlib.frame_to(1, self.length), 3)
        testlib.send("PEER", testlib.frame_to(1, 100), 3)

    def leave(self):
        sh(f"rm -f {BPFFS}/pass {BPFFS}/tx_ports; sysctl -qw kernel.bpf_stats_enabled=0")
        for device in ("port1", "DEV", "TARGET"):
            sh(f"ip link del {device}")
        assert becomes(lambda: not refcnt())
        CLAIM.write_text(testlib.CLAIM, encoding="ascii")


class TooLarge(Losses):
    """Frames are larger than the MTU of port2."""
    prepare = "ip link set port2 mtu 200"
    length = 300


class Sockets(Place):
    """The map socks got a program between the sockets at its keys 0 and 1."""

    def enter(self):
        CLAIM.write_text("socks", encoding="ascii")
        sh(f"ip link set lo up; rm -rf {BPFFS}/socks {BPFFS}/socks-programs && "
           f"bpftool map create {BPFFS}/socks type sockmap key 4 value 8 entries 2 name socks && "
           f"bpftool prog loadall {EXAMPLES}/local.bpf.o {BPFFS}/socks-programs")
        self.socks = pair()
        socks = testlib.open_pinned(f"{BPFFS}/socks")
        for key, sock in enumerate(self.socks):
            equal(put(socks, key, sock), 0)
            if not key:
                sh(f"bpftool prog attach pinned {BPFFS}/socks-programs/forward msg_verdict "
                   f"pinned {BPFFS}/socks")
        os.close(socks)

    def leave(self):
        for sock in self.socks:
            sock.close()
        sh(f"rm -r {BPFFS}/socks {BPFFS}/socks-programs")
        assert becomes(lambda: not refcnt())
        CLAIM.write_text(testlib.CLAIM, encoding="ascii")


PLACES = {"module": Sources(), "folder": Folder(), "too_large": TooLarge(), "down": Losses(),
          "losses": Losses(), "sockets": Sockets()}


# --- expected results, besides exit status 0 --------------------------------


def claims(policy):
    equal(CLAIM.read_text(encoding="ascii"), policy + "\n")


def shapes(policy):
    """Check that the parameter qdisc has the written value, and reset it."""
    parameter = CLAIM.with_name("qdisc")
    equal(parameter.read_text(encoding="ascii"), policy + "\n")
    parameter.write_text("\n", encoding="ascii")


def has_feature(device, words):
    """ethtool -k reports the setting that ethtool -K has made."""
    names = {"gro": "generic-receive-offload", "gso": "generic-segmentation-offload",
             "tso": "tcp-segmentation-offload", "tx": "tx-checksumming"}
    features = sh(f"ethtool -k {device}")
    words = words.split()
    for name, state in zip(words[::2], words[1::2], strict=True):
        assert f"{names[name]}: {state}" in features, features


def says(*words):
    def check(output, *_):
        for one in words:
            assert one in output, output

    return check


def named_namespaces():
    """The namespaces of ip netns."""
    folder = Path("/run/netns")
    return {one.name for one in folder.iterdir()} if folder.exists() else set()


# The first matching one applies.
OUTCOMES = (
    (r"make && .*insmod .*", lambda output: claims("*")),
    (r"cat /sys/module/redirmap/parameters/claim", lambda output: equal(output, "*\n")),
    (r"insmod redirmap.ko claim='(.*?)'", lambda output, policy: claims(policy)),
    (r"insmod redirmap.ko", lambda output: claims("*")),
    (r"printf '\\n' > \S+/claim", lambda output: claims("")),
    (r"printf %s '(.*?)' > \S+/claim", lambda output, policy: claims(policy)),
    (r"printf %s 'shaped_\*' > \S+/qdisc", lambda output: shapes("shaped_*")),
    (r"tc qdisc replace dev DEV .*", lambda output: says("tbf")(sh("tc qdisc show dev DEV"))),
    (r"tc -s qdisc show dev DEV", says("tbf", "dropped", "backlog")),
    (r"redirmap( list)?", says("tx_ports", "port2")),
    (r"redirmap list --map ID", says("tx_ports")),
    (r"redirmap drops", says("port2 lost")),
    (r"redirmap drops --since 5( port2)?", says("port2 lost", "the loss goes on")),
    (r"redirmap watch", says("PACKETS/S", "port2")),
    (r"redirmap holders", says("tx_ports", "port1")),
    (r"redirmap metrics", says("# TYPE redirmap_target_lost_frames_total counter",
                               'device="port2"')),
    (r"redirmap sockets", says("No claimed socket maps")),
    (r"redirmap sockets name socks", says("msg_verdict", "established")),
    (r"redirmap state", says("claims maps named tx_ports")),
    (r"redirmap help", says("usage:")),
    (r"redirmap --version", says("is loaded")),
    (r"redirmap --json", says('"name": "tx_ports"')),
    (r"redirmap --json .*jq .*", says('"ifname": "port2"')),
    (r"man redirmap", says("SYNOPSIS", "EXIT STATUS")),
    (r"cli.py .*", says("'ifname': 'port2'")),
    (r"ethtool -K (\S+) (.*)", lambda output, device, words: has_feature(device, words)),
    (r"ethtool -S DEV", says("rx_queue_0_xdp_drops")),
    (r"ip -s link( show DEV)?", says("DEV", "RX:")),
    (r"ip netns", lambda output: equal({line.split()[0] for line in output.splitlines()},
                                       named_namespaces())),
    (r"ip link", says("DEV", "port2")),
    (r"ip link show DEV", says("DEV", "xdp")),
    (r"ip link set (\S+) up", lambda output, device: says("UP")(sh(f"ip link show {device}"))),
    (r"bpftool net attach .* dev TARGET", lambda output: says("xdp")(sh("ip link show TARGET"))),
    (r"bpftool net", says("port1", "DEV")),
    (r"bpftool prog show name PROGRAM", says("run_cnt")),
    (r"bpftool prog show", says("forward", "map_ids")),
    (r"bpftool map( show)?", says("tx_ports")),
    (r"bpftool -j map", says("tx_ports", "bytes_memlock")),
    (r"bpftool map show id ID", says("tx_ports")),
    (r"bpftool map dump id ID", says("<no entry>", "Found 1 element")),
    (r"bpftrace .*", lambda output: says("@[")(output)),
    (r"perf record -e 'redirmap:\*' -a", says(" samples)")),
    (r"nstat .*", says("TcpInCsumErrors")),
    (r"errno -l", says("EOPNOTSUPP 95")),
    (r"sysctl (.*)=(.*)",
     lambda output, name, value: equal(sh(f"sysctl -n {name}"), value + "\n")),
    (r"rmmod redirmap", says("in use")),
    (r"bpftool map freeze id ID", lambda output: says("frozen")(sh("bpftool map"))),
)


def check_outcome(command, output):
    for pattern, check in OUTCOMES:
        match = re.fullmatch(pattern, command, re.S)
        if match:
            check(output, *match.groups("")[:check.__code__.co_argcount - 1])
            return
    raise AssertionError(f"the test has no expected output for: {command}")


def plain(text):
    """The text without parts that vary between runs: numbers, except in names;
    ages; blanks."""
    text = re.sub(r"the last one (just now|\d+ \w+ ago)", "the last one N s ago", text)
    return " ".join(re.sub(r"(?<!\w)\d+([.,]\d+)*", "N", text).split())


# --- running a command ------------------------------------------------------


LASTING = re.compile("redirmap watch$|bpftrace |perf record ")


def is_ready(command, process, output):
    """A lasting command shows its effect."""
    if command.startswith("redirmap"):
        return output.stat().st_size > 0
    # perf and bpftrace wait for their buffers, in poll(), epoll_wait() or
    # epoll_pwait().
    with contextlib.suppress(OSError):
        call = Path(f"/proc/{process.pid}/syscall").read_text(encoding="ascii").split()[0]
        if call in ("7", "232", "281"):
            links = [os.readlink(one) for one in Path(f"/proc/{process.pid}/fd").iterdir()]
            return any("perf_event" in one for one in links)
    return False


def interrupt(process):
    """Ctrl-C; bpftrace sometimes ignores the first one."""
    while process.poll() is None:
        process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(1)


def run_command(place, command):
    """The exit status and the output of a command."""
    output = tmp / "output"
    lasts = LASTING.match(command)
    if "ID" in command.split():
        number = json.loads(sh("bpftool -j map show name tx_ports"))["id"]
        command = re.sub(r"\bID\b", str(number), command)
    # A short command may have ended before anything is done meanwhile.
    place.meanwhile()
    with output.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            ["bash", "-o", "pipefail", "-c", ("exec " if lasts else "") + command],
            cwd=place.folder, stdin=subprocess.DEVNULL, stdout=file, stderr=file)
        try:
            if lasts:
                assert becomes(lambda: process.poll() is not None or
                               is_ready(command, process, output), 30000), command
                for _ in range(5):
                    place.meanwhile()
                    time.sleep(0.1)
                interrupt(process)
            while process.poll() is None:
                place.meanwhile()
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.1)
        finally:
            process.kill()
    status = 0 if lasts and process.returncode == -signal.SIGINT else process.returncode
    return status, output.read_text(encoding="utf-8")


def without_comment(command):
    """A command without the comment at its end."""
    return re.sub(r"\s+#[^'\"]*$", "", command)


def commands(text):
    """The commands of a block, each with the output that is shown below it."""
    found = []
    if text.startswith("# "):
        for line in text.splitlines():
            if line.startswith("# "):
                found.append([line[2:], ""])
            else:
                found[-1][1] += line + "\n"
        return found
    whole = ""
    for line in text.splitlines():
        whole += line + "\n"
        try:
            shlex.split(whole, comments=True)
        except ValueError:  # a quotation goes on
            continue
        if whole.strip():
            found.append([without_comment(whole.strip()), ""])
        whole = ""
    return found


def try_command(place, command, shown=""):
    status, output = run_command(place, command)
    if shown:
        equal(plain(output), plain(shown))
    # A command that is shown to fail must fail.
    assert bool(status) == ("ERROR" in shown), f"{command}: {status}\n{output}"
    check_outcome(command, output)


# --- the tests --------------------------------------------------------------


done = set()


def add_tests(name, place):
    test(f"{name}: the place is made")(place.enter)
    for block in SHOWN["blocks"]:
        if block["where"] == name:
            def run_block(block=block):
                place.before()
                for command, shown in commands(block["text"]):
                    try_command(place, command, shown)

            title = commands(block["text"])[0][0].splitlines()[0]
            test(f"{name}: {block['document']}: {title}")(run_block)
            done.update(command for command, _ in commands(block["text"]))
    for one in SHOWN["sentences"]:
        where = "losses" if one["where"] == "sentence" else one["where"]
        if one["kind"] == "run" and where == name and one["text"] not in done:
            def run_sentence(command=one["text"]):
                place.before()
                try_command(place, command)

            test(f"{name}: {one['document']}: {one['text']}")(run_sentence)
            done.add(one["text"])
    test(f"{name}: the place is left")(place.leave)


@test("all places are known, and all commands are found")
def _():
    for one in SHOWN["blocks"] + SHOWN["sentences"]:
        if one["kind"] == "run" and not one["where"].endswith((".py", ".sh")):
            assert one["where"] in (*PLACES, "sentence"), one
        word, *rest = one["text"].split()
        # In sentences, other words must not be names of programs.
        assert one["kind"] != "words" or not rest or not shutil.which(word), one


@test("the steps of make demo in its machine")
def _():
    testlib.unload()
    # In a run of all tests, device numbers at this point do not fit into a
    # byte.
    sh("for n in $(seq 128); do echo link add late type veth peer name later; "
       "echo link del late; done | ip -batch -")
    sh(f"mkdir -p {TOP}/build/demo && cp {OUTPUT}/demo*.bpf.o {TOP}/build/demo")
    try:
        said = sh(f"cd {TOP} && REDIRMAP_DEMO_PLAIN=1 scripts/lab/demo --inside 2>&1")
    finally:
        sh("for n in 1 2 3 4; do ip link del port$n; ip netns del host$n; done 2>/dev/null || :")
        testlib.load()
    failed = [command.splitlines()[0] for command in said.split("\n# ")[1:]
              if "(exit status" in command]
    equal(failed, ["ip netns exec host1 ping -q -c 1 -W 1 10.0.0.3",
                   "ip netns exec host1 ping -q -c 3 -i 0.2 -w 1 -s 1200 10.0.0.2",
                   "rmmod redirmap", "ls -d /sys/module/redirmap"])
    for words in ("port2 lost ", "port4 sent ", "HELLO, SERVER", "\nNo answer comes.\n",
                  "(proxy_socks) refused 1 redirect", "Module redirmap is in use"):
        assert words in said, said


@test("the command is installed, and packages of others")
def _():
    sh(f"{TOP}/scripts/command/install --destdir {tmp} --prefix /usr install")
    source = testlib.kernel_source()
    os.symlink(SPEC, tmp / "redirmap.yaml")
    os.symlink(source / "Documentation/netlink/genetlink-legacy.yaml",
               tmp / "genetlink-legacy.yaml")
    # The module is already built by the same script: make need not check that
    # again, which takes long in an emulated machine. The machine has no sudo,
    # because the user is root.
    for name, program in (("make", "/usr/bin/make -o modules"), ("sudo", "")):
        (tmp / name).write_text(f'#!/bin/sh\nexec {program} "$@"\n', encoding="ascii")
        (tmp / name).chmod(0o755)
    os.environ["PATH"] = f"{tmp}:{tmp}/usr/sbin:{source}/tools/net/ynl:" + os.environ["PATH"]
    os.environ["MANPATH"] = f"{tmp}/usr/share/man"


for name, place in PLACES.items():
    add_tests(name, place)

try:
    run()
finally:
    shutil.rmtree(tmp)
