# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Shared by the tests of packages. $work is a folder for the test.

# shellcheck disable=SC2154

# fake_make : $work/bin/make, which brings $work/redirmap.ko instead of building
# a module
fake_make()
{
	mkdir -p "$work/bin"
	cat >"$work/bin/make" <<-END
		#!/bin/sh
		for word; do
			case \$word in
			M=*) out=\${word#M=} ;;
			modules) cp $work/redirmap.ko "\$out" ;;
			esac
		done
	END
	chmod +x "$work/bin/make"
}
