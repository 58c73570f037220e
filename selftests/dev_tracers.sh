#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# bpftrace and perf watch the same traffic through stock and through claimed
# maps, and report the same. bpftrace runs the two one-liners of the kernel's
# Documentation/bpf/redirect.rst. All tracers run for the whole test, because
# starting them takes long. On SIGUSR1, bpftrace prints its counts.
#
# dev_tracers.sh --traffic is the command that perf records.

# Functions are called by result(): shellcheck does not see that.
# shellcheck disable=SC2317,SC2086

set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=selftests/lib/testlib.sh
. "$here/lib/testlib.sh"
# shellcheck source=selftests/lib/tools.sh
. "$here/lib/tools.sh"

# Redirects in a run: frames that are sent to in0. 192 of them were redirected
# to in1 before, and one more marks the beginning of the run.
redirects=$((208 + 192 + 1))

# To key 1, which leads to out1: frames that the device takes, and frames that
# it refuses for each reason.
unicast()
{
	send xdp 160 &&
		send packet 5 &&
		ip link set out1 down &&
		send packet 7 &&
		ip link set out1 up &&
		ip link set out1 mtu 100 &&
		send packet 3 300 &&
		ip link set out1 mtu 1500 &&
		# In native XDP, a veth can transmit if its peer has XDP or GRO.
		ethtool -K peer1 gro off &&
		send xdp 32 &&
		ethtool -K peer1 gro on &&
		send packet 1
}

# To all three, then to two, because one is down. In generic XDP the built-in
# fails there, a claimed map does not.
broadcast()
{
	send xdp 160 && send packet 16 || return
	[ "$mode" = skb ] || ip link set out2 down
	send xdp 32
	ip link set out2 up
}

# --- the command that perf records ----------------------------------------

# on_tracepoints PID N : a process has N programs on tracepoints
on_tracepoints()
{
	[ "$(bpftool perf show | grep -c "^pid $1 ")" = "$2" ]
}

# printed FILE N PID : more than N lines are printed, and the process waits
printed()
{
	[ "$(wc -l <"$1")" -gt "$2" ] && [ "$(ps -o state= -p "$3")" = S ]
}

# counts NAME PID OUT : the counts since the last time
counts()
{
	local lines

	lines=$(wc -l <"$tmp/$1")
	kill -USR1 $2
	wait_until printed "$tmp/$1" $lines $2 || return
	sed "1,${lines}d" "$tmp/$1" | grep '^@' | sort >"$tmp/$1.now"
	# The time at which pages of frames are returned may differ.
	awk 'FILENAME == ARGV[1] { last[$1] = $2 }
		FILENAME != ARGV[1] && $2 > last[$1] && !/:mem_/ { print $1, $2 - last[$1] }' \
		"$tmp/$1.last" "$tmp/$1.now" >"$3"
	mv "$tmp/$1.now" "$tmp/$1.last"
}

# run MAP KIND
run()
{
	local out="$tmp/$mode.$1.$2"

	send xdp 1 || return
	if [ $2 = unicast ]; then
		load $mode to_$1 || return
	else
		load $mode all_$1 || return
		entry $1 2 out2
		entry $1 3 out3
	fi
	entry $1 1 out1
	echo "$out.perf $(bpftool -j map show name $1 | jq .id)" >>"$tmp/runs"
	$2 || return
	counts all $all "$out.counts" || return
	counts err $err "$out.errnos" || return
	unload
}

