#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Two and three hosts in network namespaces that reach each other by XDP
# redirects only: ping and TCP, native and generic, arrays and hashes, stock and
# claimed.

# Functions are called by result():
# shellcheck disable=SC2317,SC2086,SC2046

set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=selftests/lib/testlib.sh
. "$here/lib/testlib.sh"

: "${REDIRMAP_TEST_OUTPUT:=$here/../build/selftests}"
pin=/sys/fs/bpf/redirmap-hosts
hosts="1 2 3"
bytes=$(longer 300000 2000000)

[ "$(id -u)" = 0 ] || exit 4
[ -d /sys/module/redirmap ] || exit 4

cleanup()
{
	local n

	for n in $hosts; do
		ip netns del "rmhost$n" 2>/dev/null
		ip link del "rmport$n" 2>/dev/null
	done
	rm -rf $pin
}
trap cleanup EXIT
cleanup

in_host()
{
	local n=$1

	shift
	nsenter --net="/run/netns/rmhost$n" "$@"
}

for n in $hosts; do
	ip netns add "rmhost$n"
	ip link add "rmport$n" type veth peer name eth0 netns "rmhost$n"
	ip -n "rmhost$n" addr add "10.9.0.$n/24" dev eth0
	ip -n "rmhost$n" link set lo up
	ip -n "rmhost$n" link set eth0 up
	ip link set "rmport$n" up
	# No device completes checksums on the way.
	in_host $n ethtool -K eth0 tx off >/dev/null
	ethtool -K "rmport$n" tx off >/dev/null
done
mkdir -p $pin/progs $pin/maps
refs=$(cat /sys/module/redirmap/refcnt)
bpftool prog loadall "$REDIRMAP_TEST_OUTPUT/hosts.bpf.o" $pin/progs pinmaps $pin/maps
for n in $hosts; do
	in_host $n bpftool net attach xdpdrv pinned $pin/progs/at_host dev eth0
done

two_maps_are_claimed()
{
	[ "$(cat /sys/module/redirmap/refcnt)" = $((refs + 2)) ]
}
result "two of the four maps are claimed" two_maps_are_claimed

entry()
{
	bpftool map update pinned $pin/maps/$1 key $2 0 0 0 \
		value $(bytes "$(cat /sys/class/net/rmport$2/ifindex)")
}

listens()
{
	in_host $1 ss -Hltn 'sport = :7000' | grep -q .
}

# A file in each direction, compared by its checksum.
tcp()
{
	local from=$1 to=$2 want got i

	head -c $bytes /dev/urandom >/tmp/hosts.in
	want=$(sha256sum </tmp/hosts.in)
	in_host $to timeout 300 nc -l -p 7000 >/tmp/hosts.out &
	for ((i = 0; i < 600; i++)); do
		listens $to && break
		pause 0.1
	done
	in_host $from timeout 300 nc -N 10.9.0.$to 7000 </tmp/hosts.in
	wait
	got=$(sha256sum </tmp/hosts.out)
	[ "$want" = "$got" ]
}

two_hosts()
{
	in_host 1 ping -q -c 5 -i 0.01 -w 10 10.9.0.2 && tcp 1 2 && tcp 2 1
}

three_hosts()
{
	local a b

	for a in $hosts; do
		for b in $hosts; do
			[ $a = $b ] && continue
			in_host $a ping -q -c 2 -i 0.01 -w 10 10.9.0.$b || return 1
		done
	done
	tcp 1 2 && tcp 2 3 && tcp 3 1
}

# A host continues to ask for an address after ping(8) has ended. The answer for
# the next one must not meet that request, or the state that it leaves.
nobody_home()
{
	! in_host 1 ping -q -c 1 -W 1 10.9.0.3 &&
		in_host 1 ip neigh flush to 10.9.0.3 nud all
}

for mode in xdpdrv xdpgeneric; do
	for map in st_array rm_array st_hash rm_hash; do
		for n in $hosts; do
			in_host $n ip neigh flush dev eth0
			bpftool net attach $mode pinned $pin/progs/to_$map dev rmport$n
		done
		entry $map 1
		entry $map 2
		result "$mode $map: two hosts, ping and TCP" two_hosts
		result "$mode $map: a host without an entry is not reached" nobody_home
		entry $map 3
		result "$mode $map: three hosts, ping and TCP" three_hosts
		for n in $hosts; do
			bpftool map delete pinned $pin/maps/$map key $n 0 0 0
			bpftool net detach $mode dev rmport$n
		done
	done
done
finish
