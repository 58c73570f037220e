#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# A short run of the fuzzer, always the same, and a proof that it finds
# differences: see Documentation/testing.rst. make fuzz runs longer ones.

# Functions are called by result():
# shellcheck disable=SC2317

set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=selftests/lib/testlib.sh
. "$here/lib/testlib.sh"

: "${REDIRMAP_TEST_OUTPUT:=$here/../build/selftests}"
fuzz=$REDIRMAP_TEST_OUTPUT/fuzz/fuzz

[ "$(id -u)" = 0 ] || exit 4
[ -d /sys/module/redirmap ] || exit 4

tmp=$(mktemp -d)
trap 'rm -rf "$tmp"; rmmod faulty settle 2>/dev/null' EXIT

short_round()
{
	"$fuzz" --seed 1 --ops 4000 >"$tmp/out"
	local status=$?
	cat "$tmp/out"
	[ $status = 0 ] && grep -q '; [1-9][0-9]* frames left as packets$' "$tmp/out" &&
		grep -q ' times for packets: .* [1-9][0-9]* to ingress' "$tmp/out"
}

# A documented difference serves as the fault.
finds_difference()
{
	"$fuzz" --strict exist --seed 1 --ops 6000 >"$tmp/out"
	[ $? = 1 ] || return 1
	sed -n '/^# --- reproducer/,/^# --- end/p' "$tmp/out" >"$tmp/reproducer"
	cat "$tmp/reproducer"
	# A map, and an update with BPF_EXIST.
	[ "$(grep -vc '^#' "$tmp/reproducer")" = 2 ] &&
		grep -q '^update .*flags=exist' "$tmp/reproducer"
}

replays()
{
	"$fuzz" --strict exist --replay "$tmp/reproducer"
	[ $? = 1 ] && "$fuzz" --replay "$tmp/reproducer"
}

same_seed_same_operations()
{
	"$fuzz" --seed 7 --ops 300 --verbose | sed '$d' >"$tmp/first"
	"$fuzz" --seed 7 --ops 300 --verbose | sed '$d' >"$tmp/second"
	[ "$(wc -l <"$tmp/first")" -gt 300 ] &&
		diff <(grep -v '^#' "$tmp/first") <(grep -v '^#' "$tmp/second")
}

# A stream parser that is detached goes on: see known_from_stock.rst.
echo "# allow-warning: strp_done"
result "stock and claimed maps do the same, except for documented differences" short_round
result "a difference is found and shrunk" finds_difference
result "a reproducer can be replayed" replays
result "operations follow from the seed" same_seed_same_operations
finish
