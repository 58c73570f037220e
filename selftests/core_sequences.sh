#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Random sequences of system calls, always the same, and what comes back
# afterwards: see "Sequences" in Documentation/testing.rst. make soak runs
# longer ones. The sequences have to reach functions of the module that
# selftests/seq/reach.c names, so they cannot pass without effect.

# Functions are called by result():
# shellcheck disable=SC2317

set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=selftests/lib/testlib.sh
. "$here/lib/testlib.sh"

: "${REDIRMAP_TEST_OUTPUT:=$here/../build/selftests}"
seq=$REDIRMAP_TEST_OUTPUT/seq/seq
args=(--seed "${REDIRMAP_SOAK_SEED:-1}" --first "${REDIRMAP_SOAK_FIRST:-0}")
[ -z "${REDIRMAP_SOAK_VERBOSE-}" ] || args+=(--verbose)

[ "$(id -u)" = 0 ] || exit 4
[ -d /sys/module/redirmap ] || exit 4

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"; echo 0 >/sys/kernel/rcu_expedited; rmmod faulty 2>/dev/null' EXIT

sequences()
{
	if [ "${REDIRMAP_SOAK_MINUTES:-0}" != 0 ]; then
		"$seq" "${args[@]}" --any --minutes "$REDIRMAP_SOAK_MINUTES"
	else
		"$seq" "${args[@]}" --count "$(longer 64 1000)"
	fi
}

list_of()
{
	"$seq" --seed "$1" --first 3 --count 2 --list | grep -v '^#'
}

same_seed_same_calls()
{
	list_of 7 >"$tmp/first"
	list_of 7 >"$tmp/second"
	list_of 8 >"$tmp/other"
	[ "$(wc -l <"$tmp/first")" -gt 60 ] &&
		cmp "$tmp/first" "$tmp/second" && ! cmp -s "$tmp/first" "$tmp/other"
}

# A fault of the kernel: see known_from_stock.rst.
echo "# allow-warning: inet_sock_destruct"
insmod "$REDIRMAP_TEST_OUTPUT/../$(uname -r)-selftests/modules/faulty.ko" || exit 1
# Printed as it is written; a crash would lose it otherwise.
sequences | tee "$tmp/out"
status=${PIPESTATUS[0]}
result "everything comes back, and the named functions are reached" [ "$status" = 0 ]
result "calls follow from the seed" same_seed_same_calls
result "the module for devices unloads" rmmod faulty
finish
