# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The table of kernels (scripts/lab/kernels), for scripts/lab/kernel. This file
# is sourced, after kernel-apt.sh.

# shellcheck disable=SC2154 # set by the script that includes this
table=$(grep -v '^#' "$here/kernels")
# cells[ROW.COLUMN]; a process for each cell would take half of the time.
rows=()
declare -A cells
while read -r name alias suite toolchain source image default traits; do
	[[ -n $name ]] || continue
	rows+=("$name")
	cells[$name.alias]=$alias cells[$name.suite]=$suite cells[$name.toolchain]=$toolchain
	cells[$name.source]=$source cells[$name.image]=$image
	cells[$name.default]=$default cells[$name.traits]=$traits
done <<< "$table"
unset name alias suite toolchain source image default traits

flavours()
{
	printf '%s\n' "${rows[@]}"
}

# row FLAVOUR : print the name of the row with this name or alias
row()
{
	local name

	name=$(awk -v f="$1" -v host="$HOST_SUITE" '
		$1 == f { exact = $1 }
		index("," $2 ",", "," f ",") {
			if (!first) first = $1
			if ($3 == host) own = $1
		}
		END { print exact ? exact : own ? own : first }' <<< "$table")
	if [[ -z $name ]]; then
		die "unknown kernel $1; known are: $(flavours | paste -sd ' ')"
	fi
	printf '%s\n' "$name"
}

# column ROW COLUMN : print a column of a row
column()
{
	printf '%s\n' "${cells[$1.$2]}"
}

# has ROW COLUMN WORD : is the word in the list of a column?
has()
{
	[[ ,${cells[$1.$2]}, == *",$3,"* ]]
}

# the default kernels, by their aliases
defaults()
{
	awk -v host="$HOST_SUITE" '
		index("," $7 ",", "," host ",") { named = 1 }
		{ list[NR] = "," $7 ","; name[NR] = $2 }
		END {
			if (!named) host = "other"
			for (i = 1; i <= NR; i++)
				if (index(list[i], "," host ","))
					print name[i]
		}' <<< "$table"
}

expand()
{
	local flavour row

	if (($# == 0)); then
		defaults
		return
	fi
	for flavour; do
		if [[ $flavour == all ]]; then
			for row in $(flavours); do
				has "$row" traits debug || printf '%s\n' "$row"
			done
		else
			row "$flavour" > /dev/null
			printf '%s\n' "$flavour"
		fi
	done | awk '!seen[$0]++'
}

# fits ROW RELEASE : does a release belong to this row? A name is VERSION+TAG or
# VERSION+TAG-VARIANT. The tag begins with the text behind the "+" of the
# release; the release of Debian 12's first kernel has no "+".
fits()
{
	local version=${1%%+*} tag=${1#*+} variant=''

	[[ $tag != *-* ]] || variant=-${tag#*-}
	tag=${tag%%-*}
	[[ $2 == "$version".* ]] || return 1
	if is_built "$1"; then
		[[ $2 =~ ^[0-9.]+"$variant"$ ]]
		return
	fi
	if [[ $2 == *+* ]]; then
		[[ $2 =~ ^[0-9.]+\+(deb[0-9]+)(\.[0-9]+)*"$variant"-amd64$ &&
			$tag == "${BASH_REMATCH[1]}"* ]]
	else
		[[ $2 =~ ^[0-9.]+-[0-9]+"$variant"-amd64$ && ${cells[$1.suite]} == bookworm ]]
	fi
}

# row_of RELEASE : print the row of a release, or fail
row_of()
{
	local row

	for row in "${rows[@]}"; do
		if fits "$row" "$1"; then
			printf '%s\n' "$row"
			return
		fi
	done
	return 1
}

# dkms_kernels : print a pattern for the releases of all kernels that
# this project does not build, as dkms.conf has it
dkms_kernels()
{
	local row version traits versions=()

	for row in "${rows[@]}"; do
		! is_built "$row" || continue
		version=${row%%+*} traits=${cells[$row.traits]}
		[[ $traits != *only=* ]] || version=${traits##*only=}
		versions+=("${version%%,*}")
	done
	printf '^(%s)[.]\n' "$(printf '%s\n' "${versions[@]//./[.]}" | sort -uV | paste -sd '|')"
}

# is_built ROW : is the kernel built from source by this project?
is_built()
{
	[[ ${cells[$1.image]} == build:* ]]
}
