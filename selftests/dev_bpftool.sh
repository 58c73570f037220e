#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# bpftool map, on a stock and on a claimed map: every command has the same
# output, status and errors, as text and as JSON. Names and ids are removed from
# the output and, intended, memlock and the order of keys in a hash.

# Functions are called by result():
# shellcheck disable=SC2317,SC2086

set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=selftests/lib/testlib.sh
. "$here/lib/testlib.sh"

: "${REDIRMAP_TEST_OUTPUT:=$here/../build/selftests}"
bpffs=/sys/fs/bpf/redirmap-bpftool
devs="bt0 bt1"
kinds="st rm"

[ "$(id -u)" = 0 ] || exit 4
[ -d /sys/module/redirmap ] || exit 4

cleanup()
{
	local dev

	rm -rf $bpffs
	for dev in $devs; do
		ip link del "$dev" 2>/dev/null
	done
}
trap cleanup EXIT
cleanup
mkdir -p $bpffs
for dev in $devs; do
	ip link add "$dev" type dummy || exit 1
done

refs()
{
	cat /sys/module/redirmap/refcnt
}

# refs_become N: waits, because maps are freed some time after their last user
refs_become()
{
	local i

	for ((i = 0; i < 500; i++)); do
		[ "$(refs)" = "$1" ] && return
		pause 0.01
	done
	return 1
}

# The ids of the two maps.
declare -A ids=([st]=none [rm]=none)
find_ids()
{
	local kind

	for kind in $kinds; do
		ids[$kind]=$(bpftool -j map show pinned $bpffs/$kind | jq .id) || return
	done
	[ "${ids[st]}" != "${ids[rm]}" ]
}

