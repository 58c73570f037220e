#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Loading and unloading: kernels and states that insmod refuses, and its
# messages; no hook remains then; other users of the hooked functions; and rmmod
# that is refused.

# Functions are called by result():
# shellcheck disable=SC2317,SC2086

set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=selftests/lib/testlib.sh
. "$here/lib/testlib.sh"

: "${REDIRMAP_KO:=$here/../build/$(uname -r)/redirmap.ko}"
: "${REDIRMAP_TEST_OUTPUT:=$here/../build/selftests}"
: "${REDIRMAP_CLAIM:=rm_*}"
mods=$(dirname "$(dirname "$REDIRMAP_KO")")/$(uname -r)-selftests
attach=$REDIRMAP_TEST_OUTPUT/attach
tracing=/sys/kernel/tracing
kprobes=/sys/kernel/debug/kprobes/list
bpffs=/sys/fs/bpf/redirmap-load
functions="dev_map_alloc bpf_map_meta_equal bpf_map_meta_alloc bpf_map_meta_free"
if grep -qw security_bpf_map_create /proc/kallsyms; then
	functions+=" security_bpf_map_create"
else
	functions+=" security_bpf_map_alloc"
fi
others="dev_map_alloc_check sock_map_update_elem_sys"
probed="bpf_map_meta_alloc sk_msg_func_proto sk_skb_func_proto sock_ops_func_proto"

[ "$(id -u)" = 0 ] || exit 4
mkdir -p $bpffs

load()
{
	insmod "$REDIRMAP_KO" claim="$REDIRMAP_CLAIM"
}

loaded()
{
	[ -d /sys/module/redirmap ]
}

unload()
{
	local i

	for ((i = 0; i < 100; i++)); do
		loaded || return 0
		rmmod redirmap 2>/dev/null && return 0
		pause 0.1
	done
	return 1
}

# make NAME : make a pinned map; true if the module has claimed it
make()
{
	local before after

	before=$(cat /sys/module/redirmap/refcnt 2>/dev/null || echo 0)
	bpftool map create "$bpffs/$1" type devmap key 4 value 4 entries 4 \
		name "$1" || return 2
	after=$(cat /sys/module/redirmap/refcnt 2>/dev/null || echo 0)
	[ "$after" -gt "$before" ]
}

