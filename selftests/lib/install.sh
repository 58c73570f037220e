# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# What the tests of make install share. $top has the sources and the module,
# $dest is the folder that is installed into, $work is the test's own.

# shellcheck disable=SC2034,SC2154

: "${release:=$(uname -r)}"

# The module is built already; what make install does with it is what is tested.
run_make()
{
	make -s -C "$top" -o modules KVER="$release" "$@"
}

below()
{
	(cd "$1" && find . ! -type d -print | sort)
}

quiet()
{
	cat "$1"
	! grep -iE 'error|fail|warning|missing|cannot|skip|ssl|sign|system\.map' "$1"
}

expected="./lib/modules/$release/updates/redirmap.ko
./usr/lib/redirmap/redirmap
$(cd "$top/scripts/command" && printf './usr/lib/redirmap/%s\n' redirmap_*.py)
./usr/sbin/redirmap
./usr/share/bash-completion/completions/redirmap
./usr/share/man/man8/redirmap.8"
