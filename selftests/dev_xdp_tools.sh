#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# xdp-tools, as Debian packages it, on stock and on claimed maps: xdp-loader
# with a program of ours, xdp-monitor, which runs for the whole test, and
# xdp-bench, which makes maps of its own; their names are put into the parameter
# "claim", and taken out again.
#
# xdp-monitor and xdp-bench print counts divided by the time since their last
# output, by their own clock, which is not exactly a second on a busy machine.
# So the traffic is repeated until they print the expected number: see
# as_printed().

# Functions are called by result(): shellcheck does not see that.
# shellcheck disable=SC2317,SC2086

set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=selftests/lib/testlib.sh
. "$here/lib/testlib.sh"
# shellcheck source=selftests/lib/tools.sh
. "$here/lib/tools.sh"
in_a_net "$@"

# --- output of tools per second -------------------------------------------

# lines FILE : number of lines with totals
lines()
{
	grep -cE '^(Summary|in0->out1) ' "$1"
}

more_lines()
{
	[ "$(lines "$1")" -gt $2 ]
}

# The sum of the numbers in the lines of totals after the first N, and the lines
# below that name errors: printed_since FILE N
printed_since()
{
	awk -v skip=$2 '
		/^(Summary|in0->out1) / {
			if (++n > skip)
				for (i = 2; i <= NF; i += 2)
					sum[i] += $i
			fields = NF
		}
		/^    E/ && n > skip { errors = errors " " $1 " " $2 }
		END {
			for (i = 2; i <= fields; i += 2)
				line = line sum[i] " "
			print line errors
		}' "$1"
}

# as_printed FILE TEXT COMMAND... : repeat the command until the tool prints
# that
as_printed()
{
	local file=$1 want=$2 try n said

	for ((try = 0; try < 20; try++)); do
		n=$(lines "$file")
		"${@:3}" || return
		wait_until more_lines "$file" "$(lines "$file")" || return
		said=$(printed_since "$file" $n)
		echo "$said"
		[ "$said" = "$want" ] && return
	done
	return 1
}

send_down()
{
	ip link set out1 down
	send packet 20
	ip link set out1 up
}

# --- xdp-loader -----------------------------------------------------------

loaded()
{
	load $mode to_$map || return
	xdp-loader status in0
	xdp-loader status in0 | grep -qE " => +50 +to_$map "
}

reached()
{
	entry $map 1 out1
	forget_received
	send xdp 32 && send packet 3 && arrived peer1 35
}

short_frames_pass()
{
	"$REDIRMAP_TEST_OUTPUT/egress_entry" $map 1 out1 || return
	forget_received
	send packet 10 300 && send packet 4 60 && arrived peer1 4
}

entry_tells_program()
{
	local id ifindex value

	id=$(bpftool -j prog show name short_only | jq .id)
	ifindex=$(ip -o link show out1)
	value=$(bpftool -j map lookup name $map key 1 0 0 0 |
		jq -r '.value | map(ltrimstr("0x")) | reverse | join("")')
	echo "program $id, value 0x$value"
	[ "$value" = "$(printf '%08x%08x' $id ${ifindex%%:*})" ]
}

unloaded()
{
	unload || return
	wait_until refs_are 0
	! bpftool prog show name short_only
}

# --- xdp-monitor ----------------------------------------------------------

# In native XDP the tool sees frames on their way to in1 as well.
monitored()
{
	entry $map 1 out1
	if [ $mode = native ]; then
		as_printed "$tmp/monitor" "128 0 128 " send xdp 64
	else
		as_printed "$tmp/monitor" "128 0 64 " send xdp 64
	fi
}

monitored_down()
{
	entry $map 1 out1
	as_printed "$tmp/monitor" "0 20 0  ENETDOWN 20" send_down
}

# A broadcast through a claimed map also shows the flush of its group.
monitored_broadcast()
{
	local xmit n

	load $mode all_$map || return
	for n in 1 2 3; do
		entry $map $n out$n
	done
	case $mode.$map in
	native.st_*) xmit=$((64 + 3 * 64)) ;;
	native.rm_*) xmit=$((64 + 3 * 64 + 64)) ;;
	*) xmit=64 ;;
	esac
	as_printed "$tmp/monitor" "128 0 $xmit " send xdp 64
}

stdbuf -oL xdp-monitor -s -i 1 >"$tmp/monitor" &
monitor=$!
wait_until more_lines "$tmp/monitor" 0

for mode in native skb; do
	for map in st_array rm_array st_hash rm_hash; do
		name="$mode $map"
		result "$name: xdp-loader loads it" loaded
		result "$name: it redirects" reached
		result "$name: an egress program of the same object" short_frames_pass
		result "$name: its id is printed" entry_tells_program
		result "$name: xdp-monitor counts" monitored
		result "$name: xdp-monitor counts errors" monitored_down
		result "$name: xdp-loader unloads it" unloaded
		result "$name: xdp-monitor counts broadcasts" monitored_broadcast
		unload
	done
done
kill -INT $monitor
wait $monitor

# --- xdp-bench ------------------------------------------------------------

# The number of runs of xdp-bench's egress programs.
egress_runs()
{
	bpftool -j prog show |
		jq '[.[] | select(.name // "" | test("^xdp_(redirect_de|devmap)")) | .run_cnt // 0] | add // 0'
}

# 64 frames to in0, which go to all targets, through egress programs if there
# are any.
send_to_all()
{
	local dev runs

	runs=$(egress_runs)
	forget_received
	send packet 64
	for dev in $targets; do
		arrived $dev 64 || return
	done
	[ -z "$egress" ] || runs=$((runs + 64 * $(wc -w <<<"$targets")))
	echo "egress programs: $(egress_runs) runs, wanted $runs"
	[ "$(egress_runs)" = $runs ]
}

# bench PRINTED ARGUMENT... : of xdp-bench
bench()
{
	local pid status=1

	wait_until refs_are 0 || return
	stdbuf -oL xdp-bench "${@:2}" >"$tmp/bench" &
	pid=$!
	if wait_until more_lines "$tmp/bench" 0 && refs_are $refs; then
		as_printed "$tmp/bench" "$1" send_to_all
		status=$?
	fi
	kill -INT $pid
	wait $pid
	return $status
}

bench_map()
{
	targets=peer1
	if [ $mode = native ]; then
		bench "64 64 0 64 " redirect-map -m native -s -i 1 $egress in0 out1
	else
		bench "64 64 0 " redirect-map -m skb -s -i 1 $egress in0 out1
	fi
}

bench_multi()
{
	targets="peer1 peer2 peer3"
	if [ $mode = native ]; then
		bench "64 64 0 192 " redirect-multi -m native -s -i 1 $egress in0 out1 out2 out3
	else
		bench "64 64 0 " redirect-multi -m skb -s -i 1 $egress in0 out1 out2 out3
	fi
}

claim=/sys/module/redirmap/parameters/claim
restore=$(cat $claim)
sysctl -q kernel.bpf_stats_enabled=1
for mode in native skb; do
	for refs in 0 1; do
		# the names of its maps
		if [ $refs = 1 ]; then
			echo 'tx_port_*,forward_map_*' >$claim
			name="$mode claimed"
		else
			name="$mode stock"
		fi
		for egress in "" -X; do
			result "$name: xdp-bench redirect-map $egress" bench_map
			result "$name: xdp-bench redirect-multi $egress" bench_multi
		done
		echo "$restore" >$claim
	done
done
sysctl -q kernel.bpf_stats_enabled=0
finish
