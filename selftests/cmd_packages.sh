#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# The Debian packages in a system that uses them: installed, upgraded while a
# map is in use, changed over, purged. scripts/lab/check has built the packages.
#
# A make of the test's own brings the module that is built already, because an
# emulated machine takes minutes to compile it; host_packages.sh lets DKMS
# compile it.

# Functions are called by result():
# shellcheck disable=SC2317

set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/.." && pwd)
# shellcheck source=selftests/lib/testlib.sh
. "$here/lib/testlib.sh"
# shellcheck source=selftests/lib/packages.sh
. "$here/lib/packages.sh"

[ "$(id -u)" = 0 ] || exit 4
release=$(uname -r)
version=$("$top/scripts/lab/version")
dkms_deb=$top/build/deb/redirmap-dkms_${version}_all.deb
tools_deb=$top/build/deb/redirmap-tools_${version}_all.deb
for file in "$dkms_deb" "$tools_deb" /usr/sbin/dkms "/lib/modules/$release/build/include"; do
	[ -e "$file" ] || {
		ktap_skip_all "no $file"
		exit 4
	}
done
work=/tmp/redirmap-packages
mkdir -p $work
export DEBIAN_FRONTEND=noninteractive
PATH=$work/bin:$PATH
# A database of the packages that these need, because dpkg reads the files of
# all packages each time.
mkdir -p $work/dpkg/{info,updates,triggers}
for package in dkms kmod libbpf1 python3; do
	dpkg-query -s $package && echo
done >$work/dpkg/status
mount --bind $work/dpkg /var/lib/dpkg
# A key that is made fast; DKMS itself would make one of RSA.
mkdir -p /etc/dkms
openssl req -new -x509 -nodes -days 36500 -subj "/CN=Test of redirmap" -newkey ec \
	-pkeyopt ec_paramgen_curve:prime256v1 -keyout $work/key -outform DER -out $work/pub 2>&1
cat >/etc/dkms/framework.conf <<END
mok_signing_key=$work/key
mok_certificate=$work/pub
END
cp "$REDIRMAP_KO" $work/redirmap.ko
fake_make

# With few modules: depmod reads them all.
mkdir $work/few
cp /lib/modules/"$release"/modules.{order,builtin,builtin.modinfo} $work/few
ln -s "$(readlink -f "/lib/modules/$release/build")" $work/few/build
mount --bind $work/few "/lib/modules/$release"
for other in /lib/modules/*/; do
	[ "$other" = "/lib/modules/$release/" ] || mount -t tmpfs tmpfs "$other"
done
depmod
rmmod redirmap

installed()
{
	local rc=0

	dpkg -i "$dkms_deb" "$tools_deb" || rc=1
	[ ! -d /sys/module/redirmap ] || rc=1
	[ "$(command -v redirmap)" = /usr/sbin/redirmap ] || rc=1
	modinfo -F filename redirmap | grep "^/lib/modules/$release/updates/dkms/redirmap.ko" || rc=1
	modprobe redirmap claim='rm_*' || rc=1
	redirmap --version >$work/said || rc=1
	diff $work/said - <<<"redirmap $version; module $version is loaded" || rc=1
	return $rc
}
result "the packages are installed, and the module is loaded by modprobe" installed

# Packages of a later version, with another module.
later()
{
	local deb=$1 dir=$work/$2

	dpkg-deb -R "$deb" "$dir" || return
	sed -i "s/^Version: .*/Version: 9.9/; s/(= $version)/(= 9.9)/" "$dir/DEBIAN/control"
	if [ -d "$dir/usr/src" ]; then
		mv "$dir/usr/src/redirmap-$version" "$dir/usr/src/redirmap-9.9"
		sed -i "s/$version/9.9/" "$dir/usr/src/redirmap-9.9/dkms.conf"
		sed -i "s/DKMS_VERSION=$version/DKMS_VERSION=9.9/" "$dir"/DEBIAN/p*
	else
		sed -i "s/^VERSION = .*/VERSION = \"9.9\"/" "$dir/usr/lib/redirmap/redirmap_version.py"
	fi
	rm -f "$dir/DEBIAN/md5sums"
	dpkg-deb -Znone -b "$dir" "$work/$2.deb"
}

upgraded()
{
	local rc=0

	bpftool map create /sys/fs/bpf/rm_kept type devmap key 4 value 4 entries 4 name rm_kept ||
		rc=1
	later "$dkms_deb" dkms || rc=1
	later "$tools_deb" tools || rc=1
	cp "$REDIRMAP_TEST_OUTPUT/../$release-selftests/second/redirmap.ko" $work/redirmap.ko
	dpkg -i $work/dkms.deb $work/tools.deb || rc=1
	# The map works on, and the command with it.
	bpftool map update pinned /sys/fs/bpf/rm_kept key 0 0 0 0 value 1 0 0 0 || rc=1
	redirmap list >$work/said 2>$work/note || rc=1
	cat $work/said $work/note
	grep rm_kept $work/said || rc=1
	grep "the loaded module is $version, and this command is 9.9" $work/note || rc=1
	redirmap --version | tee $work/said
	grep "/updates/dkms/redirmap.ko.* is another build of module $version" $work/said || rc=1
	[ ! -e "/usr/src/redirmap-$version" ] || rc=1
	return $rc
}
result "an upgrade while a map is in use: the map works on, and the command reports it" upgraded

changed_over()
{
	local rc=0

	! rmmod redirmap || rc=1
	redirmap holders | grep 'rm /sys/fs/bpf/rm_kept' || rc=1
	rm /sys/fs/bpf/rm_kept
	wait_until not_held || rc=1
	rmmod redirmap || rc=1
	modprobe redirmap claim='rm_*' || rc=1
	[ "$(cat /sys/module/redirmap/srcversion)" = "$(modinfo -F srcversion redirmap)" ] || rc=1
	[ "$(redirmap --version | wc -l)" = 1 ] || rc=1
	return $rc
}

not_held()
{
	[ "$(cat /sys/module/redirmap/refcnt)" = 0 ]
}

wait_until()
{
	local _

	for _ in $(seq 600); do
		"$@" && return
		pause 0.1
	done
	return 1
}
result "the loaded module is changed for the installed one" changed_over

purged()
{
	local rc=0

	dpkg --purge redirmap-dkms redirmap-tools || rc=1
	# The loaded module stays.
	[ -d /sys/module/redirmap ] || rc=1
	! modinfo redirmap || rc=1
	find /usr/src /usr/lib/redirmap /var/lib/dkms /usr/share/doc/redirmap* /usr/sbin/redirmap \
		"/lib/modules/$release/" /etc -name '*redirmap*' 2>/dev/null | tee $work/left
	[ ! -s $work/left ] || rc=1
	rmmod redirmap || rc=1
	return $rc
}
result "the packages are purged, and leave nothing but the loaded module" purged

umount "/lib/modules/$release"
for other in /lib/modules/*/; do
	[ "$other" = "/lib/modules/$release/" ] || umount "$other"
done
umount /var/lib/dpkg
finish
