#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# make install and make uninstall: below DESTDIR and nowhere else, all of it,
# and no word that looks like a failure; into an image, and into this system.

# Functions are called by result():
# shellcheck disable=SC2317,SC2086,SC2115

set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=selftests/lib/testlib.sh
. "$here/lib/testlib.sh"

top=$(cd "$here/.." && pwd)
release=$(uname -r)
work=/tmp/redirmap-install
dest=$work/dest

[ "$(id -u)" = 0 ] || exit 4
for tool in make depmod rst2man; do
	command -v $tool >/dev/null || {
		ktap_skip_all "no $tool"
		exit 4
	}
done
rm -rf $work
mkdir -p $dest

# The module is built already; what make install does with it is what is tested.
run_make()
{
	make -s -C "$top" -o modules KVER="$release" "$@"
}

# In the machine that tests run in, all of this system lies in an overlay. A
# file that is made, written or removed there takes an inode of the upper layer.
inodes()
{
	stat -f -c '%n %d' / /lib/modules/$release/
}

mark_system()
{
	# The list of installed files, beside the built ones.
	mkdir -p "$top/build/installed"
	touch "$top/build/installed/test"
	rm "$top/build/installed/test"
	inodes >$work/inodes
	touch $work/mark
	# The clock that files get their times from ticks.
	while [ ! $work/now -nt $work/mark ]; do
		touch $work/now
	done
}

# Files and folders that have changed since: those that were written, and those
# that something has come into or gone from, where an install might do that.
changed()
{
	inodes | diff $work/inodes -
	find /boot /etc /opt /srv /usr/local /usr/bin /usr/sbin /usr/share/man/man8 \
		/usr/share/bash-completion /var /lib/modules/$release/ -xdev \
		-cnewer $work/mark -print
	find / /usr /usr/lib /usr/share /root -maxdepth 1 -xdev ! -path / ! -path /tmp \
		-cnewer $work/mark -print
}

nothing_changed()
{
	changed | tee $work/changed
	[ ! -s $work/changed ]
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

package()
{
	local rc=0

	run_make install DESTDIR=$dest PREFIX=/usr >$work/said 2>&1 || rc=1
	quiet $work/said || rc=1
	diff <(echo "$expected") <(below $dest) || rc=1
	cmp "$top/build/$release/redirmap.ko" $dest/lib/modules/"$release"/updates/redirmap.ko ||
		modinfo -F signer $dest/lib/modules/"$release"/updates/redirmap.ko | grep . || rc=1
	$dest/usr/sbin/redirmap --version || rc=1
	return $rc
}
mark_system
result "into a package's folder: all that is to be there, no depmod, no complaint" package

unpackage()
{
	local rc=0

	run_make uninstall DESTDIR=$dest PREFIX=/usr >$work/said 2>&1 || rc=1
	quiet $work/said || rc=1
	# Not even a folder is left.
	find $dest -mindepth 1 | tee $work/left
	[ ! -s $work/left ] || rc=1
	return $rc
}
result "uninstall leaves nothing of it" unpackage

others_stay()
{
	local rc=0

	mkdir -p $dest/usr/sbin $dest/usr/share/man/man8
	touch $dest/usr/share/man/man8/other.8
	find $dest | sort >$work/before
	run_make install DESTDIR=$dest PREFIX=/usr || rc=1
	# Once more, which must not forget what the first one has made.
	run_make install DESTDIR=$dest PREFIX=/usr || rc=1
	run_make uninstall DESTDIR=$dest PREFIX=/usr || rc=1
	find $dest | sort >$work/after
	diff $work/before $work/after || rc=1
	rm -r $dest/usr
	return $rc
}
result "present files stay, empty folders as well" others_stay

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
	# Nor is it overwritten.
	find $dest | sort >$work/before
	! run_make install DESTDIR=$dest PREFIX=/usr || rc=1
	find $dest | sort | diff $work/before - || rc=1
	[ "$(cat $sbin/redirmap)" = other ] || rc=1
	rm -r $dest/usr
	return $rc
}
result "files of others stay, and that is said" foreign

# Where install would write, others have a file: before the first install, and
# in the place of what it has written.
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

	# Twice: nothing was installed, and something else stands in the place
	# of that.
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
result "no file of others is overwritten or removed" foreign_files

# A version that noted folders alone, there, and had other files.
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
result "a former version is replaced, or removed, with its notes" former

# A package's folder was removed, and another one is made there.
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
result "notes of files that others have removed are forgotten" stale

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

