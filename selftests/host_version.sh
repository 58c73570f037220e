#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# One version in the module, the command and the list of changes; all that
# modinfo shows; make dist. No kernel is needed.

# Functions are called by result():
# shellcheck disable=SC2317

set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/.." && pwd)
: "${REDIRMAP_RELEASE:=$(uname -r)}"
PATH=$PATH:/usr/sbin:/sbin
# shellcheck source=selftests/lib/testlib.sh
. "$here/lib/testlib.sh"

module=$top/build/$REDIRMAP_RELEASE/redirmap.ko
for file in "$module" /usr/bin/git; do
	[ -e "$file" ] || {
		ktap_skip_all "no $file"
		exit 4
	}
done
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
version=$("$top/scripts/lab/version")

same()
{
	local rc=0

	modinfo -F version "$module" | diff - <(echo "$version") || rc=1
	"$top/scripts/command/redirmap" --version >"$work/said" || rc=1
	grep "^redirmap $version; " "$work/said" || rc=1
	# The newest section of the changes.
	grep -m 1 -E '^[0-9.]+ \((unreleased|[0-9]{4}-[0-9]{2}-[0-9]{2})\)$' \
		"$top/Documentation/changes.rst" | cut -d ' ' -f 1 | diff - <(echo "$version") ||
		rc=1
	# No second place has the number.
	grep -rnE "(VERSION|version)[^a-z]*[\"']${version}[\"']" \
		"$top"/{Kbuild,Makefile,scripts,src} | grep -v '/version.h:' | tee "$work/others"
	[ ! -s "$work/others" ] || rc=1
	return $rc
}
result "one version" same

# The fields, without those that the build adds. There is no alias: any user who
# asks for a netlink family could load the module by it.
fields_are()
{
	modinfo "$module" | sed -E '/^(filename|version|srcversion|depends|retpoline|name|vermagic|sig.*):/d' |
		sed 's/:  */: /' | sort >"$work/fields"
	diff "$work/fields" - <<-END
		author: The redirmap developers
		description: BPF redirect maps (DEVMAP, DEVMAP_HASH, SOCKMAP, SOCKHASH) as a module
		license: GPL
		parm: claim:comma-separated globs of the names of maps to claim; empty claims none (default: *) (string)
		parm: early:globs of the names of socket maps whose inserts run the verdict programs on bytes that were received before (default: none) (string)
		parm: packets:globs of the names of maps whose frames may leave as packets, where a device cannot transmit XDP frames (default: *) (string)
		parm: qdisc:globs of the names of maps whose frames always leave as packets, through the device's queueing discipline (default: none) (string)
	END
}
result "modinfo: all fields, and no alias" fields_are

is_repository()
{
	[ "$(git -C "$top" rev-parse --show-toplevel 2>/dev/null)" = "$top" ]
}

# Two tarballs are made of the same commit, in folders with different modes and
# times.
dist()
{
	local rc=0 name=redirmap-$version

	"$top/scripts/lab/dist" "$work/one" || rc=1
	git clone -q --no-hardlinks "$top" "$work/clone" || rc=1
	chmod -R go-rwx "$work/clone"
	find "$work/clone/src" -exec touch -d '2001-01-01' {} +
	(umask 077 && make -s -C "$work/clone" dist) || rc=1
	cmp "$work/one/$name.tar.gz" "$work/clone/build/dist/$name.tar.gz" || rc=1
	# All files of the commit, and no others.
	tar -tzf "$work/one/$name.tar.gz" | grep -v '/$' | sort |
		diff - <(git -C "$top" ls-tree -r --name-only HEAD | sed "s|^|$name/|" | sort) ||
		rc=1
	# Uncommitted changes are not in the tarball, and the script reports
	# them.
	touch "$work/clone/new"
	make -s -C "$work/clone" dist 2>&1 | grep "not committed" || rc=1
	cmp "$work/one/$name.tar.gz" "$work/clone/build/dist/$name.tar.gz" || rc=1
	# A tarball is no repository.
	tar -C "$work" -xzf "$work/one/$name.tar.gz" || rc=1
	! make -s -C "$work/$name" dist >"$work/said" 2>&1 || rc=1
	grep "is no git repository" "$work/said" || rc=1
	return $rc
}
if is_repository; then
	result "make dist: twice the same bytes, of all files of the commit" dist
else
	skip "make dist" "no git repository"
fi
finish
