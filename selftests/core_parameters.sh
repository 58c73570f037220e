#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A parameter with a misspelt name: the kernel loads the module without it, so
# all maps are claimed. The log, the command, the file of the parameter and
# redirmap.service show that, as the documentation says.

# Functions are called by result():
# shellcheck disable=SC2317

set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/.." && pwd)
# shellcheck source=selftests/lib/testlib.sh
. "$here/lib/testlib.sh"

: "${REDIRMAP_KO:=$top/build/$(uname -r)/redirmap.ko}"
: "${REDIRMAP_CLAIM:=rm_*}"
[ "$(id -u)" = 0 ] || exit 4
parameters=/sys/module/redirmap/parameters
pin=/sys/fs/bpf/redirmap-parameters

# insert ARG... : load the module, and print what the kernel says about it
insert()
{
	local mark=parameters-test-$RANDOM-$RANDOM

	rmmod redirmap || return
	echo "$mark" >/dev/kmsg
	insmod "$REDIRMAP_KO" "$@" || return
	dmesg | sed "0,/$mark/d" | sed -n 's/^.*\(redirmap: \)/\1/p' >/tmp/parameters.log
	cat /tmp/parameters.log
}

# claims NAME : is a map of this name claimed?
claims()
{
	local before

	before=$(cat /sys/module/redirmap/refcnt)
	bpftool map create $pin type devmap key 4 value 4 entries 4 name "$1" || return 2
	[ "$(cat /sys/module/redirmap/refcnt)" -gt "$before" ]
	local claimed=$?
	rm $pin
	until [ "$(cat /sys/module/redirmap/refcnt)" = "$before" ]; do
		pause 0.1
	done
	return $claimed
}

# The command of redirmap.service that compares the policies.
compares()
{
	local text

	text=$(sed -n "s|^ExecStart=/bin/sh -c '\(.*\)'$|\1|p" "$top/scripts/examples/redirmap.service")
	[ -n "$text" ] || return 2
	# The line is expanded as systemd expands it.
	CLAIM=$1 sh -c "${text//\$\$/\$}"
}

spelt()
{
	local rc=0

	insert claim='rm_*' || rc=1
	! grep ignored /tmp/parameters.log || rc=1
	"$top/scripts/command/redirmap" state | grep 'claims maps named rm_\*$' || rc=1
	claims rm_one || rc=1
	claims other
	[ $? = 1 ] || rc=1
	compares 'rm_*' || rc=1
	return $rc
}
result "claim=rm_*: these maps are claimed, and no others" spelt

# misspelt NAME : as the documentation says
misspelt()
{
	local rc=0

	insert "$1=rm_*" || rc=1
	grep -x "redirmap: unknown parameter '$1' ignored" /tmp/parameters.log || rc=1
	tail -n 1 /tmp/parameters.log | grep -x 'redirmap: version [0-9.]* loaded, claim="\*"' || rc=1
	"$top/scripts/command/redirmap" state | grep 'claims all maps$' || rc=1
	[ "$(cat $parameters/claim)" = '*' ] || rc=1
	claims rm_one || rc=1
	claims other || rc=1
	compares 'rm_*'
	[ $? = 1 ] || rc=1
	return $rc
}
for name in claims clam Claim; do
	result "$name=rm_*: all maps are claimed, and that is visible" misspelt $name
done

rmmod redirmap
insmod "$REDIRMAP_KO" claim="$REDIRMAP_CLAIM"
finish
