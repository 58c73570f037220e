#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# make install and make uninstall below DESTDIR: files that they do not change,
# replace, record and remove, and their messages. No kernel is needed, and each
# call starts a hundred processes, which is slow in the emulator. So this test
# runs on the emulator's host, once for all kernels; cmd_install.sh tests the
# cases that change the system.
#
# The test works on a copy, in a mount namespace in which nothing else is
# writable.

# Functions are called by result():
# shellcheck disable=SC2317,SC2086,SC2115

set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/.." && pwd)
# The kernel that the module was built for.
: "${REDIRMAP_RELEASE:=$(uname -r)}"
export REDIRMAP_RELEASE
PATH=$PATH:/usr/sbin:/sbin
# shellcheck source=selftests/lib/testlib.sh
. "$here/lib/testlib.sh"

for tool in make depmod rst2man unshare; do
	command -v $tool >/dev/null || {
		ktap_skip_all "no $tool"
		exit 4
	}
done

# The first time, copies the sources and the module to a /tmp of the test's own.
if [ -z "${REDIRMAP_ALONE-}" ]; then
	user=()
	[ "$(id -u)" = 0 ] || user=(--user --map-root-user)
	# shellcheck disable=SC2016 # for the inner shell
	REDIRMAP_ALONE=1 exec unshare "${user[@]}" --mount bash -euc '
		mount -t tmpfs tmpfs /mnt
		mkdir -p "/mnt/top/build/$REDIRMAP_RELEASE" /mnt/ksft
		cp -r "$KSFT/kselftest" /mnt/ksft
		export KSFT=/tmp/ksft
		cd "$1"
		cp -r --parents Makefile scripts selftests Documentation src/version.h /mnt/top
		cp "build/$REDIRMAP_RELEASE/redirmap.ko" "/mnt/top/build/$REDIRMAP_RELEASE"
		findmnt -rno TARGET | while read -r target; do
			case $(printf %b "$target") in
			/mnt | /mnt/* | /dev | /dev/* | /proc | /proc/* | /sys | /sys/*) ;;
			*) mount -o remount,bind,ro "$(printf %b "$target")" ;;
			esac
		done
		mount --bind /mnt /tmp
		exec "/tmp/top/selftests/$2"' - "$top" "${0##*/}"
fi

release=$REDIRMAP_RELEASE
export REDIRMAP_CACHE=/tmp/cache
work=/tmp/redirmap-install
dest=$work/dest
# shellcheck source=selftests/lib/install.sh
. "$here/lib/install.sh"
mkdir -p $dest

alone()
{
	local dir

	for dir in / /etc /home /usr /usr/local /var; do
		! touch "$dir/redirmap-install" || return
	done
}
result "nothing else can be written" alone

others_stay()
{
	local rc=0

	mkdir -p $dest/usr/sbin $dest/usr/share/man/man8
	touch $dest/usr/share/man/man8/other.8
	find $dest | sort >$work/before
	run_make install DESTDIR=$dest PREFIX=/usr || rc=1
	# Again, which must keep the record of the first installation.
	run_make install DESTDIR=$dest PREFIX=/usr || rc=1
	run_make uninstall DESTDIR=$dest PREFIX=/usr || rc=1
	find $dest | sort >$work/after
	diff $work/before $work/after || rc=1
	rm -r $dest/usr
	return $rc
}
result "existing files stay, and empty folders" others_stay

