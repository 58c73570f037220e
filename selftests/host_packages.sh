#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
#
# make deb and make dkms-install: the packages are built, installed, and purged
# by dpkg, and the module by DKMS, for each kernel whose headers are installed.
#
# The test runs in a mount namespace, where all that it changes is an overlay,
# and in a network namespace without devices. DKMS compiles the module once for
# each kernel, which takes most of the time: 20 s each on an idle processor.
# cmd_packages.sh loads the module of the packages.

# Functions are called by result():
# shellcheck disable=SC2317

set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/.." && pwd)
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
# shellcheck source=selftests/lib/testlib.sh
. "$here/lib/testlib.sh"
# shellcheck source=selftests/lib/packages.sh
. "$here/lib/packages.sh"

[ "$(id -u)" = 0 ] || {
	ktap_skip_all "not root"
	exit 4
}
if [ -z "${REDIRMAP_ALONE-}" ]; then
	# Packages that are missing are installed in this system.
	"$top/scripts/lab/deps" deb dkms || exit 1
	# shellcheck disable=SC2016 # for the inner shell
	REDIRMAP_ALONE=1 exec unshare --mount --net bash -euc '
		mount -t tmpfs tmpfs /mnt
		mkdir /mnt/lower
		mount --bind / /mnt/lower
		for dir in /usr /var /etc /boot; do
			mkdir -p "/mnt/upper$dir" "/mnt/work$dir"
			mount -t overlay -o "lowerdir=$dir,upperdir=/mnt/upper$dir,workdir=/mnt/work$dir" \
				overlay "$dir"
		done
		mount -t tmpfs tmpfs /tmp
		exec "$1"' - "$here/${0##*/}"
fi

work=/tmp/redirmap-packages
mkdir $work
version=$("$top/scripts/lab/version")
# A package or an install of this system is not there.
dpkg --purge redirmap-dkms redirmap-tools >/dev/null 2>&1
rm -rf /usr/src/redirmap-* /var/lib/dkms/redirmap /usr/local/sbin/redirmap

# Kernels that the module supports, and one that it does not.
supported=$("$top/scripts/lab/kernel" dkms)
kernels=()
for build in /lib/modules/*/build; do
	[ -e "$build/include" ] || continue
	release=${build%/build}
	release=${release##*/}
	if [[ $release =~ $supported && $release != *-@(rt|cloud)-* ]]; then
		kernels+=("$release")
	else
		rm "$build"
	fi
done
old=5.10.0-0-amd64
mkdir -p /lib/modules/$old/build/include
echo "CONFIG_BPF_SYSCALL=y" >/lib/modules/$old/build/.config
# DKMS builds for all kernels, not for the newest one alone.
mkdir -p /etc/dkms
cat >/etc/dkms/framework.conf <<-END
	autoinstall_all_kernels=yes
	mok_signing_key=/etc/dkms/test.key
	mok_certificate=/etc/dkms/test.pub
END
export DEBIAN_FRONTEND=noninteractive

# All files that somebody has made or changed in this namespace, and all folders
# that are new, without databases. The kernels' links to their headers are
# those that the test itself moves.
files()
{
	(
		cd /mnt/upper || exit
		find . ! -type c ! -type d ! -name 'modules.*' ! -path './etc/dkms/test.*' \
			! -path './var/lib/dpkg*' ! -path './var/log*' ! -path './var/cache*' \
			! -path './usr/lib/modules/*/build' -print
		find . -type d ! -path './var/lib/dkms' ! -path './var/cache*' -print |
			while read -r dir; do
				[ -d "/mnt/lower/$dir" ] || echo "$dir"
			done
	) | sort
}

build()
{
	local rc=0

	"$top/scripts/lab/deb" $work/deb || rc=1
	[ "$(cd $work/deb && echo ./*.deb)" = \
		"./redirmap-dkms_${version}_all.deb ./redirmap-tools_${version}_all.deb" ] || rc=1
	return $rc
}
result "make deb: two packages, without a finding of lintian" build

# dkms.conf has the same conditions as the module itself, except those of
# PREEMPT_RT, which dkms.conf cannot express.
same_conditions()
{
	diff <(sed -n 's/^BUILD_EXCLUSIVE_CONFIG="\(.*\)"$/\1/p' \
		"/usr/src/redirmap-$version/dkms.conf" | tr ' ' '\n') \
		<(sed -n 's/^\t{ "\(CONFIG_[A-Z_]*\)",.*/\1/p' "$top/src/main.c" |
			grep -v '^CONFIG_PREEMPT_RT_')
}

