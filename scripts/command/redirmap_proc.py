# SPDX-License-Identifier: GPL-2.0-only
"""Processes with descriptors of BPF objects, pins of BPF objects, and
namespaces. The namespaces are those of all processes in /proc, and those that a
file keeps."""
import ctypes
import marshal
import os
import re

from redirmap_bpf import FILES, kind_of_pin

CLONE_NEWNS, CLONE_NEWNET = 0x20000, 0x40000000
SYS_KCMP, KCMP_FILES = 312, 2  # x86-64

libc = ctypes.CDLL(None, use_errno=True)


def enter(fd, kind):
    if libc.setns(fd, kind):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def read(path, proc=None):
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    with open(fd, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


class Namespace:
    """A namespace: its inode, and the path of a process or file that refers to
    it."""

    def __init__(self, inode, path, pid=None):
        self.inode, self.path, self.pid = inode, path, pid

    def nsenter(self, option):
        """The beginning of a command line that runs in the namespace."""
        if self.pid is not None:
            return f"nsenter -t {self.pid} -{option[0]} "
        return f"nsenter --{option}={quoted(self.path)} "


class Machine:
    """The contents of /proc: descriptors, pins, namespaces."""

    def __init__(self):
        # (kind, id): records
        self.files, self.pins = {}, {}
        # inode: Namespace
        self.nets, self.mounts = {}, {}
        self.notes = []
        self._unseen = 0
        # (device, inode) of the pins that were found
        self._seen = set()
        # Devices of the bpffs that were found, and of those that were searched
        self._found, self._walked = {}, set()
        self._proc = os.open("/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            self._look()
        finally:
            os.close(self._proc)

    def _look(self):
        # This process first, so that paths are those of the caller.
        for pid in sorted(
            (int(name) for name in os.listdir("/proc") if name.isdigit()),
            key=lambda pid: (pid != os.getpid(), pid),
        ):
            try:
                self._namespaces_of(pid)
                if pid != os.getpid():
                    self._descriptors_of(pid)
            except PermissionError:
                self._unseen += 1
            except (FileNotFoundError, ProcessLookupError):
                # The process has exited.
                continue
        self._look_at_mounts()
        if self._unseen:
            self.notes.append(f"No permission to look into {self._unseen} processes.")
        # PROC_PID_INIT_INO
        if os.stat("/proc/self/ns/pid").st_ino != 0xEFFFFFFC:
            self.notes.append("Processes outside of this PID namespace are not visible.")
        for device in self._found.keys() - self._walked:
            self.notes.append(f"The bpffs at {self._found[device]} is not accessible: "
                              "something else is mounted over it.")

    # --- processes ---

    def _namespaces_of(self, pid):
        for kind, known in (("net", self.nets), ("mnt", self.mounts)):
            path = f"/proc/{pid}/ns/{kind}"
            inode = os.stat(path).st_ino
            if inode in known:
                continue
            # A process with another root directory does not see all mounts.
            if kind == "net" or pid == os.getpid() or os.readlink(f"/proc/{pid}/root") == "/":
                known[inode] = Namespace(inode, path, pid)
            else:
                self._other(kind, inode, path)

    def _other(self, kind, inode, path):
        """Add a namespace that a file refers to."""
        known = {"net": self.nets, "mnt": self.mounts}.get(kind)
        if known is not None and inode not in known:
            known[inode] = Namespace(inode, path)

    def _descriptors_of(self, pid):
        self._table_of(pid, f"/proc/{pid}")
        for task in os.listdir(f"/proc/{pid}/task"):
            # The threads of a process usually share one table. A kernel without
            # kcmp(2) cannot say so.
            if int(task) != pid and libc.syscall(SYS_KCMP, pid, int(task), KCMP_FILES, 0, 0):
                try:
                    self._table_of(pid, f"/proc/{pid}/task/{task}")
                except (FileNotFoundError, ProcessLookupError):
                    continue

    def _table_of(self, pid, folder):
        for fd in os.listdir(f"{folder}/fd"):
            try:
                link = os.readlink(f"{folder}/fd/{fd}")
                if link in FILES:
                    self._file(pid, folder, int(fd), *FILES[link])
                elif link.startswith(("net:[", "mnt:[")):
                    self._other(link[:3], int(link[5:-1]), f"{folder}/fd/{fd}")
            except (FileNotFoundError, ProcessLookupError):
                continue

    def _file(self, pid, folder, fd, kind, line):
        number = re.search(rf"^{line}:\s*(\d+)$", read(f"{folder}/fdinfo/{fd}"), re.M)
        if not number:
            return
        holders = self.files.setdefault((kind, int(number[1])), [])
        for one in holders:
            if one["pid"] == pid:
                # A thread may share its table with the process.
                if folder == f"/proc/{pid}" or fd not in one["fds"]:
                    one["fds"].append(fd)
                return
        holders.append({
            "kind": "process", "pid": pid, "comm": read(f"{folder}/comm").rstrip("\n"),
            "fds": [fd], "command": f"kill {pid}",
        })

    # --- mounts ---

    def _look_at_mounts(self):
        done = set()
        # The search finds further namespaces, which are mounted somewhere.
        while todo := [one for inode, one in self.mounts.items() if inode not in done]:
            # Namespaces of processes come first, because their paths are
            # shorter.
            for one in sorted(todo, key=lambda one: one.pid is None):
                done.add(one.inode)
                try:
                    if one.pid is None:
                        self._take(one, in_child(lambda one=one: self._mounts_inside(one)))
                    else:
                        root = "" if one.pid == os.getpid() else f"/proc/{one.pid}/root"
                        self._take(one, self._mounts_of(f"{one.pid}/mountinfo", root))
                except OSError as error:
                    if one.pid is None or os.path.isdir(f"/proc/{one.pid}"):
                        self.notes.append(f"Mount namespace {one.inode}: {error}")

    def _mounts_inside(self, one):
        """In a child: enter the namespace and search its mounts."""
        fd = os.open(one.path, os.O_RDONLY)
        enter(fd, CLONE_NEWNS)
        return self._mounts_of("self/mountinfo", "")

    def _mounts_of(self, mountinfo, root):
        """The mounted pins, bpffs and namespaces, as plain values for
        marshal."""
        pins, bpffs, namespaces = [], [], []
        seen = set()
        for line in read(mountinfo, self._proc).splitlines():
            fields = line.split(" ")
            behind = fields.index("-", 6)
            kind, inner, place = fields[behind + 1], fields[3], plain(fields[4])
            if kind == "nsfs" and inner.startswith(("net:[", "mnt:[")):
                namespaces.append((inner[:3], int(inner[5:-1]), root + place))
            if kind != "bpf":
                continue
            major, minor = map(int, fields[2].split(":"))
            device = os.makedev(major, minor)
            walked = (device, inner) in seen
            if not walked and same_device(root + place, device):
                seen.add((device, inner))
                walked = True
                pins += [
                    (device, inode, path, found)
                    for inode, path, found in pins_below(root + place, root, self._proc)
                ]
            bpffs.append((device, place, walked))
        return pins, bpffs, namespaces

    def _take(self, namespace, told):
        pins, bpffs, namespaces = told
        for kind, inode, path in namespaces:
            self._other(kind, inode, path)
        for device, place, walked in bpffs:
            self._found.setdefault(device, place)
            if walked:
                self._walked.add(device)
        for device, inode, path, found in pins:
            if (device, inode) in self._seen:
                continue
            self._seen.add((device, inode))
            ours = namespace.pid == os.getpid()
            # Other mount namespaces need another path, or nsenter.
            if ours:
                command = "rm " + quoted(path)
            elif namespace.pid is not None:
                command = "rm " + quoted(f"/proc/{namespace.pid}/root{path}")
            else:
                command = namespace.nsenter("mount") + "rm " + quoted(path)
            self.pins.setdefault(tuple(found), []).append({
                "kind": "pin", "path": path, "mount_namespace": namespace.inode,
                "command": command,
            })


def plain(place):
    """Decode the octal characters of a path in mountinfo."""
    return re.sub(r"\\(\d{3})", lambda match: chr(int(match[1], 8)), place)


def quoted(path):
    import shlex

    return shlex.quote(path)


def same_device(path, device):
    """Is a path on this device, and not on something that is mounted over
    it?"""
    try:
        return os.stat(path).st_dev == device
    except OSError:
        return False


def pins_below(path, root, proc):
    """Yield the pinned objects of a bpffs: inode, path below root, (kind,
    id)."""
    places = [path]
    while places:
        place = places.pop()
        try:
            status = os.lstat(place)
            # 0o040000 is S_IFDIR, 0o100000 is S_IFREG: in a bpffs, a pin.
            if status.st_mode & 0o170000 == 0o040000:
                places += [f"{place.rstrip('/')}/{name}" for name in os.listdir(place)]
            elif status.st_mode & 0o170000 == 0o100000 and (found := kind_of_pin(place, proc)):
                yield status.st_ino, place[len(root):], found
        except OSError:
            # It was removed meanwhile.
            continue


def in_child(function):
    """The result of a function that runs in a child, which may change its
    namespace."""
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        try:
            told = function()
        except BaseException as error:
            told = str(error)
        with open(theirs, "wb") as file:
            marshal.dump(told, file)
        os._exit(0)
    os.close(theirs)
    with open(ours, "rb") as file:
        told = marshal.load(file)
    os.waitpid(child, 0)
    if isinstance(told, str):
        raise OSError(told)
    return told