traffic()
{
	local tracepoints map

	trap 'interrupt $all $err' EXIT
	bpftrace -B line -e 'tracepoint:xdp:* { @cnt[probe] = count(); }' >"$tmp/all" &
	all=$!
	bpftrace -B line -e \
		'tracepoint:xdp:xdp_redirect*_err {@redir_errno[-args->err] = count();}
		tracepoint:xdp:xdp_devmap_xmit {@devmap_errno[-args->err] = count();}' >"$tmp/err" &
	err=$!
	tracepoints=(/sys/kernel/tracing/events/xdp/*/)
	wait_until on_tracepoints $all ${#tracepoints[@]} || return
	wait_until on_tracepoints $err 3 || return
	touch "$tmp/all.last" "$tmp/err.last"

	for mode in native skb; do
		for map in st_array rm_array st_hash rm_hash; do
			run $map unicast && run $map broadcast || return
		done
	done
	send xdp 1
}

if [ "${1-}" = --traffic ]; then
	traffic
	exit
fi

# --- results of the tracers -----------------------------------------------

# perf's events, a file for each run. Single XDP frames separate the runs.
split_perf()
{
	perf script -i "$tmp/perf" -F event,trace 2>/dev/null |
		sed -n 's/ prog_id=[0-9]* / /; s/^ *xdp:xdp/xdp/p' |
		awk -v runs="$tmp/runs" '
			/^xdp_devmap_xmit.* from_ifindex=1 .*sent=1 / {
				run = ""
				getline run < runs
				split(run, r)
			}
			r[1] { sub(" map_id=" r[2] " ", " map_id=OURS "); print > r[1] }'
}

# all_redirects KIND : bpftrace has counted all redirects
all_redirects()
{
	local map n

	for map in st_$type rm_$type; do
		n=$(awk '/:xdp_redirect(_err)?\]/ { n += $2 } END { print n }' \
			"$tmp/$mode.$map.$1.counts")
		echo "$map: $n redirects"
		[ "$n" = $redirects ] || return
	done
}

# same KIND TOOL : a claimed and a stock map have the same events
same()
{
	[ -s "$tmp/$mode.st_$type.$1.$2" ] &&
		diff -u "$tmp/$mode.st_$type.$1.$2" "$tmp/$mode.rm_$type.$1.$2"
}

# Events, sorted. Flushes of a device are added up, because the frames that
# share a call of the driver may differ: a port keeps one for the poll's last
# call.
sums()
{
	awk '
		!/^xdp_devmap_xmit/ { print; next }
		{
			sent = drops = 0
			for (i = 1; i <= NF; i++) {
				if (sub(/^sent=/, "", $i))
					sent = $i
				else if (sub(/^drops=/, "", $i))
					drops = $i
				else
					continue
				$i = ""
			}
			all_sent[$0] += sent
			all_drops[$0] += drops
		}
		END {
			for (what in all_sent)
				print what, "sent", all_sent[what], "drops", all_drops[what]
		}' "$@" | sort
}

# A broadcast through a claimed map has one more xdp_devmap_xmit for each flush
# of the map's group, with to_ifindex 0. The order of members differs.
#
# same_but_for N TOOL
same_but_for()
{
	local st="$tmp/$mode.st_$type.broadcast.$2" rm="$tmp/$mode.rm_$type.broadcast.$2"
	local flush='^xdp_devmap_xmit.* to_ifindex=0 '

	case $2 in
	counts | errnos)
		awk -v n=$1 '/:xdp_devmap_xmit|devmap_errno\[0\]/ { $2 += n } { print }' "$st" |
			diff -u - "$rm"
		;;
	perf)
		echo "$(grep -c "$flush" "$rm") flushes"
		[ "$(grep -c "$flush" "$rm")" = $1 ] &&
			diff -u <(sums "$st") <(grep -v "$flush" "$rm" | sums)
		;;
	esac
}

in_a_net "$@"
export tmp
result "traffic" perf record -q -B -a -e 'xdp:*' -o "$tmp/perf" -- "$0" --traffic
split_perf

for mode in native skb; do
	for type in array hash; do
		name="$mode $type unicast"
		result "$name: all frames are counted" all_redirects unicast
		result "$name: bpftrace counts the same events" same unicast counts
		result "$name: bpftrace sees the same errors" same unicast errnos
		result "$name: perf records the same" same unicast perf

		name="$mode $type broadcast"
		# One for each 16 XDP frames, and for each single packet.
		flushes=$((192 / 16 + 16))
		[ $mode = native ] || flushes=0
		result "$name: all frames are counted" all_redirects broadcast
		result "$name: bpftrace counts the same events" same_but_for $flushes counts
		result "$name: bpftrace sees the same errors" same_but_for $flushes errnos
		result "$name: perf records the same" same_but_for $flushes perf
	done
done
finish
