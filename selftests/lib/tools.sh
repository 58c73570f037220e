# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Shared by the tests of tools: devices, traffic, counts of received frames. in1
# leads to in0, on which programs run, out1 to peer1, and so on. All of these
# devices accept XDP frames.
#
# Names of maps are as everywhere: rm_... is claimed, st_... is stock.

: "${REDIRMAP_TEST_OUTPUT:=$here/../build/selftests}"
object=$REDIRMAP_TEST_OUTPUT/tools.bpf.o

# in_a_net ARGUMENT... : continue in a network namespace of the test's own, with
# $tmp
in_a_net()
{
	local n ends

	[ "$(id -u)" = 0 ] && [ -d /sys/module/redirmap ] || exit 4
	[ -n "${TOOLS_IN_NET-}" ] || TOOLS_IN_NET=1 exec unshare --net "$0" "$@"
	tmp=$(mktemp -d)
	trap 'rm -rf "$tmp"' EXIT

	sysctl -qw net.ipv6.conf.{all,default}.disable_ipv6=1
	for ends in "in0 in1" "out1 peer1" "out2 peer2" "out3 peer3"; do
		read -ra ends <<<"$ends"
		ip link add "${ends[0]}" type veth peer name "${ends[1]}"
		for n in "${ends[@]}"; do
			ethtool -K "$n" gro on
			ip link set "$n" up
		done
	done
}

# wait_until COMMAND... : until the command succeeds, for a minute
wait_until()
{
	local i

	for ((i = 0; i < 3000; i++)); do
		"$@" && return
		pause 0.02
	done
	echo "waited in vain: $*"
	return 1
}

# received DEV : sets $packets; starts no process, because it is called often
received()
{
	local dev rest

	while read -r dev _ packets rest; do
		[ "$dev" = "$1:" ] && return
	done </proc/net/dev
}

received_is()
{
	received "$1"
	[ "$packets" = "$2" ]
}

# send xdp|packet N [BYTES] : and wait until in0 has processed them
send()
{
	local packets

	received in0
	"$REDIRMAP_TEST_OUTPUT/traffic" "$1" in1 "${@:2}" &&
		wait_until received_is in0 $((packets + $2))
}

declare -A before

forget_received()
{
	local dev packets

	for dev in peer1 peer2 peer3; do
		received $dev
		before[$dev]=$packets
	done
}

# arrived DEV N : N frames since forget_received
arrived()
{
	wait_until received_is "$1" $((${before[$1]} + $2))
}

# entry MAP KEY DEV
entry()
{
	local ifindex

	ifindex=$(ip -o link show "$3")
	# shellcheck disable=SC2046 # bytes are words
	bpftool map update name "$1" key "$2" 0 0 0 value $(bytes "${ifindex%%:*}") 0 0 0 0
}

refs_are()
{
	[ "$(cat /sys/module/redirmap/refcnt)" = "$1" ]
}

# load MODE PROGRAM : on in0, with a map of its own (see tools.bpf.c), which is
# claimed or stock as named. xdp-loader closes the object's other maps when it
# ends, which are freed later.
load()
{
	wait_until refs_are 0
	xdp-loader load -m "$1" -n "$2" in0 "$object" || return
	case $2 in
	*_rm_*) wait_until refs_are 1 ;;
	*) wait_until refs_are 0 ;;
	esac
}

unload()
{
	xdp-loader unload -a in0
}
