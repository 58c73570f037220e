#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# make clangd: all files of the module are in it, and clang, as
# clangd does, parses one of them with its command. No kernel is needed.

# Functions are called by result():
# shellcheck disable=SC2317

set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/.." && pwd)
: "${REDIRMAP_RELEASE:=$(uname -r)}"
# shellcheck source=selftests/lib/testlib.sh
. "$here/lib/testlib.sh"

folder=$top/build/$REDIRMAP_RELEASE
for file in "$folder/redirmap.ko" /usr/bin/clang /usr/bin/jq; do
	[ -e "$file" ] || {
		ktap_skip_all "no $file"
		exit 4
	}
done
json=$top/build/compile_commands.json

all_files()
{
	"$top/scripts/lab/compile-commands" "$REDIRMAP_RELEASE" "$folder" || return
	diff <(jq -r '.[].file' "$json" | sort) \
		<(find "$top/src" -name '*.c' ! -path '*/src/test/*' | sort)
}
result "all files of the module" all_files

parses()
{
	local words

	mapfile -t words < <(jq -r '.[] | select(.file | endswith("/port_xmit.c")) |
		.arguments[1:][] | select(. != "-c")' "$json")
	cd "$(jq -r '.[0].directory' "$json")" && clang -fsyntax-only -Werror "${words[@]}" "$@"
}
result "clang parses a file by its command, without a warning" parses

# clang reports errors of a file.
finds_errors()
{
	! parses -DREDIRMAP_FAMILIES= -include /nonexistent.h
}
result "clang finds an error" finds_errors
finish
