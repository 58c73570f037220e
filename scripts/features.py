#!/usr/bin/python3
# SPDX-License-Identifier: GPL-2.0-only
"""Find the features of the kernel that the module is built for.

features.py OUT SYMVERS BTF COMPILER ARGUMENT...

Kbuild runs this script. OUT is the header to write, with a macro HAVE_... for
each feature, 0 or 1; src/compat.h reads it. The version of a kernel does not
determine its features, because distributions add parts of newer kernels to
older ones. Probes find the features in headers: small functions that compile
only with the feature. The compiler checks all of them in one run, without
output. SYMVERS lists the exported functions, and the file .config beside it the
options. BTF is the kernel's raw BTF, for structures that are in no header, or
"" if there is no BTF. Without one of these files the macro is not defined, and
src/compat.h compares the version, or another feature. insmod compares
structures in any case.
"""
import os
import re
import struct
import subprocess
import sys

PRELUDE = """
#include <linux/bpf.h>
#include <linux/ftrace.h>
#include <linux/memcontrol.h>
#include <linux/netdevice.h>
#include <linux/security.h>
#include <linux/skbuff.h>
#include <linux/skmsg.h>
#include <linux/workqueue.h>
#include <net/genetlink.h>
#include <net/xdp.h>
"""


def has_member(of, member):
    return f"char probe_it[sizeof((({of} *)0)->{member})];"


def assigns(of, member, function):
    """Is a member a pointer to a function of this type?"""
    return f"void probe_it({of} *ops, {function}) {{ ops->{member} = f; }}"


def declares(name):
    return f"void *probe_it(void) {{ return (void *)&{name}; }}"


# A feature, and a declaration that compiles only with it.
PROBES = {
    # Operations of maps return long, and the key of map_redirect is u64 (6.4).
    "MAP_OPS_LONG": assigns("struct bpf_map_ops", "map_redirect",
                            "long (*f)(struct bpf_map *, u64, u64)"),
    # 6.2
    "BATCH_FILE": assigns("struct bpf_map_ops", "map_update_batch",
                          "int (*f)(struct bpf_map *, struct file *, "
                          "const union bpf_attr *, union bpf_attr __user *)"),
    # 6.4
    "MAP_MEM_USAGE": has_member("struct bpf_map_ops", "map_mem_usage"),
    # 6.9; before: security_bpf_map_alloc()
    "SECURITY_BPF_MAP_CREATE": declares("security_bpf_map_create"),
    # 6.9: map_create() knows tokens, and checks capabilities itself
    "BPF_TOKEN": has_member("union bpf_attr", "map_token_fd"),
    # 6.18: exclusive maps
    "BPF_EXCL_PROG": has_member("union bpf_attr", "excl_prog_hash_size"),
    # 6.3
    "XDP_FEATURES": has_member("struct net_device", "xdp_features"),
    # 6.12; before: NETIF_F_LLTX
    "LLTX_BIT": "void probe_it(struct net_device *dev) { dev->lltx = true; }",
    # 6.5
    "SKB_FRAG_FILL": declares("skb_frag_fill_page_desc"),
    # 6.14
    "XDP_FRAGS_TRUESIZE": has_member("struct skb_shared_info", "xdp_frags_truesize"),
    # 7.0 replaced it by napi_skb_cache_get_bulk()
    "XDP_ALLOC_SKB_BULK": declares("xdp_alloc_skb_bulk"),
    # 6.17; before: mem, with type and id
    "XDP_FRAME_MEM_TYPE": "int probe_it(struct xdp_frame *f) { return f->mem_type; }",
    # 6.3: a program can be bound to a device without being offloaded to it
    "PROG_DEV_BOUND": declares("bpf_prog_is_offloaded"),
    # 6.6
    "GENL_INFO_DUMP": declares("genl_info_dump"),
    # 6.4
    "BPF_MEMCG_FLAGS": "gfp_t probe_it(gfp_t gfp) { return bpf_memcg_flags(gfp); }",
    # 6.3; before: memcg_kmem_enabled()
    "MEMCG_KMEM_ONLINE": declares("memcg_kmem_online"),
    # 6.15: TCP with accurate ECN
    "GSO_TCP_ACCECN": "int probe_it = SKB_GSO_TCP_ACCECN;",
    # 6.17; before: system_unbound_wq, which newer kernels report as deprecated
    "SYSTEM_DFL_WQ": "void *probe_it(void) { return system_dfl_wq; }",
    # not in 6.1: a psock has the number of bytes in its ingress queue
    "PSOCK_MSG_LEN": declares("sk_psock_get_msg_len_nolock"),
    # 6.18: sk_drops may have counters per NUMA node
    "SK_DROPS_READ": declares("sk_drops_read"),
    # 6.2: the arguments of a hooked function, without all registers
    "FTRACE_ARGUMENTS": "unsigned long probe_it(struct ftrace_regs *regs) "
                        "{ ftrace_regs_set_instruction_pointer(regs, 0); "
                        "return ftrace_regs_get_argument(regs, 0); }",
    # CONFIG_MEMCG_KMEM; since 6.11 CONFIG_MEMCG
    "MAP_OBJCG": has_member("struct bpf_map", "objcg"),
}
# Headers
FILES = {
    "NETDEV_RX_QUEUE_H": "net/netdev_rx_queue.h",
}
# Exported functions
EXPORTS = {
    # not exported since 6.18
    "INIT_DUMMY_NETDEV": "init_dummy_netdev",
}
# Options that a kernel's configuration names, whether they are on or off
OPTIONS = {
    # 6.18, of PREEMPT_RT: without it, bottom halves off are no lock of the CPU
    "RT_BH_LOCK_OPTION": "CONFIG_PREEMPT_RT_NEEDS_BH_LOCK",
}
# Members of private structures
MEMBERS = {
    # 6.4 removed it
    "DTAB_NETDEV_DTAB": ("bpf_dtab_netdev", "dtab"),
    # in each bulk queue, against preemption on PREEMPT_RT
    "BQ_LOCK": ("xdp_dev_bulk_queue", "bq_lock"),
    # 6.3 put data there
    "PAGE_HEAD_FRM": ("xdp_page_head", "frm"),
}