# Remove all pinned maps. The kernel frees them later: wait for that, because
# make() compares the references to the module.
drop()
{
	local i

	rm -f $bpffs/*
	for ((i = 0; i < 200; i++)); do
		[ "$(cat /sys/module/redirmap/refcnt 2>/dev/null || echo 0)" = 0 ] && return
		pause 0.1
	done
	return 1
}

# Maps are claimed by name; an update and a lookup succeed.
works()
{
	local rc=0

	make rm_works || rc=1
	bpftool map update pinned $bpffs/rm_works key 1 0 0 0 value 1 0 0 0 || rc=1
	bpftool map lookup pinned $bpffs/rm_works key 1 0 0 0 | grep -q 'value: 01' || rc=1
	make st_works && rc=1
	drop
	return $rc
}

nothing_hooked()
{
	local func

	for func in $functions $others $probed; do
		if grep -qE "^$func \(" $tracing/enabled_functions; then
			grep -E "^$func \(" $tracing/enabled_functions
			return 1
		fi
	done
	! grep -q redirmap $tracing/enabled_functions &&
		! grep -E " r +(${probed// /|})\+" $kprobes
}

# The loaded module reports no other function.
all_known()
{
	local names

	load && names=$("$here/../scripts/command/redirmap" --json state | jq -r '.hooks[].name') &&
		! nothing_hooked >/dev/null && unload || return 1
	! grep -vxF "$(tr ' ' '\n' <<<"$functions $others $probed")" <<<"$names"
}

# The module's lines in the log since mark_log
mark_log()
{
	mark="load-test-$RANDOM-$RANDOM"
	echo "$mark" >/dev/kmsg
}

said()
{
	dmesg | sed "0,/$mark/d" | grep 'redirmap: ' |
		grep -v 'taints kernel\|module verification\|invalid for parameter'
}

# hidden COMMAND... : run it where the kernel's BTF is hidden
hidden()
{
	unshare --mount sh -c 'mount -t tmpfs none /sys/kernel/btf && exec "$@"' - "$@"
}

# refused ERRNO-TEXT LOG-TEXT [--hidden] INSMOD-ARGS... : insmod fails with this
# errno, and one such line is in the log
refused()
{
	local text=$1 log=$2 out insmod=(insmod)

	shift 2
	if [ "$1" = --hidden ]; then
		insmod=(hidden insmod)
		shift
	fi
	mark_log
	if out=$("${insmod[@]}" "$@" 2>&1); then
		echo "insmod has succeeded"
		rmmod redirmap
		return 1
	fi
	echo "$out"
	said
	grep -q "$text" <<<"$out" && [ "$(said | wc -l)" = 1 ] &&
		said | grep -q "$log" && ! loaded && nothing_hooked
}

# --- plain ---------------------------------------------------------------

result "rmmod" unload
result "nothing is hooked when unloaded" nothing_hooked
result "no other function is hooked when loaded" all_known

one_line()
{
	mark_log
	load || return 1
	said
	[ "$(said | wc -l)" = 1 ] &&
		said | grep -q "version $(cat /sys/module/redirmap/version) loaded, claim=\"rm_\*\"$"
}
result "insmod, and a line in the log: the version, the policy" one_line
result "claims, updates, looks up" works

busy_while_a_map_lives()
{
	make rm_pins && ! rmmod redirmap && drop && unload && load
}
result "rmmod is refused while a map lives, succeeds after" busy_while_a_map_lives

stock_map_does_not_pin()
{
	local rc

	make st_early
	bpftool map update pinned $bpffs/st_early key 0 0 0 0 value 1 0 0 0 &&
		unload &&
		bpftool map lookup pinned $bpffs/st_early key 0 0 0 0 | grep -q 'value: 01' &&
		load && bpftool map delete pinned $bpffs/st_early key 0 0 0 0
	rc=$?
	drop
	return $rc
}
result "a stock map lives through unload and load" stock_map_does_not_pin

loop()
{
	local i

	for ((i = 0; i < $(longer 2 8); i++)); do
		unload && load || return 1
	done
	works
}
result "again and again" loop
unload

# outer NAME INNER : make an outer map with an inner one as its template
outer()
{
	bpftool map create "$bpffs/$1" type array_of_maps key 4 value 4 entries 4 \
		name "$1" inner_map pinned "$bpffs/$2"
}

put()
{
	bpftool map update pinned "$bpffs/$1" key 0 0 0 0 value pinned "$bpffs/$2" 2>&1
}

# The same 1000 times, each without success
put_often()
{
	python3 - "$here/lib" "$bpffs/$1" "$bpffs/$2" <<-'END'
		import ctypes, errno, sys
		sys.path.insert(0, sys.argv[1])
		from testlib import libbpf, open_pinned
		outer, inner = (open_pinned(path) for path in sys.argv[2:])
		for _ in range(1000):
		    err = libbpf.bpf_map_update_elem(
		        outer, bytes(4), inner.to_bytes(4, "little"), ctypes.c_uint64(0))
		    assert err == -errno.EINVAL, err
	END
}

mixed()
{
	local rc=0 id

	load || return 1
	make rm_inner
	make st_inner
	outer of_claimed rm_inner || rc=1
	outer of_stock st_inner || rc=1
	mark_log
	put of_claimed rm_inner || rc=1
	put of_stock st_inner || rc=1
	[ "$(said | wc -l)" = 0 ] || rc=1
	! put of_claimed st_inner || rc=1
	id=$(bpftool -j map show pinned $bpffs/st_inner | jq .id)
	said | grep -q "map $id (st_inner) is a stock map, and cannot go .* a claimed map" || rc=1
	! put of_stock rm_inner || rc=1
	id=$(bpftool -j map show pinned $bpffs/rm_inner | jq .id)
	said | grep -q "map $id (rm_inner) is a claimed map, and cannot go .* a stock map" || rc=1
	[ "$(said | wc -l)" = 2 ] || rc=1
	mark_log
	put_often of_stock rm_inner || rc=1
	said | tail -n 1
	[ "$(said | wc -l)" -lt 100 ] || rc=1
	drop
	unload || rc=1
	return $rc
}
result "claimed and stock inner maps mixed: the log reports it, a limited number of times" mixed

# --- refused -------------------------------------------------------------

result "a malformed glob: EINVAL" \
	refused "Invalid parameters" "claim: .* in \"rm_\[\"" "$REDIRMAP_KO" claim='rm_['

result "an impossible name: EINVAL" \
	refused "Invalid parameters" "claim: a character that map names cannot have in \"rm_{a,b}\"" \
	"$REDIRMAP_KO" claim='rm_{a,b}'


# Two lines and a quotation mark are printed in one line.
lines_in_policy()
{
	local rc=0 claim=/sys/module/redirmap/parameters/claim

	load || return 1
	mark_log
	# The shell would write line by line.
	printf 'rm_*\nbad"' >/tmp/policy
	! dd if=/tmp/policy of=$claim status=none || rc=1
	rm /tmp/policy
	said
	[ "$(dmesg | sed "0,/$mark/d" | wc -l)" = 1 ] || rc=1
	said | grep -F 'cannot have in "rm_*\nbad' || rc=1
	unload || rc=1
	return $rc
}
result "a policy of two lines: refused, with one line in the log" lines_in_policy

result "no BTF to read: EOPNOTSUPP, and which option the kernel needs" \
	refused "Operation not supported" \
	"cannot read /sys/kernel/btf/vmlinux (-ENOENT): needs CONFIG_DEBUG_INFO_BTF" \
	--hidden "$REDIRMAP_KO"

result "another kernel's layout: ENOEXEC" \
	refused "Invalid module format" "struct xdp_dev_bulk_queue member count" \
	"$mods/bad-layout/redirmap.ko"

ftrace_off()
{
	local rc=0

	sysctl -qw kernel.ftrace_enabled=0 || return 1
	refused "Device or resource busy" "ftrace is switched off" "$REDIRMAP_KO" || rc=1
	sysctl -qw kernel.ftrace_enabled=1
	load && works && unload || rc=1
	return $rc
}
# Newer kernels refuse to switch ftrace off at any time.
if ! sysctl -qw kernel.ftrace_enabled=0 2>/tmp/switch.out &&
	grep -q "Operation not supported" /tmp/switch.out; then
	no_switch="this kernel does not switch ftrace off"
	skip "ftrace switched off: EBUSY" "$no_switch"
else
	no_switch=
	sysctl -qw kernel.ftrace_enabled=1
	result "ftrace switched off: EBUSY" ftrace_off
fi

for func in dev_map_alloc bpf_map_meta_equal; do
	owned()
	{
		local rc=0

		insmod "$mods/modules/ipmodify.ko" func=$func || return 1
		# The owner itself remains in the list of hooked functions.
		mark_log
		! insmod "$REDIRMAP_KO" >/tmp/owned.out 2>&1 || rc=1
		said
		grep -q "Device or resource busy" /tmp/owned.out || rc=1
		[ "$(said | wc -l)" = 1 ] || rc=1
		said | grep "$func() is already replaced, by another copy of redirmap" || rc=1
		rmmod ipmodify
		nothing_hooked || rc=1
		load && works && unload || rc=1
		return $rc
	}
	result "$func has another owner: EBUSY, named" owned

	owns()
	{
		local rc=0

		load
		! insmod "$mods/modules/ipmodify.ko" func=$func || rc=1
		works || rc=1
		unload || rc=1
		insmod "$mods/modules/ipmodify.ko" func=$func || rc=1
		rmmod ipmodify || rc=1
		return $rc
	}
	result "$func is ours: another owner is refused, later welcome" owns
done

# A second copy of the module, under another name. Each order; the first one
# goes on.
second_copy()
{
	local twin=/tmp/redirtwo.ko rc=0 at refs i

	# The name is behind the state and a list.
	at=$(readelf -SW "$REDIRMAP_KO" | sed -nE \
		's/.* \.gnu\.linkonce\.this_module +PROGBITS +[0-9a-f]+ ([0-9a-f]+) .*/0x\1/p')
	at=$((at + 24))
	cp "$REDIRMAP_KO" $twin
	[ "$(dd if=$twin bs=1 skip=$at count=8 status=none)" = redirmap ] || return 1
	printf redirtwo | dd of=$twin bs=1 seek=$at conv=notrunc status=none

	load && make rm_first || rc=1
	cp "$REDIRMAP_KO" /tmp/other.ko
	! insmod /tmp/other.ko >/tmp/twin.out 2>&1 || rc=1
	grep "File exists" /tmp/twin.out || rc=1
	mark_log
	! insmod $twin >/tmp/twin.out 2>&1 || rc=1
	cat /tmp/twin.out
	said
	grep -q "Device or resource busy" /tmp/twin.out || rc=1
	[ "$(said | wc -l)" = 1 ] || rc=1
	said | grep -q "() is already replaced, by another copy of redirmap" || rc=1
	[ ! -d /sys/module/redirtwo ] || rc=1
	bpftool map update pinned $bpffs/rm_first key 1 0 0 0 value 1 0 0 0 || rc=1
	drop && works && unload || rc=1
	nothing_hooked || rc=1

	insmod $twin claim='rm_*' || return 1
	bpftool map create $bpffs/rm_twin type devmap key 4 value 4 entries 4 name rm_twin || rc=1
	refs=$(cat /sys/module/redirtwo/refcnt)
	[ "$refs" = 1 ] || rc=1
	refused_beside_twin || rc=1
	bpftool map update pinned $bpffs/rm_twin key 1 0 0 0 value 1 0 0 0 || rc=1
	rm $bpffs/rm_twin
	for ((i = 0; i < 200; i++)); do
		rmmod redirtwo 2>/dev/null && break
		pause 0.1
	done
	[ ! -d /sys/module/redirtwo ] || rc=1
	load && works && unload || rc=1
	rm -f $twin /tmp/other.ko
	return $rc
}

