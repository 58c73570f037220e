#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The kernel's ftrace disables itself while the module is loaded. This test runs
# alone, on a machine that is discarded: ftrace stays disabled, and the module
# stays loaded.
#
# On 6.1, a BPF fentry and then a fexit program on a function with an IPMODIFY
# owner make ftrace find unexpected bytes in the kernel's text, so it disables
# itself. Unregistering the hooks then fails, so rmmod must keep text and hooks,
# and never ends. The test is skipped on kernels without that fault.

# Functions are called by result():
# shellcheck disable=SC2317,SC2086

set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=selftests/lib/testlib.sh
. "$here/lib/testlib.sh"

attach=$REDIRMAP_TEST_OUTPUT/attach
allow_log 'WARNING: CPU: .* at kernel/trace/ftrace.c'
allow_log 'Call Trace'

mkfifo /tmp/in1 /tmp/in2
"$attach" fentry dev_map_alloc </tmp/in1 >/tmp/out1 2>&1 &
exec 8>/tmp/in1
sleep 2
"$attach" fexit dev_map_alloc </tmp/in2 >/tmp/out2 2>&1 &
exec 9>/tmp/in2
sleep 2

map_is_made()
{
	bpftool map create "/sys/fs/bpf/$1" type devmap key 4 value 4 entries 4 name "$1" &&
		bpftool map update pinned "/sys/fs/bpf/$1" key 0 0 0 0 value 1 0 0 0 &&
		rm "/sys/fs/bpf/$1"
}
result "a map is made, with fentry and fexit on dev_map_alloc()" map_is_made rm_dies

# Not by grep -q, which exits before dmesg has written all lines.
if ! dmesg | grep 'WARNING: CPU: .* at kernel/trace/ftrace.c' >/dev/null; then
	exec 8>&- 9>&-
	skip "ftrace has died" "this kernel's ftrace survives fentry and fexit"
	finish
fi
result "maps are made while ftrace is dead" map_is_made rm_dead

sleep 1
rmmod redirmap &
rmmod=$!
sleep 3

stays()
{
	kill -0 $rmmod && grep -q '^redirmap ' /proc/modules &&
		dmesg | grep 'redirmap: ftrace does not release'
}
result "rmmod does not end, and says why" stays
result "maps are made after that" map_is_made rm_after
finish
