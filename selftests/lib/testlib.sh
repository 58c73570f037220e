# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Shared by the tests in shell: results, by kselftest's own ktap_helpers.sh,
# which comes from Debian's linux-source like lib.mk; KSFT names another
# tools/testing/selftests. The plan comes last.
#
# A test has set $here, its own folder.

: "${KSFT:=$("$here/../scripts/lab/kernel" source 6.12)/tools/testing/selftests}"
export KSFT
# shellcheck source=/dev/null
. "$KSFT/kselftest/ktap_helpers.sh" || exit 1

# plain COMMAND... : a command of ktap_helpers.sh, which leaves names unquoted
plain()
{
	local -

	set -f
	"$@"
}

# result NAME COMMAND... : one result, by the command's success
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

# pause SECONDS : without a process, which takes longer to start than most
# pauses
exec {pause_fd}<> <(:)
pause()
{
	read -rt "$1" -u "$pause_fd" || :
}

# interrupt PID... : until it ends. bpftrace, now and then, does not hear the
# first
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

# bytes NUMBER : 32 bits as bpftool takes them
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

# allow_log REGEX : the test provokes such lines in the kernel log
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
