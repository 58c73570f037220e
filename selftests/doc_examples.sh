#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The examples of the documentation work as described. The Makefile has
# extracted them and built them with the commands in the documentation. This
# test runs the other commands, with claimed and with stock maps, between hosts
# in namespaces: hostN, 10.9.0.N, is behind portN.

# Functions are called by result(): shellcheck does not see that.
# shellcheck disable=SC2317,SC2086,SC2016

set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=selftests/lib/testlib.sh
. "$here/lib/testlib.sh"
# shellcheck source=selftests/lib/tools.sh
. "$here/lib/tools.sh"

[ "$(id -u)" = 0 ] && [ -d /sys/module/redirmap ] || exit 4
claim=/sys/module/redirmap/parameters/claim
restore=$(cat $claim)
tmp=$(mktemp -d)

cleanup()
{
	local n

	for n in 1 2 3; do
		ip netns del host$n 2>/dev/null
		ip link del port$n 2>/dev/null
	done
	rm -rf "$tmp" /sys/fs/bpf/hub /sys/fs/bpf/hub-maps /sys/fs/bpf/many
}
trap cleanup EXIT

in_host()
{
	nsenter --net=/run/netns/host$1 "${@:2}"
}

for n in 1 2 3; do
	ip netns add host$n
	in_host $n sysctl -qw net.ipv6.conf.default.disable_ipv6=1
	ip link add port$n type veth peer name eth0 netns host$n address 02:00:00:00:00:0$n
	sysctl -qw net.ipv6.conf.port$n.disable_ipv6=1
	in_host $n ip addr add 10.9.0.$n/24 dev eth0
	in_host $n ip link set eth0 up
	in_host $n ethtool -K eth0 gro on
	ip link set port$n up
	# No frames except those of ping.
	for m in 1 2 3; do
		[ $m = $n ] || in_host $n ip neigh add 10.9.0.$m lladdr 02:00:00:00:00:0$m dev eth0
	done
done
cp -r "$REDIRMAP_TEST_OUTPUT/examples" "$tmp"
cd "$tmp/examples" || exit 1

# --- behaviour of the examples --------------------------------------------

# pings FROM TO : 3 frames in each direction; see $answer
pings()
{
	in_host $1 ping -q -n -c 3 -i 0.01 -W 2 10.9.0.$2 >"$tmp/ping"
	answer=$?
	cat "$tmp/ping"
	return $answer
}

forget_hosts()
{
	local n

	for n in 1 2 3; do
		came[n]=$(frames $n)
	done
}

frames()
{
	in_host $1 awk '$1 == "eth0:" { print $3 }' /proc/net/dev
}

# seen HOST N : N frames since forget_hosts
seen()
{
	local now

	now=$(frames $1)
	echo "host$1 has got $((now - came[$1])) frames"
	[ $((now - came[$1])) = $2 ]
}

start_hub()
{
	wait_until refs_are 0 || return
	sed "s/xdpdrv/$mode/" hub-start.sh | bash -e >"$tmp/hub" || return
	cat "$tmp/hub"
	wait_until refs_are $claimed && [ "$(grep -c '^key: .* value: .. .. 00 00$' "$tmp/hub")" = 3 ]
}

# Every host gets all frames except its own.
hub()
{
	declare -a came

	forget_hosts
	pings 1 2 && seen 1 3 && seen 2 3 && seen 3 6 || return
	forget_hosts
	pings 3 1 && seen 1 3 && seen 2 6 && seen 3 3
}

stop_hub()
{
	sed "s/xdpdrv/$mode/" hub-stop.sh | bash -e && wait_until refs_are 0
}

says_where()
{
	[ "$(wc -l <"$tmp/wire")" = 2 ]
}

start_wire()
{
	wait_until refs_are 0 || return
	mkfifo "$tmp/enter"
	bash -e wire-start.sh <"$tmp/enter" >"$tmp/wire" &
	wire=$!
	exec 3>"$tmp/enter"
	rm "$tmp/enter"
	wait_until says_where || return
	cat "$tmp/wire"
	wait_until refs_are $claimed &&
		grep -qE '^port1 leads to port2, program [1-9][0-9]*$' "$tmp/wire" &&
		grep -qE '^port2 leads to port1, program [1-9][0-9]*$' "$tmp/wire"
}

wire()
{
	# Frames for host 3 arrive at host 2.
	pings 1 2 && pings 2 1 && ! pings 1 3
}