refused_beside_twin()
{
	mark_log
	! insmod "$REDIRMAP_KO" >/tmp/twin.out 2>&1 || return 1
	said
	! loaded && grep "Device or resource busy" /tmp/twin.out && [ "$(said | wc -l)" = 1 ] &&
		said | grep -q "() is already replaced, by another copy of redirmap"
}
result "a second copy of the module, under any name: refused" second_copy

no_ftrace_off_meanwhile()
{
	local rc=0

	load
	! sysctl -qw kernel.ftrace_enabled=0 || rc=1
	[ "$(sysctl -n kernel.ftrace_enabled)" = 1 ] || rc=1
	works || rc=1
	unload || rc=1
	sysctl -qw kernel.ftrace_enabled=0 || rc=1
	sysctl -qw kernel.ftrace_enabled=1 || rc=1
	return $rc
}
if [ -n "$no_switch" ]; then
	skip "kernel.ftrace_enabled=0 is EBUSY while loaded" "$no_switch"
else
	result "kernel.ftrace_enabled=0 is EBUSY while loaded" no_ftrace_off_meanwhile
fi

# Hooks are set on functions of the kernel, not on namesakes in modules.
namesakes()
{
	local rc=0

	insmod "$mods/modules/namesake.ko" || return 1
	grep -qF 'dev_map_alloc [namesake]' $tracing/available_filter_functions || rc=1
	load || rc=1
	grep -E '^dev_map_alloc' $tracing/enabled_functions
	grep -qE '^dev_map_alloc \(' $tracing/enabled_functions || rc=1
	! grep -E '\[namesake\]' $tracing/enabled_functions || rc=1
	grep -E '(bpf_map_meta_alloc|sk_msg_func_proto)' $kprobes
	[ "$(grep -cE ' r +(bpf_map_meta_alloc|sk_msg_func_proto)\+' $kprobes)" = 2 ] || rc=1
	# The list has the name of a module without brackets.
	! grep -E '\+0x[0-9a-f]+ +namesake( |$)' $kprobes || rc=1
	works || rc=1
	# If it were hooked, the module would read attributes that do not exist.
	[ $rc = 0 ] && { echo 1 >/sys/module/namesake/parameters/call || rc=1; }
	unload || rc=1
	rmmod namesake || rc=1
	return $rc
}
result "functions with the same names in a module are not hooked" namesakes

