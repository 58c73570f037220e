# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Packages of any suite of Debian, for scripts/lab/kernel and
# scripts/lab/toolchain. For the host's suite, the functions use the system's
# apt. For other suites, they use an apt with sources, lists and keys of its own
# in the cache, in apt/SUITE, which does not change the system: packages are
# downloaded and unpacked, never installed. Mirrors and proxies are those of the
# system's apt; REDIRMAP_MIRROR names another mirror. This file is sourced,
# after lib.sh.
#
# host_suite		print the suite of this host, or "other"
# is_host SUITE		is SUITE the suite of this host?
# with_apt SUITE CMD...	run apt-cache or apt-get for a suite
# suite_index SUITE	fetch the package lists of a suite
# suite_index_old SUITE	are the lists of another suite than the host's missing,
#			or more than a day old?
# suite_lists SUITE	print a file that is touched when the lists change
# download SUITE PKG...	download packages into the current folder
# unpack DIR DEB...	unpack packages; links to folders stay

host_suite()
{
	# shellcheck disable=SC1091 # not one of ours
	(
		. /etc/os-release
		[[ ${ID-} == debian ]] || VERSION_CODENAME=
		printf '%s\n' "${VERSION_CODENAME:-other}"
	)
}

HOST_SUITE=$(host_suite)
is_host()
{
	[[ $1 == "$HOST_SUITE" ]]
}

# mirror LABEL : print the system's mirror of Debian's archive with this label
mirror()
{
	# shellcheck disable=SC2016 # a format of apt's
	apt-get indextargets --format '$(ORIGIN)/$(LABEL) $(REPO_URI)' \
		'Created-By: Packages' 2> /dev/null |
		awk -v of="Debian/$1" '$1 == of && !n++ { print $2 }'
}

# write the sources of a suite
suite_sources()
{
	local suite=$1 base=${1%-backports} main security keys more=

	main=${REDIRMAP_MIRROR-$(mirror Debian)}
	if [[ -z $main ]]; then
		apt_index
		main=$(mirror Debian)
	fi
	[[ -n $main ]] ||
		die "apt has no mirror of Debian here; name one in REDIRMAP_MIRROR"
	security=$(mirror Debian-Security)
	# A system that debootstrap made has the main archive only. Some kernels
	# are in the archive of security updates alone.
	[[ -n $security && -z ${REDIRMAP_MIRROR-} ]] || security=${main%/}-security
	keys=/usr/share/keyrings/debian-archive-keyring.gpg
	[[ $suite == "$base" ]] || more=" $suite"
	printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n\n' \
		"$main" "$base $base-updates$more" "$keys"
	printf 'Types: deb\nURIs: %s\nSuites: %s\nComponents: main\nSigned-By: %s\n' \
		"$security" "$base-security" "$keys"
}

# suite_setup SUITE : create apt/SUITE in the cache; print its configuration
suite_setup()
{
	local dir=$REDIRMAP_CACHE/apt/$1 prefer=

	# Without this, apt selects no package of backports.
	[[ $1 != *-backports ]] || prefer="APT::Default-Release \"$1\";"
	if [[ ! -s $dir/apt.conf ]]; then
		need_pkgs debian-archive-keyring
		mkdir -p "$dir"/{sources,state/lists/partial,cache/archives/partial}
		suite_sources "$1" > "$dir/new.$$"
		mv "$dir/new.$$" "$dir/sources/suite.sources"
		cat > "$dir/new.$$" << END
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$dir/sources";
Dir::State "$dir/state";
Dir::State::status "/dev/null";
Dir::Cache "$dir/cache";
$prefer
APT::Architecture "amd64";
APT::Architectures { "amd64"; };
APT::Install-Recommends "false";
APT::Sandbox::User "$(id -un)";
Acquire::Languages "none";
END
		mv "$dir/new.$$" "$dir/apt.conf"
	fi
	printf '%s\n' "$dir/apt.conf"
}

with_apt()
{
	local suite=$1 config

	shift
	if is_host "$suite"; then
		"$@"
	else
		config=$(suite_setup "$suite")
		APT_CONFIG=$config "$@"
	fi
}

suite_index_old()
{
	local lists=$REDIRMAP_CACHE/apt/$1/fetched

	! is_host "$1" && [[ ! -e $lists || $(find "$lists" -mmin +1440) ]]
}

suite_index()
(
	suite=$1 log=$REDIRMAP_CACHE/apt/$1.log

	if is_host "$suite"; then
		apt_index
		exit
	fi
	mkdir -p "${log%/*}"
	lock "apt-$suite"
	say "fetching the package lists of $suite"
	if with_apt "$suite" apt-get -q update > "$log" 2>&1; then
		touch "$REDIRMAP_CACHE/apt/$suite/fetched"
	else
		tail -n 5 "$log" >&2
		say "apt-get update failed for $suite, continuing without it"
	fi
)

suite_lists()
{
	if is_host "$1"; then
		printf '/var/lib/apt/lists\n'
	else
		printf '%s\n' "$REDIRMAP_CACHE/apt/$1/fetched"
	fi
}

# fields SUITE PKG : print the record of a package's candidate, if there is one.
# apt-cache takes names exactly.
fields()
{
	with_apt "$1" apt-cache show --no-all-versions "$2" 2> /dev/null || :
}

# depends SUITE PKG PATTERN : print those packages on which a package depends
# whose names match
depends()
{
	fields "$1" "$2" | sed -n 's/^Depends: //p' | awk -v RS='[,|]' '{ print $1 }' | grep -Ex -- "$3" | sort -u || :
}

download()
{
	local suite=$1 opts=(-q -o "APT::Sandbox::User=$(id -un)")

	shift
	with_apt "$suite" apt-get "${opts[@]}" download "$@" > download.log 2>&1 && return
	# the package lists are too old, and the mirror has newer files
	suite_index "$suite"
	with_apt "$suite" apt-get "${opts[@]}" download "$@" > download.log 2>&1 || {
		cat download.log >&2
		die "cannot download $*"
	}
}

unpack()
{
	local dir=$1 deb

	shift
	for deb; do
		dpkg-deb --fsys-tarfile "$deb" |
			tar -C "$dir" -x --keep-directory-symlink --no-same-owner
	done
}
