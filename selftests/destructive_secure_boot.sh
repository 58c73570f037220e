#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A machine with Secure Boot: UEFI firmware, shim, grub and Debian's kernel,
# each signed for the one before it, and the key of this test among the keys of
# the machine's owner (MOK), where mokutil and the firmware put a key. The
# kernel is locked down. It refuses the module without a signature, and with
# that of another key. It loads the module with a signature of the owner's key,
# and lockdown restricts nothing that the module and the command use, at either
# of its levels.
#
# machine: --secure-boot build/selftests/mok.pem
# without the module

# Functions are called by result():
# shellcheck disable=SC2317

set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/.." && pwd)
# shellcheck source=selftests/lib/testlib.sh
. "$here/lib/testlib.sh"

work=/tmp/redirmap-secure
mkdir -p $work
cd $work || exit 1
PATH=$PATH:/lib/modules/$(uname -r)/build/scripts:$top/scripts/command
mountpoint -q /sys/kernel/security || mount -t securityfs none /sys/kernel/security
if ! command -v sign-file >/dev/null || ! command -v openssl >/dev/null; then
	ktap_skip_all "no sign-file or no openssl"
	exit 4
fi
allow_log 'redirmap: loading out-of-tree module'

locked_down()
{
	local rc=0

	dmesg | grep -i 'secure boot enabled' || rc=1
	grep -F '[integrity]' /sys/kernel/security/lockdown || rc=1
	grep 'asymmetri Test of redirmap: ' /proc/keys || rc=1
	return $rc
}
result "Secure Boot: the kernel is locked down, and has the owner's key" locked_down

# refused TEXT : insmod and the log report what the documentation says
refused()
{
	local rc=0 mark=redirmap-secure-$RANDOM

	echo $mark >/dev/kmsg
	! insmod redirmap.ko claim='rm_*' >said 2>&1 || rc=1
	cat said
	grep "Key was rejected by service" said || rc=1
	dmesg | sed "0,/$mark/d" | grep "$1" || rc=1
	[ ! -d /sys/module/redirmap ] || rc=1
	return $rc
}
cp "$REDIRMAP_KO" redirmap.ko
result "the module without a signature is refused" \
	refused "Loading of unsigned module is rejected"

# signed KEY CERTIFICATE [MODULE...] : sign the module, and others; print the
# signer
signed()
{
	local key=$1 file

	cp "$REDIRMAP_KO" redirmap.ko
	openssl x509 -in "$2" -outform DER -out mok.pub || return
	shift 2
	for file in redirmap.ko "$@"; do
		sign-file sha256 "$key" mok.pub "$file" || return
	done
	modinfo -F signer redirmap.ko
}

foreign()
{
	openssl req -new -x509 -nodes -days 2 -subj "/CN=Nobody" -newkey rsa:2048 \
		-keyout nobody.key -out nobody.pem || return
	signed nobody.key nobody.pem | grep -x Nobody || return
	refused "Loading of module with unavailable key is rejected"
}
result "signed by another key, it is refused" foreign

accepted()
{
	local rc=0

	# The modules of other tests are signed as well; this machine alone sees
	# the change.
	signed "$REDIRMAP_TEST_OUTPUT/mok.key" "$REDIRMAP_TEST_OUTPUT/mok.pem" \
		"$REDIRMAP_TEST_OUTPUT/../$(uname -r)-selftests"/modules/*.ko |
		grep -x 'Test of redirmap' || rc=1
	# Frames that no device takes are lost, as those of stock maps are.
	insmod redirmap.ko claim='rm_*' packets= || rc=1
	# It does not taint the kernel as unsigned.
	! grep E /sys/module/redirmap/taint || rc=1
	return $rc
}
result "signed by the owner's key, it is loaded" accepted

works()
{
	local rc=0

	"$REDIRMAP_TEST_OUTPUT/$1" >said 2>&1 || rc=1
	cat said
	grep -q '^ok ' said || rc=1
	return $rc
}
for test in dev_map_ops dev_egress core_claim_policy; do
	result "under lockdown: $test" works $test
done

commands()
{
	local rc=0 word

	bpftool map create /sys/fs/bpf/rm_secure type devmap key 4 value 4 entries 4 \
		name rm_secure || rc=1
	for word in list drops state holders metrics; do
		redirmap $word >said 2>&1 || rc=1
		cat said
		[ $word = drops ] || [ $word = state ] || grep rm_secure said || rc=1
	done
	rm /sys/fs/bpf/rm_secure
	until [ ! -d /sys/module/redirmap ] || rmmod redirmap; do
		pause 0.1
	done
	return $rc
}
result "under lockdown: the command redirmap, and rmmod" commands

# The highest level: no tracefs and perf, and no program reads kernel memory.
# The module's probes are the kernel's own.
confidential()
{
	local rc=0

	echo confidentiality >/sys/kernel/security/lockdown
	grep -F '[confidentiality]' /sys/kernel/security/lockdown || rc=1
	! head -c 1 /sys/kernel/tracing/trace || rc=1
	insmod redirmap.ko claim='rm_*' packets= || rc=1
	return $rc
}
result "lockdown=confidentiality: insmod" confidential
for test in dev_map_ops dev_redirect_helper core_claim_policy; do
	result "lockdown=confidentiality: $test" works $test
done
result "lockdown=confidentiality: the command redirmap, and rmmod" commands
finish
