#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# make install and make uninstall: all files below DESTDIR, no file elsewhere,
# and no message that looks like a failure; into an image, and into this system.
# For the cases that need no kernel see host_install.sh.

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
# shellcheck source=selftests/lib/install.sh
. "$here/lib/install.sh"

# In the machine of the tests, all of this system is in an overlay. A file that
# is created, written or removed there gets an inode of the upper layer.
inodes()
{
	stat -f -c '%n %d' / /lib/modules/$release/
}

mark_system()
{
	# The pages and the list of installed files are beside the built files.
	"$top/scripts/command/install" pages
	# Python compiles those of its own modules that have changed since they
	# were compiled.
	"$top/scripts/command/redirmap" --version >/dev/null
	mkdir -p "$top/build/installed"
	touch "$top/build/installed/test"
	rm "$top/build/installed/test"
	inodes >$work/inodes
	touch $work/mark
	# The clock of file times must have ticked.
	while [ ! $work/now -nt $work/mark ]; do
		touch $work/now
	done
}

# Files and folders that have changed since: those that were written, and
# folders in which an entry was added or removed. A look at each of 20,000 files
# takes half a minute. So in the largest folders only a change without a new
# inode, of a file that an earlier test has written, remains unseen.
changed()
{
	inodes | diff $work/inodes -
	find /boot /etc /opt /srv /usr/local/{bin,etc,lib,sbin,share} /usr/sbin \
		/usr/share/bash-completion -xdev -cnewer $work/mark -print
	find /usr/bin /usr/local /usr/local/* /usr/share/man /usr/share/man/* /var /var/* \
		/var/cache/* /var/lib/* /lib/modules/$release/ -maxdepth 0 -xdev -cnewer $work/mark -print
	find / /usr /usr/lib /usr/share /root -maxdepth 1 -xdev ! -path / ! -path /tmp \
		-cnewer $work/mark -print
}

nothing_changed()
{
	changed | tee $work/changed
	[ ! -s $work/changed ]
}

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
result "into a package's folder: all files, no depmod, no error message" package

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
result "uninstall removes all of it" unpackage

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
result "into an image with a kernel: depmod runs for it" image
result "nothing outside of these folders has changed" nothing_changed

# One tool is missing: /dev/null cannot be executed.
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

	# Otherwise the page would not have to be created.
	rm -r "$top/build/man" || rc=1
	! without rst2man >$work/said 2>&1 || rc=1
	cat $work/said
	grep rst2man $work/said || rc=1
	find $dest -mindepth 1 | tee $work/left
	[ ! -s $work/left ] || rc=1
	return $rc
}
result "nothing is installed if a tool is missing" half

# All changes disappear with the machine of the tests.
everything()
{
	find /usr/local /usr/lib/modules/"$release" \
		! -name 'modules.*' \( -type d -printf '%p %y %m\n' -o \
		-printf '%p %y %m %s %l\n' \) | sort
}

# With few modules, because depmod reads them all.
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
	# The output names the command that loads the module, which is run here.
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
result "install and uninstall in this system" few_modules into_this_system

# The loaded module stays loaded, and the command says how to change over.
upgraded()
{
	local rc=0 file=/lib/modules/$release/updates/redirmap.ko

	run_make install || rc=1
	modprobe redirmap claim='rm_*' || rc=1
	redirmap --version >$work/said || rc=1
	[ "$(wc -l <$work/said)" = 1 ] || rc=1
	# Another build: that with a second family of maps.
	cp "$REDIRMAP_TEST_OUTPUT/../$release-selftests/second/redirmap.ko" "$file"
	redirmap --version | tee $work/said
	grep -F "$file is another build of module" $work/said || rc=1
	sh -ec "$(sed -n 's/.* then: //p' $work/said)" || rc=1
	[ "$(cat /sys/module/redirmap/srcversion)" = "$(modinfo -F srcversion redirmap)" ] || rc=1
	redirmap --version >$work/said || rc=1
	[ "$(wc -l <$work/said)" = 1 ] || rc=1
	rmmod redirmap
	rm "$file"
	run_make uninstall || rc=1
	return $rc
}
result "another build is installed: redirmap says how to change over" few_modules upgraded

rm -rf $work
finish