# run KIND COMMAND...: bpftool with PIN, ID, NAME replaced; $said is the output,
# without name and id, and with entries in the order of keys
said=
run()
{
	local kind=$1 args=() arg status

	shift
	for arg in "$@"; do
		arg=${arg//PIN/$bpffs\/$kind}
		arg=${arg//NAME/${kind}_map}
		args+=("${arg//ID/${ids[$kind]}}")
	done
	said=$(bpftool "${args[@]}" 2>&1)
	status=$?
	said=${said//${kind}_map/NAME}
	said=${said//$bpffs\/$kind/PIN}
	said=${said/#${ids[$kind]}: /ID: }
	said=${said/\"id\":${ids[$kind]},/\"id\":ID,}
	said=${said/\"id\": ${ids[$kind]},/\"id\": ID,}
	if [[ $said =~ memlock[^0-9]*[0-9]+ ]]; then
		said=${said/"${BASH_REMATCH[0]}"/memlock}
	fi
	if [[ "$*" == *" dump "* ]]; then
		said=${said//\},\{/$'\n'}
		said=$(tr -d '[]{}' <<<"$said" | sort)
	fi
	said="status $status"$'\n'$said
}

# same WORDS COMMAND...: both outputs are equal, and contain the words
same()
{
	local want=$1 stock

	shift
	run st "$@"
	stock=$said
	run rm "$@"
	echo "bpftool $*"$'\n'"$said"
	if [[ $said != "$stock" ]]; then
		echo "while stock:"$'\n'"$stock"
		return 1
	fi
	[[ $said == *"$want"* ]]
}

# expect WORDS COMMAND...: one result
expect()
{
	result "$type: ${*:2}" same "$@"
}

# good COMMAND...: as text and as JSON
good()
{
	expect "status 0" "$@"
	expect "status 0" -j "$@"
}

# bad WORDS COMMAND...: an error has the same words in JSON
bad()
{
	expect "$@"
}

only_claimed()
{
	[ "$(refs)" = $((base + 1)) ]
}

# The process has ended with the command: only the pin keeps the map and its
# content.
pins_keep()
{
	local number=${ids[rm]}

	bpftool map pin id "$number" $bpffs/second &&
		rm $bpffs/rm &&
		only_claimed &&
		[ "$(bpftool -j map show pinned $bpffs/second | jq .id)" = "$number" ] &&
		bpftool -j map lookup pinned $bpffs/second key 2 0 0 0 | jq -e .value &&
		mv $bpffs/second $bpffs/rm
}

# Programs list the maps that they use, and keep them.
program_keeps()
{
	local kind number

	for kind in $kinds; do
		number=${ids[$kind]}
		bpftool prog loadall "$REDIRMAP_TEST_OUTPUT/redirect.bpf.o" $bpffs/progs \
			map name targets pinned $bpffs/$kind || return
		bpftool -j prog show pinned $bpffs/progs/redirect |
			jq -e ".map_ids | index($number) != null" || return
		rm $bpffs/$kind
		bpftool map show id "$number" || return
		bpftool map pin id "$number" $bpffs/$kind || return
		rm -r $bpffs/progs
	done
}

# listed KIND: it is in the list of all maps
listed()
{
	bpftool -j map show | jq -e ".[] | select(.name == \"${1}_map\" and .type == \"$type\")"
}

gone()
{
	ids=([st]=none [rm]=none)
	rm $bpffs/st $bpffs/rm && refs_become "$base"
}

base=$(refs)
key="key 1 0 0 0"
t0="value $(bytes "$(cat /sys/class/net/bt0/ifindex)")"
t1="value $(bytes "$(cat /sys/class/net/bt1/ifindex)")"
none="value 64 66 15 0"

for type in devmap devmap_hash; do
	create="map create PIN type $type key 4 value 4 entries 4 name NAME"

	bad "Invalid argument" ${create/key 4/key 8}
	bad "Invalid argument" ${create/value 4/value 5}
	bad "Invalid argument" ${create/entries 4/entries 0}
	bad "Invalid argument" $create flags 1
	result "$type: no reference is left" refs_become "$base"
	expect "status 0" $create
	result "$type: one of two is claimed" only_claimed
	result "$type: both are found" find_ids
	bad "File exists" $create

	good map show pinned PIN
	good map show id ID
	good map show name NAME
	expect "\"type\": \"$type\"" -p map show pinned PIN
	for kind in $kinds; do
		result "$type: the $kind map is listed" listed $kind
	done
	good map dump pinned PIN

	expect "status 0" map update pinned PIN $key $t0
	expect "status 0" -j map update pinned PIN $key $t1 exist
	expect "status 0" map update pinned PIN key hex 02 00 00 00 $t0 any
	if [ $type = devmap ]; then
		bad "File exists" map update pinned PIN key 3 0 0 0 $t0 noexist
		bad "Argument list too long" map update pinned PIN key 4 0 0 0 $t0
	else
		expect "status 0" map update pinned PIN key 3 0 0 0 $t0 noexist
		expect "status 0" map delete pinned PIN key 3 0 0 0
	fi
	bad "File exists" map update pinned PIN $key $t0 noexist
	bad "Invalid argument" map update pinned PIN $key $none
	bad "expected 4 bytes" map update pinned PIN $key value 1 2 3
	bad "error parsing byte" map update pinned PIN key 1 2 3 $t0

	good map lookup pinned PIN $key
	good map lookup id ID key 2 0 0 0
	expect "status" map lookup pinned PIN key 3 0 0 0
	expect "status" -j map lookup pinned PIN key 3 0 0 0
	expect "status" -j map lookup pinned PIN key 255 255 255 255
	good map dump pinned PIN
	good map dump name NAME

	# One of two keys is followed by the other; the order may differ.
	if [ $type = devmap ]; then
		good map getnext pinned PIN
		good map getnext pinned PIN $key
		good map getnext pinned PIN key 9 0 0 0
		bad "No such file" map getnext pinned PIN key 3 0 0 0
		bad "No such file" -j map getnext pinned PIN key 3 0 0 0
	fi

	result "$type: pins keep a map" pins_keep
	result "$type: programs keep a map" program_keeps
	bad "File exists" map pin id ID PIN

	expect "status 0" map delete pinned PIN $key
	expect "status 0" -j map delete pinned PIN key 2 0 0 0
	if [ $type = devmap ]; then
		expect "status 0" map delete pinned PIN $key
		bad "Invalid argument" map delete pinned PIN key 4 0 0 0
	else
		bad "No such file" map delete pinned PIN $key
		bad "No such file" map getnext pinned PIN
		expect "status 0" map update pinned PIN $key $t0
		bad "No such file" map getnext pinned PIN $key
		good map getnext pinned PIN
	fi

	# Commands that device maps do not support.
	bad "rror" map peek pinned PIN
	bad "rror" map pop pinned PIN
	bad "rror" map push pinned PIN $t0
	bad "rror" map enqueue pinned PIN $t0
	bad "rror" map dequeue pinned PIN
	bad "rror" map event_pipe pinned PIN

	expect "status 0" map update pinned PIN $key $t0
	expect "status 0" map freeze pinned PIN
	good map show pinned PIN
	good map dump pinned PIN
	bad "not permitted" map update pinned PIN $key $t1
	bad "not permitted" map delete pinned PIN $key
	# EBUSY, or EPERM on newer kernels
	bad "failed to freeze map" map freeze pinned PIN
	result "$type: both are freed" gone

	# Values of 8 bytes: ifindex, and no program.
	expect "status 0" ${create/value 4/value 8}
	result "$type: both are found, with values of 8 bytes" find_ids
	expect "status 0" map update pinned PIN $key $t0 0 0 0 0
	bad "Invalid argument" map update pinned PIN $key $t0 255 255 255 0
	good map lookup pinned PIN $key
	good map dump pinned PIN
	result "$type: both are freed, with values of 8 bytes" gone
done

finish