# --- BPF programs on the hooked functions -----------------------------------

start_attach()
{
	mkfifo /tmp/attach.in 2>/dev/null
	"$attach" "$1" "$2" </tmp/attach.in >/tmp/attach.out 2>/dev/null &
	attach_pid=$!
	exec 9>/tmp/attach.in
	local i
	for ((i = 0; i < 100; i++)); do
		grep -q . /tmp/attach.out && break
		pause 0.05
	done
	cat /tmp/attach.out
	grep -q attached /tmp/attach.out
}

stop_attach()
{
	exec 9>&-
	wait $attach_pid
	cat /tmp/attach.out
}

# The kernel may refuse a program. Module and program must not break each other.
with_program()
{
	local when=$1 kind=$2 func=$3 rc=0

	[ "$when" = before ] || load || return 1
	if ! start_attach "$kind" "$func"; then
		stop_attach
		refusals+=" $kind:$func:$when"
		[ "$when" = before ] || unload
		# A program that could not be attached leaves no hook.
		load && works && unload
		return
	fi
	[ "$when" = after ] || load || rc=1
	works || rc=1
	if [ "$when" = before ]; then
		unload || rc=1
		stop_attach
	else
		stop_attach
		works || rc=1
		unload || rc=1
	fi
	nothing_hooked || rc=1
	return $rc
}

for func in $functions; do
	for kind in fentry fexit; do
		for when in before after; do
			result "$kind on $func, attached $when insmod" \
				with_program $when $kind "$func"
		done
	done
done

echo "# programs that this kernel has refused:${refusals:- none}"

with_bpftrace()
{
	local rc=0 pid

	load
	bpftrace -e 'kprobe:dev_map_alloc { @ = count(); }
		     kretprobe:bpf_map_meta_alloc { @r = count(); }' \
		>/tmp/bpftrace.out 2>&1 &
	pid=$!
	local i
	for ((i = 0; i < 600; i++)); do
		grep -q Attaching /tmp/bpftrace.out && break
		pause 0.1
	done
	sleep 3
	works || rc=1
	unload || rc=1
	load || rc=1
	works || rc=1
	interrupt $pid
	cat /tmp/bpftrace.out
	grep -q '@: [1-9]' /tmp/bpftrace.out || rc=1
	unload || rc=1
	return $rc
}
if command -v bpftrace >/dev/null; then
	result "bpftrace on the hooked functions" with_bpftrace
else
	skip "bpftrace on the hooked functions" "no bpftrace"
fi

load
rmdir $bpffs
finish
