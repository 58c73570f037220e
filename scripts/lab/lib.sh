#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Functions that the scripts in this folder share: messages, the cache folder,
# locks and the installation of packages. This file is sourced, not run:
#
#	. "$(dirname "$(readlink -f "$0")")/lib.sh"
#
# say TEXT...		print a line on stderr
# die TEXT...		print a line on stderr, and exit with 1
# usage_of FILE		print the head comment of FILE, which is its --help
# lock NAME		take the lock NAME until the (sub)shell ends
# scratch		create the folder $SCRATCH, which is removed at exit
# as_root CMD...	run CMD as root, with sudo if needed
# apt_index		fetch apt's package lists, at most once per script
# need_pkgs PKG...	install the packages that are missing
#
# The cache folder is $REDIRMAP_CACHE, by default
# ${XDG_CACHE_HOME:-$HOME/.cache}/redirmap. It can be deleted; the scripts
# create its contents again when necessary.

set -euo pipefail
shopt -s inherit_errexit

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
	sed -n '3,/^$/ { s/^# \{0,1\}//; p }' "$0"
	exit 0
fi

REDIRMAP_CACHE=${REDIRMAP_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/redirmap}
export REDIRMAP_CACHE
mkdir -p "$REDIRMAP_CACHE"
REDIRMAP_CACHE=$(readlink -f "$REDIRMAP_CACHE")

say()
{
	printf '%s: %s\n' "${0##*/}" "$*" >&2
}

die()
{
	say "$@"
	exit 1
}

usage_of()
{
	sed -n '3,/^$/ { s/^# \{0,1\}//; p }' "$1"
}

lock()
{
	local fd

	mkdir -p "$REDIRMAP_CACHE/lock"
	exec {fd}> "$REDIRMAP_CACHE/lock/$1"
	flock -n "$fd" && return
	say "waiting for another run ($1)"
	flock "$fd"
}

scratch()
{
	SCRATCH=$(mktemp -d)
	trap 'rm -rf "$SCRATCH"' EXIT
}

as_root()
{
	if ((EUID == 0)); then
		"$@"
	elif command -v sudo > /dev/null; then
		sudo "$@"
	else
		die "this needs root, and there is no sudo: $*"
	fi
}

# run apt-get, and print its output only if it fails
apt_quiet()
{
	local log status=0

	log=$(mktemp)
	as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get -q -y -o DPkg::Lock::Timeout=600 "$@" \
		> "$log" 2>&1 < /dev/null || status=$?
	if ((status)); then
		tail -n 20 "$log" >&2
	fi
	rm -f "$log"
	return "$status"
}

APT_INDEX_DONE=
apt_index()
{
	[[ -z $APT_INDEX_DONE ]] || return 0
	APT_INDEX_DONE=1
	say "fetching the package lists"
	apt_quiet update || say "apt-get update failed, continuing without it"
}

pkg_installed()
{
	local state

	# shellcheck disable=SC2016 # a format of dpkg-query's
	state=$(dpkg-query -W -f '${db:Status-Status}\n' "$1" 2> /dev/null) ||
		return 1
	[[ $'\n'$state$'\n' == *$'\ninstalled\n'* ]]
}

pkg_known()
{
	local policy

	policy=$(apt-cache policy "$1" 2> /dev/null) || return 1
	[[ $policy == *"Candidate: "* && $policy != *"Candidate: (none)"* ]]
}

need_pkgs()
{
	local pkg installed missing=()

	# One call for all packages: with one for each, this takes longer than a
	# build.
	# shellcheck disable=SC2016 # a format of dpkg-query's
	installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "$@" 2> /dev/null) || :
	for pkg; do
		[[ $'\n'$installed$'\n' == *$'\ninstalled '"$pkg"$'\n'* ]] || missing+=("$pkg")
	done
	((${#missing[@]})) || return 0

	for pkg in "${missing[@]}"; do
		if ! pkg_known "$pkg"; then
			apt_index
			pkg_known "$pkg" || die "unknown package $pkg"
		fi
	done

	say "installing ${missing[*]}"
	(
		lock apt
		apt_quiet install --no-install-recommends "${missing[@]}" && exit
		# the package lists are too old, and the mirror has newer files
		apt_index
		apt_quiet install --no-install-recommends "${missing[@]}"
	) || die "cannot install: ${missing[*]}"
}