foreign()
{
	local rc=0 lib=$dest/usr/lib/redirmap sbin=$dest/usr/sbin

	run_make install DESTDIR=$dest PREFIX=/usr || rc=1
	mkdir $lib/__pycache__
	touch $lib/other $lib/__pycache__/{other,redirmap_main.cpython-311}.pyc
	rm $sbin/redirmap
	echo other >$sbin/redirmap
	run_make uninstall DESTDIR=$dest PREFIX=/usr >$work/said 2>&1 || rc=1
	cat $work/said
	grep "$sbin/redirmap was not removed" $work/said || rc=1
	grep "$lib was not removed" $work/said || rc=1
	diff <(below $dest) - <<-END || rc=1
		./usr/lib/redirmap/__pycache__/other.pyc
		./usr/lib/redirmap/other
		./usr/sbin/redirmap
	END
	# A record is not overwritten either.
	find $dest | sort >$work/before
	! run_make install DESTDIR=$dest PREFIX=/usr || rc=1
	find $dest | sort | diff $work/before - || rc=1
	[ "$(cat $sbin/redirmap)" = other ] || rc=1
	rm -r $dest/usr
	return $rc
}
result "foreign files stay, and a message says so" foreign

# Foreign files have the names that install would use: before the first install,
# and instead of an installed file.
foreign_files()
{
	local rc=0 file files=(usr/share/man/man8/redirmap.8 usr/lib/redirmap/redirmap_main.py
		usr/share/bash-completion/completions/redirmap
		"lib/modules/$release/updates/redirmap.ko")

	for file in "${files[@]}"; do
		mkdir -p "$dest/${file%/*}"
		echo other >"$dest/$file"
		find $dest | sort >$work/before
		! run_make install DESTDIR=$dest PREFIX=/usr >$work/said 2>&1 || rc=1
		grep "$dest/$file exists" $work/said || rc=1
		find $dest | sort | diff $work/before - || rc=1
		rm -r ${dest:?}/*
	done

	# Twice: nothing was installed, and a foreign file has the name.
	for _ in 1 2; do
		for file in "${files[@]}"; do
			mkdir -p "$dest/${file%/*}"
			echo other >"$dest/$file"
		done
		! run_make install DESTDIR=$dest PREFIX=/usr || rc=1
		run_make uninstall DESTDIR=$dest PREFIX=/usr >$work/said 2>&1 || rc=1
		for file in "${files[@]}"; do
			grep "$dest/$file was not removed" $work/said || rc=1
			[ "$(cat "$dest/$file")" = other ] || rc=1
		done
		diff <(printf './%s\n' "${files[@]}" | sort) <(below $dest) || rc=1
		rm -r ${dest:?}/*
		run_make install DESTDIR=$dest PREFIX=/usr || rc=1
	done
	run_make uninstall DESTDIR=$dest PREFIX=/usr || rc=1
	[ -z "$(below $dest)" ] || rc=1
	return $rc
}
result "no foreign file is overwritten or removed" foreign_files

# A former version, which recorded only folders, elsewhere, and had other files.
former()
{
	local rc=0 lib=$dest/usr/lib/redirmap

	for again in install uninstall; do
		run_make install-tools DESTDIR=$dest PREFIX=/usr || rc=1
		rm "$top"/build/installed/*
		echo older >$lib/redirmap_older.py
		echo older >$lib/redirmap_main.py
		find $dest -mindepth 1 -type d >$lib/folders
		[ $again = uninstall ] || run_make install DESTDIR=$dest PREFIX=/usr || rc=1
		[ $again = uninstall ] || diff <(echo "$expected") <(below $dest) || rc=1
		run_make uninstall DESTDIR=$dest PREFIX=/usr >$work/said 2>&1 || rc=1
		quiet $work/said || rc=1
		find $dest -mindepth 1 | tee $work/left
		[ ! -s $work/left ] || rc=1
	done
	return $rc
}
result "a former version is replaced, or removed, with its record" former

# A package's folder was removed, and a new one is made with its name.
stale()
{
	local rc=0

	run_make install DESTDIR=$dest PREFIX=/usr || rc=1
	rm -r ${dest:?}/*
	mkdir -p $dest/usr/share/man
	run_make install DESTDIR=$dest PREFIX=/usr || rc=1
	run_make uninstall DESTDIR=$dest PREFIX=/usr || rc=1
	diff <(echo $dest/usr/share/man) <(find $dest -empty) || rc=1
	rm -r $dest/usr

	mkdir $work/short
	run_make install DESTDIR=$work/short PREFIX=/usr || rc=1
	[ "$(find "$top/build/installed" -type f | wc -l)" = 1 ] || rc=1
	rm -r $work/short
	run_make uninstall DESTDIR=$dest PREFIX=/usr || rc=1
	[ -z "$(find "$top/build/installed" -type f)" ] || rc=1
	return $rc
}
result "records of files that were removed by hand are dropped" stale

# From one folder and from another one.
relative()
{
	local rc=0

	(cd $work && "$top/scripts/command/install" --destdir dest/./ --prefix /usr install) || rc=1
	(cd $dest && "$top/scripts/command/install" --destdir ../dest --prefix /usr uninstall) || rc=1
	find $dest -mindepth 1 | tee $work/left
	[ ! -s $work/left ] || rc=1
	return $rc
}
result "a relative DESTDIR" relative

in_turn()
{
	local rc=0

	run_make install DESTDIR=$dest PREFIX=/usr || rc=1
	run_make uninstall-tools DESTDIR=$dest PREFIX=/usr >$work/said 2>&1 || rc=1
	quiet $work/said || rc=1
	diff <(echo "./lib/modules/$release/updates/redirmap.ko") <(below $dest) || rc=1
	run_make uninstall DESTDIR=$dest PREFIX=/usr || rc=1
	find $dest -mindepth 1 | tee $work/left
	[ ! -s $work/left ] || rc=1
	return $rc
}
result "uninstall-tools leaves the module, and uninstall nothing" in_turn

apart()
{
	local rc=0

	mkdir $work/modules
	run_make install DESTDIR=$dest INSTALL_MOD_PATH=$work/modules PREFIX=/usr || rc=1
	diff <(echo "./lib/modules/$release/updates/redirmap.ko") <(below $work/modules) || rc=1
	diff <(grep -v redirmap.ko <<<"$expected") <(below $dest) || rc=1
	run_make uninstall DESTDIR=$dest INSTALL_MOD_PATH=$work/modules PREFIX=/usr || rc=1
	[ -z "$(below $work/modules)$(below $dest)" ] || rc=1
	return $rc
}
result "INSTALL_MOD_PATH: the module apart from the rest" apart

# Empty, or not given: DESTDIR applies to the module as well.
no_modpath()
{
	local rc=0 module=$top/build/$release/redirmap.ko

	run_make install DESTDIR=$dest INSTALL_MOD_PATH= PREFIX=/usr || rc=1
	diff <(echo "$expected") <(below $dest) || rc=1
	INSTALL_MOD_PATH='' run_make uninstall DESTDIR=$dest PREFIX=/usr || rc=1
	[ -z "$(below $dest)" ] || rc=1
	for action in install uninstall; do
		"$top/scripts/command/install" --destdir $dest --prefix /usr --module "$module" \
			--kernel $release $action || rc=1
		[ $action = uninstall ] || diff <(echo "$expected") <(below $dest) || rc=1
	done
	[ -z "$(below $dest)" ] || rc=1
	return $rc
}
result "an empty INSTALL_MOD_PATH has no effect" no_modpath

# The same prefix in several spellings.
prefixes()
{
	local rc=0

	run_make install-tools DESTDIR=$dest PREFIX=/usr/ || rc=1
	run_make install-tools DESTDIR=$dest PREFIX=/usr || rc=1
	run_make uninstall-tools DESTDIR=$dest PREFIX=//usr/./ || rc=1
	find $dest -mindepth 1 | tee $work/left
	[ ! -s $work/left ] || rc=1
	return $rc
}
result "a prefix with more slashes is the same" prefixes

# fails_from TOOL N: the Nth call of a tool fails, and so do all later ones.
fails_from()
{
	mkdir -p $work/failing
	rm -f $work/calls
	cat >$work/failing/"$1" <<-END
		#!/bin/sh
		echo >>$work/calls
		[ \$(wc -l <$work/calls) -lt $2 ] && exec $(command -v "$1") "\$@"
		exit 1
	END
	chmod +x $work/failing/"$1"
}

fails()
{
	if PATH=$work/failing:$PATH run_make "$@" DESTDIR=$dest PREFIX=/usr; then
		echo "make $* has not failed"
		return 1
	fi
}

# The type of each file.
content()
{
	(cd $dest && find . -type f -exec sha256sum {} + | sort)
}

fails_midway()
{
	local rc=0 release_tree=$dest/lib/modules/$release

	mkdir -p "$release_tree"
	touch "$release_tree/modules.order"
	fails_from depmod 1
	fails install || rc=1
	run_make uninstall DESTDIR=$dest PREFIX=/usr >$work/said 2>&1 || rc=1
	cat $work/said
	! grep "not removed" $work/said || rc=1
	! below $dest | grep redirmap || rc=1
	[ ! -e $dest/usr ] || rc=1
	rm -r $work/failing

	fails_from install 5
	fails install || rc=1
	rm -r $work/failing
	run_make install DESTDIR=$dest PREFIX=/usr || rc=1
	diff <(echo "$expected") <(below $dest | grep redirmap) || rc=1

	# An installed version continues to work.
	fails_from install 5
	content | grep redirmap >$work/before
	fails install || rc=1
	content | grep redirmap | diff $work/before - || rc=1
	rm -r $work/failing
	run_make uninstall DESTDIR=$dest PREFIX=/usr || rc=1
	[ ! -e $dest/usr ] || rc=1
	rm -r $dest/lib
	return $rc
}
result "an install that has failed can be undone, and repeated" fails_midway

fifo()
{
	local rc=0 path=$dest/usr/lib/redirmap/redirmap_main.py

	run_make install-tools DESTDIR=$dest PREFIX=/usr || rc=1
	rm $path
	mkfifo $path
	# A process that reads the FIFO would wait for a writer: this one lets
	# the process continue, and reports that.
	(echo read >$path && touch $work/was_read) &
	! run_make install-tools DESTDIR=$dest PREFIX=/usr || rc=1
	run_make uninstall-tools DESTDIR=$dest PREFIX=/usr || rc=1
	[ -p $path ] || rc=1
	[ ! -e $work/was_read ] || rc=1
	cat $path
	wait $!
	rm -r $dest/usr
	return $rc
}
result "a FIFO is a foreign file, and is not read" fifo

kernels()
{
	local rc=0 other=$dest/lib/modules/0.0.0/updates/redirmap.ko
	local tool=("$top/scripts/command/install" --destdir "$dest" --prefix /usr
		--module "$top/build/$release/redirmap.ko")

	"${tool[@]}" install || rc=1
	"${tool[@]}" --kernel 0.0.0 install || rc=1
	"${tool[@]}" uninstall >$work/said 2>&1 || rc=1
	cat $work/said
	grep -F "$other was not removed; to remove it: make uninstall KVER=0.0.0 DESTDIR=$dest PREFIX=/usr" \
		$work/said || rc=1
	diff <(echo "$other") <(find $dest -type f) || rc=1
	run_make uninstall KVER=0.0.0 DESTDIR=$dest PREFIX=/usr || rc=1
	[ -z "$(find $dest -mindepth 1)" ] || rc=1
	return $rc
}
result "uninstall lists the modules of other kernels, and how to remove them" kernels

# A failed build for a kernel that has no row in the table of kernels says so. A
# failed build for one of the table does not.
unsupported()
{
	local rc=0

	KDIR=/nonexistent make -C "$top" modules KVER=0.1.0-1-amd64 >$work/said 2>&1 && rc=1
	cat $work/said
	grep -F "0.1.0-1-amd64 is none of the supported kernels: 6." $work/said || rc=1
	grep -F "How to support another kernel" $work/said || rc=1
	KDIR=/nonexistent make -C "$top" modules KVER=6.1.0-1-amd64 >$work/said 2>&1 && rc=1
	! grep -F "none of the supported" $work/said || rc=1
	return $rc
}
result "a failed build for an unsupported kernel names the supported ones" unsupported
finish
