# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Shared by the tests of make install. $top has the sources and the module,
# $dest is the folder of the installation, $work is a folder for the test.

# shellcheck disable=SC2034,SC2154

: "${release:=$(uname -r)}"

# The module is built already, because only its installation is tested.
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
./usr/share/man/man4/redirmap.4
./usr/share/man/man8/redirmap.8"
