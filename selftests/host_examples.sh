#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The examples in scripts/examples: systemd and modprobe accept them, and they
# name options that the command has. No kernel is needed.

# Functions are called by result():
# shellcheck disable=SC2317

set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/.." && pwd)
PATH=$PATH:/usr/sbin:/sbin
# shellcheck source=selftests/lib/testlib.sh
. "$here/lib/testlib.sh"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
examples=$top/scripts/examples

# systemd also checks that the programs exist.
units()
{
	local rc=0

	cp "$examples"/*.service "$examples"/*.timer "$work"
	sed -i "s|/usr/sbin/redirmap|$top/scripts/command/redirmap|" "$work"/*.service
	for unit in "$work"/*.service "$work"/*.timer; do
		systemd-analyze verify --man=no "$unit" >"$work/said" 2>&1 || rc=1
		grep -F "${unit##*/}" "$work/said" && rc=1
	done
	# Such a finding is one.
	echo 'Nonsense=1' >>"$work/redirmap.service"
	systemd-analyze verify --man=no "$work/redirmap.service" 2>&1 | grep Nonsense || rc=1
	return $rc
}
if command -v systemd-analyze >/dev/null; then
	result "systemd accepts the units" units
else
	skip "systemd accepts the units" "no systemd-analyze"
fi

# The command line of the unit is that of the file.
metrics_unit()
{
	local words

	read -ra words < <(sed -n 's/^ExecStart=\/usr\/sbin\/redirmap //p' \
		"$examples/redirmap-metrics.service")
	words[-1]=$work/redirmap.prom
	"$top/scripts/command/redirmap" "${words[@]}" && grep '^redirmap_loaded ' "$work/redirmap.prom"
}
result "the command takes the options of redirmap-metrics.service" metrics_unit

modprobe_conf()
{
	local rc=0

	mkdir -p "$work/modprobe.d"
	cp "$examples/modprobe.conf" "$work/modprobe.d"
	modprobe -C "$work/modprobe.d" -c | grep -x 'options redirmap claim=fwd_\*,lb_ports' || rc=1
	# One line, the module's name.
	[ "$(grep -v '^#' "$examples/modules-load.conf")" = redirmap ] || rc=1
	return $rc
}
result "modprobe reads the policy" modprobe_conf

# The two policies are one.
policies()
{
	diff <(sed -n 's/^options redirmap claim=//p' "$examples/modprobe.conf") \
		<(sed -n 's/^Environment=CLAIM=//p' "$examples/redirmap.service")
}
result "the unit expects the same policy" policies
finish
