#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A kernel that enforces module signatures (module.sig_enforce=1): it refuses
# the module without a signature, and with the signature of an unknown key, with
# the words that the documentation has; and so does a kernel that is locked down
# without Secure Boot. The kernel cannot go back, so this test has a machine of
# its own. destructive_secure_boot.sh has a key that the kernel accepts.

# Functions are called by result():
# shellcheck disable=SC2317

set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=selftests/lib/testlib.sh
. "$here/lib/testlib.sh"

work=/tmp/redirmap-sign
mkdir -p $work
cd $work || exit 1
PATH=$PATH:/lib/modules/$(uname -r)/build/scripts
enforce=/sys/module/module/parameters/sig_enforce
if [ ! -e $enforce ] || ! command -v sign-file >/dev/null || ! command -v openssl >/dev/null; then
	ktap_skip_all "no $enforce, no sign-file or no openssl"
	exit 4
fi
rmmod redirmap
allow_log 'redirmap: (module verification failed|loading out-of-tree module)'

# refused TEXT [ERROR] : insmod reports this error, by default that the key was
# rejected, and the log this text
refused()
{
	local rc=0

	echo "redirmap-sign $1" >/dev/kmsg
	! insmod redirmap.ko >said 2>&1 || rc=1
	cat said
	grep "${2:-Key was rejected by service}" said || rc=1
	dmesg | sed "0,/redirmap-sign $1/d" | grep "$1" || rc=1
	[ ! -d /sys/module/redirmap ] || rc=1
	return $rc
}

not_enforced()
{
	local rc=0

	cp "$REDIRMAP_KO" redirmap.ko || rc=1
	insmod redirmap.ko claim='rm_*' || rc=1
	rmmod redirmap || rc=1
	return $rc
}
result "a stock kernel loads the module without a signature" not_enforced

# The options for the key are those of DKMS.
signed()
{
	local rc=0

	openssl req -new -x509 -nodes -days 36500 -subj "/CN=Test of redirmap" -newkey rsa:2048 \
		-keyout mok.key -outform DER -out mok.pub || rc=1
	sign-file sha256 mok.key mok.pub redirmap.ko || rc=1
	modinfo -F signer redirmap.ko | grep -x "Test of redirmap" || rc=1
	# The signature does not prevent the load where none is needed.
	insmod redirmap.ko claim='rm_*' || rc=1
	rmmod redirmap || rc=1
	cp redirmap.ko signed.ko
	return $rc
}
result "sign-file signs the module" signed

mountpoint -q /sys/kernel/security || mount -t securityfs none /sys/kernel/security
echo integrity >/sys/kernel/security/lockdown
cp "$REDIRMAP_KO" redirmap.ko
result "lockdown=integrity: without a signature" \
	refused "insmod: unsigned module loading is restricted" "Operation not permitted"

echo 1 >$enforce
cp "$REDIRMAP_KO" redirmap.ko
result "sig_enforce=1: without a signature" \
	refused "Loading of unsigned module is rejected"
cp signed.ko redirmap.ko
result "sig_enforce=1: signed by an unknown key" \
	refused "Loading of module with unavailable key is rejected"

others()
{
	modprobe dummy && rmmod dummy
}
result "sig_enforce=1: the kernel's own modules are loaded" others
finish
