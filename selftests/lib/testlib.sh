# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Shared by the tests in shell: results, by kselftest's own ktap_helpers.sh,
# which comes from Debian's linux-source like lib.mk; KSFT names another
# tools/testing/selftests. The plan is printed last.
#
# A test has set $here, the folder of the test.

: "${KSFT:=$("$here/../scripts/lab/kernel" source)/tools/testing/selftests}"
export KSFT
# shellcheck source=/dev/null
. "$KSFT/kselftest/ktap_helpers.sh" || exit 1

# plain COMMAND... : a command of ktap_helpers.sh, which does not quote names
plain()
{
	local -

	set -f
	"$@"
}

# result NAME COMMAND... : one result, "ok" if the command succeeds
result()
{
	local name=$1

	shift
	if "$@" >/tmp/tap.out 2>&1; then
		plain ktap_test_pass "$name"
	else
		plain ktap_test_fail "$name"
		sed 's/^/#   /' /tmp/tap.out
	fi
}

# pause SECONDS : without a process, because starting one takes longer than most
# pauses
exec {pause_fd}<> <(:)
pause()
{
	read -rt "$1" -u "$pause_fd" || :
}

# interrupt PID... : until the process ends. bpftrace sometimes ignores the
# first signal
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

# longer ROUNDS MOST : rounds of random operations; MOST with LONG=1
# (scripts/lab/check)
longer()
{
	if [ "${REDIRMAP_LONG:-0}" = 0 ]; then
		echo "$1"
	else
		echo "$2"
	fi
}

# bytes NUMBER : 32 bits in the form that bpftool expects
bytes()
{
	printf '%d %d %d %d' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255))
}

# skip NAME WHY
skip()
{
	plain ktap_print_msg "$2"
	plain ktap_test_skip "$1"
}

# allow_log REGEX : the test causes such lines in the kernel log
allow_log()
{
	echo "# allow-log: $1"
}

# finish : the plan and the totals; exits
finish()
{
	ktap_set_plan $((KTAP_CNT_PASS + KTAP_CNT_FAIL + KTAP_CNT_SKIP))
	ktap_finished
}