KIND_STRUCT = 4
# The number of bytes behind the head of a type: fixed, and per member.
TRAILER = {1: (4, 0), 2: (0, 0), 3: (12, 0), 4: (0, 12), 5: (0, 12), 6: (0, 8),
           7: (0, 0), 8: (0, 0), 9: (0, 0), 10: (0, 0), 11: (0, 0), 12: (0, 0),
           13: (0, 8), 14: (4, 0), 15: (0, 12), 16: (0, 0), 17: (4, 0),
           18: (0, 0), 19: (0, 12)}


def structs(btf, wanted):
    """The sizes and member offsets of the given structures, from raw BTF. The
    size has the name "". Members of unnamed unions are not found."""
    magic, _, _, hdr_len, type_off, type_len, str_off, _ = struct.unpack_from("=HBBIIIII", btf)
    if magic != 0xEB9F:
        raise ValueError("the file is no BTF")
    strings = hdr_len + str_off

    def string(off):
        return btf[strings + off:btf.index(b"\0", strings + off)].decode()

    found = {}
    pos = hdr_len + type_off
    end = pos + type_len
    while pos < end:
        name_off, info, size = struct.unpack_from("=III", btf, pos)
        kind, vlen = info >> 24 & 31, info & 0xffff
        fixed, each = TRAILER[kind]
        pos += 12
        if kind == KIND_STRUCT and string(name_off) in wanted:
            members = {"": size}
            for i in range(vlen):
                m_name, _, m_off = struct.unpack_from("=III", btf, pos + 12 * i)
                bits = m_off & 0xffffff if info >> 31 else m_off
                # An anonymous member would take the place of the size.
                if m_name:
                    members[string(m_name)] = bits // 8
            found.setdefault(string(name_off), members)
        pos += fixed + each * vlen
    return found


def compile_probes(compiler):
    """Which probes compile? A #line directive gives each probe a file name of
    its own, so that the compiler's messages name the probe. The last two probes
    check the run itself."""
    code = PRELUDE
    for name, text in {**PROBES, "ALWAYS": "int probe_it;",
                       "NEVER": "int probe_it = no_such_name;"}.items():
        code += f'#line 1 "probe-{name}"\n{text.replace("probe_it", "probe_" + name)}\n'
    done = subprocess.run([*compiler, "-fsyntax-only", "-fmax-errors=0", "-x", "c", "-"],
                          input=code, capture_output=True, text=True, check=False,
                          env={**os.environ, "LC_ALL": "C"})
    failed = set(re.findall(r"^probe-(\w+):\d+(?::\d+)?: (?:fatal )?error:", done.stderr, re.M))
    if "NEVER" not in failed or "ALWAYS" in failed or \
            re.search(r"^(?!probe-)[^\n]*\berror:", done.stderr, re.M):
        sys.exit(f"features.py: cannot compile for this kernel:\n{done.stderr}")
    return {name: name not in failed for name in PROBES}


def include_dirs(compiler):
    return [arg[2:] for arg in compiler if arg.startswith("-I")]


def find(symvers, btf, compiler):
    have = compile_probes(compiler)
    for name, path in FILES.items():
        have[name] = any(os.path.exists(os.path.join(folder, path))
                         for folder in include_dirs(compiler))
    with open(symvers, encoding="utf-8") as file:
        exported = {line.split("\t")[1] for line in file}
    for name, function in EXPORTS.items():
        have[name] = function in exported
    config = os.path.join(os.path.dirname(symvers), ".config")
    if os.path.exists(config):
        with open(config, encoding="utf-8") as file:
            known = set(re.findall(r"^(?:# )?(CONFIG_\w+)[ =]", file.read(), re.M))
        for name, option in OPTIONS.items():
            have[name] = option in known
    if btf:
        with open(btf, "rb") as file:
            found = structs(file.read(), {of for of, _ in MEMBERS.values()})
        for name, (of, member) in MEMBERS.items():
            have[name] = member in found.get(of, {})
    return have


def main():
    out, symvers, btf, *compiler = sys.argv[1:]
    text = "/* Written by scripts/features.py for one kernel: do not edit. */\n" + "".join(
        f"#define HAVE_{name} {int(there)}\n"
        for name, there in sorted(find(symvers, btf, compiler).items()))
    os.makedirs(os.path.dirname(out), exist_ok=True)
    with open(out, "w", encoding="utf-8") as file:
        file.write(text)


if __name__ == "__main__":
    main()