# stop_wire N N : numbers of frames that the ports have sent
stop_wire()
{
	echo >&3
	exec 3>&-
	wait $wire || return
	cat "$tmp/wire"
	tail -n 2 "$tmp/wire" | diff -u - <(
		echo "port1 has sent $1 frames"
		echo "port2 has sent $2 frames"
	)
}

wire_without_device()
{
	! ./wire port1 nosuch 2>"$tmp/wire"
	diff "$tmp/wire" <(echo "wire: nosuch: Invalid argument")
}

# 256 keys, each of which leads to port1; stock maps have no batches.
batch()
{
	local status=0

	bash -e batch-start.sh >"$tmp/batch" 2>&1 || status=$?
	rm -f /sys/fs/bpf/many
	sort -n "$tmp/batch" >"$tmp/said"
	if [ $claimed = 1 ]; then
		seq 0 255 | sed "s/$/ leads to $(cat /sys/class/net/port1/ifindex)/"
	else
		echo "batch: Unknown error 524"
	fi | diff -u - "$tmp/said" && [ $status = $((!claimed)) ]
}

# The tour: claimed, for redirmap counts its frames.
tour()
{
	local rc=0

	bash -e tour-start.sh >"$tmp/tour" || rc=1
	cat "$tmp/tour"
	grep -q ' 3 received' "$tmp/tour" || rc=1
	grep -q tour_ports "$tmp/tour" || rc=1
	# Three requests; ARP comes on top.
	awk '$2 == "tour2" && $6 + 0 >= 3 { n = 1 } END { exit !n }' "$tmp/tour" || rc=1
	bash -e tour-loss.sh >"$tmp/tour" || rc=1
	cat "$tmp/tour"
	grep -q '^tour2 lost .* The device was down' "$tmp/tour" || rc=1
	bash -e tour-stop.sh || rc=1
	wait_until refs_are 0 || rc=1
	return $rc
}

# --- drops.bt -------------------------------------------------------------

bpftrace_is_ready()
{
	[ "$(bpftool perf show | grep -c "^pid $1 ")" = 3 ]
}

# Three ways to lose three frames each: those of the table in redirect.rst.
drops()
{
	local pid port1 port2 no_gro

	bpftrace drops.bt >"$tmp/drops" &
	pid=$!
	wait_until bpftrace_is_ready $pid || return

	ip link set port2 down
	pings 1 2
	ip link set port2 up
	ip link set port2 mtu 1300
	in_host 1 ping -q -n -c 3 -i 0.01 -W 1 -s 1400 10.9.0.2
	ip link set port2 mtu 1500
	in_host 2 ethtool -K eth0 gro off
	pings 1 2
	in_host 2 ethtool -K eth0 gro on
	# Answers arrive.
	pings 1 2 || return

	interrupt $pid
	port1=$(cat /sys/class/net/port1/ifindex)
	port2=$(cat /sys/class/net/port2/ifindex)
	sed -n '/^@/p' "$tmp/drops" | sort >"$tmp/said"
	cat "$tmp/said"
	# 6.12 knows before the egress program runs; on 6.1 that program counts
	# them.
	if grep -q "refused.* 95" "$tmp/said"; then
		counted=3
		no_gro="@refused[$port1, $port2, 95]: 3"
	else
		counted=6
		no_gro="@not_sent[$port2, 6]: 3"
	fi
	printf '%s\n' "$no_gro" "@refused[$port1, $port2, 100]: 3" \
		"@refused[$port1, $port2, 90]: 3" | sort | diff -u - "$tmp/said"
}

# --------------------------------------------------------------------------

result "they build without a warning" test -e built -a ! -s warnings
counted=
for claimed in 0 1; do
	if [ $claimed = 1 ]; then
		echo 'ports,other_end,many' >$claim
		name=claimed
	else
		name=stock
	fi
	for mode in xdpdrv xdpgeneric; do
		result "$name, $mode: a hub is set up by bpftool" start_hub
		result "$name, $mode: it is a hub" hub
		result "$name, $mode: the hub is stopped" stop_hub
	done
	result "$name: batches" batch
	result "$name: the wire is set up" start_wire
	result "$name: it is a wire" wire
	result "$name: it counts" stop_wire 6 9
	result "$name: a missing device" wire_without_device
	result "$name: again" start_wire
	result "$name: drops are explained" drops
	result "$name: it has counted the frames that got so far" stop_wire 3 $counted
	echo "$restore" >$claim
done
echo 'tour_*' >$claim
PATH=$here/../scripts/command:$PATH
result "the tour: from a program to a frame that is counted, and one that is lost" tour
echo "$restore" >$claim
finish