# Releases of kernels in scripts/lab/kernels, and others that look like them.
conditions_hold()
{
	local rc=0 release pattern

	pattern=$(sed -n 's/^BUILD_EXCLUSIVE_KERNEL="\(.*\)"$/\1/p' \
		"/usr/src/redirmap-$version/dkms.conf")
	for release in 6.1.0-49-amd64 6.1.0-49-rt-amd64 6.12.95+deb12-amd64 6.12.117+deb13-amd64 \
		7.3.4+deb13-amd64; do
		[[ $release =~ $pattern ]] || {
			echo "$release is not supported"
			rc=1
		}
	done
	for release in $old 6.10.1-amd64 6.11.2+bpo-amd64 6.120.1-amd64 6.13.1-amd64 7.0.1-amd64 \
		7.30.1-amd64 7.4.1+deb13-amd64 16.1.0-amd64 61.0.1-amd64; do
		[[ ! $release =~ $pattern ]] || {
			echo "$release is supported"
			rc=1
		}
	done
	# The page has the same versions.
	grep -zoE 'builds the module for: [^:]* x86' "$top/Documentation/install.rst" |
		tr -d '\0' | grep -oE '[0-9]+\.[0-9]+' | diff - <(
			grep -oE '[0-9]+(\[\.\][0-9]+)+' <<<"$pattern" | sed 's/\[\.\]/./g') || rc=1
	return $rc
}

# built FOLDER : the module is installed for all kernels
built()
{
	local rc=0 release

	for release in "${kernels[@]}"; do
		file=/lib/modules/$release/updates/dkms/redirmap.ko
		ls "$file"* || rc=1
		[ "$(modinfo -k "$release" -F version redirmap)" = "$version" ] || rc=1
		[[ $(modinfo -k "$release" -F vermagic redirmap) == "$release "* ]] || rc=1
	done
	[ -z "$(find /lib/modules/$old -name 'redirmap*')" ] || rc=1
	return $rc
}

install_packages()
{
	local rc=0

	files >$work/before
	dpkg -i $work/deb/*.deb >$work/said 2>&1 || rc=1
	cat $work/said
	! grep -iE 'bad return|bad exit|failed' $work/said || rc=1
	grep -A 3 "Building initial module for $old" $work/said | grep Skipped || rc=1
	built || rc=1
	cp "/lib/modules/${kernels[-1]}/updates/dkms/"redirmap.ko* $work || rc=1
	same_conditions || rc=1
	conditions_hold || rc=1
	[ "$(command -v redirmap)" = /usr/sbin/redirmap ] || rc=1
	redirmap --version | grep -x "redirmap $version; .*" || rc=1
	man -w redirmap | grep -x '/usr/share/man/man8/redirmap.8.gz' || rc=1
	# Nothing loads the module at boot.
	! grep -rs redirmap /etc/modules /etc/modules-load.d /usr/lib/modules-load.d \
		/etc/modprobe.d /usr/lib/modprobe.d /etc/systemd || rc=1
	return $rc
}
result "the packages are installed, the module built for ${kernels[*]}, and not for $old" \
	install_packages

refused()
{
	local rc=0

	! make -s -C "$top" dkms-install >$work/said 2>&1 || rc=1
	cat $work/said
	grep "the package redirmap-dkms is installed" $work/said || rc=1
	built || rc=1
	return $rc
}
result "make dkms-install leaves the package alone" refused

purged()
{
	local rc=0

	dpkg --purge redirmap-dkms redirmap-tools || rc=1
	files | diff $work/before - || rc=1
	return $rc
}
result "the packages are purged, and leave no file" purged

by_make()
{
	local rc=0 release=${kernels[-1]}

	files >$work/before
	for build in "${kernels[@]}"; do
		mv "/lib/modules/$build/build" "$work/build-$build"
	done
	make -s -C "$top" dkms-install >$work/said 2>&1 || rc=1
	cat $work/said
	grep -x "dkms: $old: not supported" $work/said || rc=1
	grep "no headers of a supported kernel" $work/said || rc=1
	[ "$(dkms status redirmap)" = "redirmap/$version: added" ] || rc=1
	# The headers of this kernel are installed later.
	mv "$work/build-$release" "/lib/modules/$release/build"
	kernels=("$release")
	# The module was compiled before.
	[ ! -e $work/redirmap.ko.xz ] || xz -d $work/redirmap.ko.xz || rc=1
	fake_make || rc=1
	PATH=$work/bin:$PATH /etc/kernel/header_postinst.d/dkms "$release" || rc=1
	built || rc=1
	make -s -C "$top" dkms-uninstall || rc=1
	[ -z "$(dkms status redirmap)" ] || rc=1
	make -s -C "$top" dkms-uninstall || rc=1
	files | diff $work/before - || rc=1
	return $rc
}
result "make dkms-install, a kernel that is added later, make dkms-uninstall" by_make
finish