image()
{
	local rc=0 tree=$dest/lib/modules/$release

	mkdir -p "$tree"
	cp /lib/modules/"$release"/modules.{order,builtin,builtin.modinfo} "$tree"
	depmod -b $dest "$release" || rc=1
	! grep redirmap "$tree/modules.dep" || rc=1
	run_make install DESTDIR=$dest PREFIX=/usr >$work/said 2>&1 || rc=1
	quiet $work/said || rc=1
	grep -x 'updates/redirmap.ko:' "$tree/modules.dep" || rc=1
	[ "$(modprobe -d $dest -S "$release" --show-depends redirmap)" = \
		"insmod $tree/updates/redirmap.ko " ] || rc=1
	run_make uninstall DESTDIR=$dest PREFIX=/usr || rc=1
	! grep redirmap "$tree/modules.dep" || rc=1
	rm -r $dest/lib
	return $rc
}
result "into an image with a kernel: depmod there" image

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

# Empty, or not given: DESTDIR holds for the module, too.
no_modpath()
{
	local rc=0 module=$top/build/$release/redirmap.ko

	run_make install DESTDIR=$dest INSTALL_MOD_PATH= PREFIX=/usr || rc=1
	diff <(echo "$expected") <(below $dest) || rc=1
	INSTALL_MOD_PATH='' run_make uninstall DESTDIR=$dest PREFIX=/usr || rc=1
	[ -z "$(below $dest)" ] || rc=1
	for action in install uninstall; do
		"$top/scripts/command/install" --destdir $dest --prefix /usr --module "$module" \
			$action || rc=1
		[ $action = uninstall ] || diff <(echo "$expected") <(below $dest) || rc=1
	done
	[ -z "$(below $dest)" ] || rc=1
	return $rc
}
result "an empty INSTALL_MOD_PATH is none" no_modpath

# One prefix, however it is written.
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

# fails_from TOOL N: the Nth call of a tool fails, and so do all that follow.
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

	# A version that is there works on.
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
	# A process that reads it would wait for a writer: this one lets it go
	# on, and says so.
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
result "a FIFO is nothing that install has written, and is not read" fifo

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
result "uninstall says which other kernels' modules stay, and how they go" kernels
result "nothing outside of these folders has changed" nothing_changed

# A tool is missing: /dev/null cannot be executed.
without()
{
	local tool

	tool=$(readlink -f "$(command -v "$1")")
	unshare -m sh -c "mount --bind /dev/null $tool && exec make -s -C '$top' -o modules \
		KVER='$release' install DESTDIR=$dest PREFIX=/usr"
}

half()
{
	local rc=0

	! without rst2man >$work/said 2>&1 || rc=1
	cat $work/said
	grep rst2man $work/said || rc=1
	find $dest -mindepth 1 | tee $work/left
	[ ! -s $work/left ] || rc=1
	return $rc
}
result "nothing is installed where a tool is missing" half

# In the machine that tests run in, whatever is written goes away with it.
everything()
{
	find /usr/local /usr/lib/modules/"$release" \
		! -name 'modules.*' \( -type d -printf '%p %y %m\n' -o \
		-printf '%p %y %m %s %l\n' \) | sort
}

# With few modules: depmod reads them all.
few_modules()
{
	local kernel=/lib/modules/$release rc=0

	mkdir $work/few
	cp $kernel/modules.{order,builtin,builtin.modinfo} $work/few
	mount --bind $work/few $kernel || return 1
	depmod || rc=1
	"$@" || rc=1
	umount $kernel || rc=1
	return $rc
}

into_this_system()
{
	local rc=0

	everything >$work/before
	run_make install >$work/said 2>&1 || rc=1
	quiet $work/said || rc=1
	[ "$(modprobe --show-depends redirmap)" = "insmod /lib/modules/$release/updates/redirmap.ko " ] ||
		rc=1
	[ "$(command -v redirmap)" = /usr/local/sbin/redirmap ] || rc=1
	rmmod redirmap || rc=1
	# It says how to load it, and so it is loaded.
	! redirmap 2>$work/said || rc=1
	grep "load it with 'modprobe redirmap'" $work/said || rc=1
	modprobe redirmap claim='rm_*' || rc=1
	redirmap list || rc=1
	man -w redirmap | grep '^/usr/local/.*/man8/redirmap.8$' || rc=1
	run_make uninstall >$work/said 2>&1 || rc=1
	quiet $work/said || rc=1
	! modprobe --show-depends redirmap 2>/dev/null || rc=1
	everything >$work/after
	diff $work/before $work/after || rc=1
	return $rc
}
result "into this system, and out of it again" few_modules into_this_system

rm -rf $work
finish
