# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# TAP for the tests in shell; the plan comes last.

tap_nr=0
tap_bad=0

# result NAME COMMAND... : one result, by the command's success
result()
{
	local name=$1

	shift
	tap_nr=$((tap_nr + 1))
	if "$@" >/tmp/tap.out 2>&1; then
		echo "ok $tap_nr $name"
	else
		echo "not ok $tap_nr $name"
		sed 's/^/#   /' /tmp/tap.out
		tap_bad=$((tap_bad + 1))
	fi
}

# interrupt PID... : until it ends. bpftrace, now and then, does not hear the first
interrupt()
{
	local pid

	for pid; do
		while kill -INT "$pid" 2>/dev/null; do
			sleep 1
		done
		wait "$pid"
	done
}

# bytes NUMBER : 32 bits as bpftool takes them
bytes()
{
	printf '%d %d %d %d' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255))
}

# skip NAME WHY
skip()
{
	tap_nr=$((tap_nr + 1))
	echo "ok $tap_nr $1 # SKIP $2"
}

# allow_log REGEX : the test provokes such lines in the kernel log
allow_log()
{
	echo "# allow-log: $1"
}

finish()
{
	echo "1..$tap_nr"
	[ "$tap_bad" = 0 ]
	exit
}
