# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# The guest's part of scripts/lab/vm: the scripts that run in the guest before
# and after the command, and the initramfs that contains them. This file is
# sourced.

# The first stage runs in the initramfs: from the kernel's start to a root file
# system.
stage1()
{
	cat << 'END'
#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
fail()
{
	echo "redirmap-vm: $*" > /dev/kmsg
	poweroff -f
}

mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
while read -r module; do
	insmod "/modules/$module" || fail "cannot load $module"
done < /modules/order
. /run.conf

# mount_host TAG DIR OPTIONS CACHE : mount a folder of the host
mount_host()
{
	case $SHARED_BY in
	9p) mount -t 9p -o "$3,trans=virtio,version=9p2000.L,msize=262144,cache=$4" "$1" "$2" ;;
	virtiofs) mount -t virtiofs -o "$3" "$1" "$2" ;;
	esac
}

mount_host root /lower ro loose || fail "no root over $SHARED_BY"
mount -t tmpfs -o mode=755 tmpfs /rw
mkdir /rw/upper /rw/work /rw/mupper /rw/mwork
# the host's folder below the copies of some of its files
mount -t overlay -o lowerdir=/copies:/lower,upperdir=/rw/upper,workdir=/rw/work \
	overlay /new || fail "no overlay"
mount --bind /new /plain

cd /new || fail "no /new"
mkdir -p dev proc sys run tmp "lib/modules/$RELEASE"
# the kernel's modules, over the host's folder (which has the link to the
# headers)
mount -t overlay -o "lowerdir=/lower$MODULES:/plain/lib/modules/$RELEASE,upperdir=/rw/mupper,workdir=/rw/mwork" \
	overlay "/new/lib/modules/$RELEASE" || fail "no modules"
mount --move /dev dev
mount --move /proc proc
mount --move /sys sys
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mkdir -p dev/pts dev/shm
mount -t devpts -o mode=620,ptmxmode=666 devpts dev/pts
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ln -s /proc/self/fd dev/fd
ln -s fd/0 dev/stdin
ln -s fd/1 dev/stdout
ln -s fd/2 dev/stderr
mount -t bpf -o mode=700 bpf sys/fs/bpf
mount -t debugfs debugfs sys/kernel/debug
mount -t tracefs tracefs sys/kernel/tracing
mount -t cgroup2 cgroup2 sys/fs/cgroup

# the current folder, if one of the mounts above hides it
case $CWD in
/tmp | /run) ;;
/tmp/* | /run/* | /dev/shm/*)
	mkdir -p "/new$CWD"
	mount --bind "/plain$CWD" "/new$CWD"
	;;
esac
i=0
while read -r dir; do
	mkdir -p "/new$dir"
	mount_host "share$i" "/new$dir" rw mmap ||
		fail "cannot share $dir"
	i=$((i + 1))
done < /shares

mkdir run/redirmap-vm
cp /bin/busybox /run.conf /shares /command /stage2 run/redirmap-vm
umount /plain
# switch_root would delete the copies.
mount --move . /
exec chroot . /run/redirmap-vm/busybox sh /run/redirmap-vm/stage2
END
}

# The second stage runs the command, returns its status, and powers off.
stage2()
{
	cat << 'END'
#!/bin/sh
# SPDX-License-Identifier: GPL-2.0-only
own=/run/redirmap-vm
bb=$own/busybox
. $own/run.conf
cd /

# port NAME : print the device of the virtio port with this name
port()
{
	while :; do
		for p in /sys/class/virtio-ports/*; do
			read -r name < "$p/name" 2> /dev/null || continue
			if [ "$name" = "$1" ] && [ -c "/dev/${p##*/}" ]; then
				echo "/dev/${p##*/}"
				return
			fi
		done
		$bb sleep 0.02
	done
}

# end_all PID... : kill all processes except this one, the kernel's and the
# given ones
end_all()
{
	for p in /proc/[0-9]*; do
		p=${p#/proc/}
		case " 1 $* " in *" $p "*) continue ;; esac
		$bb readlink "/proc/$p/exe" > /dev/null 2>&1 &&
			kill -9 "$p" 2> /dev/null
	done
}

$bb hostname redirmap
$bb ip link set lo up
status_port=$(port status)

if [ -n "$TTY" ]; then
	size_port=$(port size)
	while read -r rows cols; do
		$bb stty -F /dev/hvc0 rows "$rows" cols "$cols"
	done < "$size_port" &
	$bb stty -F /dev/hvc0 sane rows "${TTY% *}" cols "${TTY#* }"
	(exec $bb setsid -c bash $own/command < /dev/hvc0 > /dev/hvc0 2>&1)
	status=$?
	end_all
else
	# The output goes through a pipe, because a port can be opened only
	# once, and processes of the command may open their stdout again
	# (/dev/stderr).
	$bb mkfifo $own/output
	$bb cat $own/output > "$(port output)" &
	output=$!
	# The shell's own "Terminated" goes to the console, outside the
	# brackets.
	(exec $bb setsid bash $own/command < /dev/null > $own/output 2>&1)
	status=$?
	end_all "$output"
	wait "$output"
fi

while read -r dir; do
	$bb umount "$dir"
done < $own/shares
echo "$status" > "$status_port"
$bb poweroff -f
END
}

# secure_boot FIRMWARE CERT IMAGE FOLDER ARGUMENTS : make the disk from which a
# machine with Secure Boot boots the image with FOLDER/initramfs, FOLDER/esp,
# and its variables, FOLDER/vars.fd
secure_boot()
{
	local firmware=$1 cert=$2 image=$3 run=$4 words word
	local esp=$run/esp owner=7265646d-6170-4d4f-8b00-000000000001

	mkdir -p "$esp/EFI/BOOT" "$esp/EFI/debian"
	cp "$firmware/shim.efi" "$esp/EFI/BOOT/BOOTX64.EFI"
	cp "$firmware/grub.efi" "$esp/EFI/BOOT/grubx64.efi"
	cp "$image" "$esp/vmlinuz"
	mv "$run/initramfs" "$esp/initramfs"
	read -ra words <<< "$5"
	{
		printf 'linux /vmlinuz'
		for word in "${words[@]}"; do
			printf " '%s'" "${word//\'/\'\\\'\'}"
		done
		printf '\ninitrd /initramfs\nboot\n'
	} > "$esp/EFI/debian/grub.cfg"
	PYTHONPATH=$firmware/python /usr/bin/python3 -m virt.firmware.vars --loglevel error \
		--input "$firmware/vars.fd" --add-mok "$owner" "$cert" --output "$run/vars.fd"
}

# shared_by RELEASE FOLDER : print 9p or virtiofs; the cloud kernels have no 9p
shared_by()
{
	local fs

	for fs in 9p virtiofs; do
		if PATH=$PATH:/usr/sbin:/sbin modprobe -d "$2" -S "$1" \
			--show-depends "$fs" > /dev/null 2>&1; then
			echo "$fs"
			return
		fi
	done
	die "kernel $1 has neither 9p nor virtiofs"
}

# initramfs RELEASE FOLDER FS : create the part of the initramfs that all runs
# share, and print its path. If this script or the modules change, the part is
# created again.
initramfs()
{
	local rel=$1 dir=$2 hash out tmp module file modules
	local want=(virtio_pci virtio_console overlay "$3")

	if [[ $3 == 9p ]]; then
		want+=(9pnet_virtio)
	fi
	hash=$( (stage1; stage2; declare -f initramfs
		stat -c '%s %y' "$dir/lib/modules/$rel/modules.dep" \
			/bin/busybox) | sha256sum | cut -c 1-16)
	out=$dir/initramfs-$hash.cpio
	if [[ -e $out ]]; then
		printf '%s\n' "$out"
		return
	fi
	(
		lock "initramfs-$rel"
		[[ ! -e $out ]] || exit 0
		say "making the initramfs of $rel"
		scratch
		tmp=$SCRATCH
		mkdir -p "$tmp"/{bin,modules,dev,proc,sys,lower,copies,rw,new,plain}
		cp /bin/busybox "$tmp/bin/"
		for file in sh mount umount mkdir insmod cp ln chroot poweroff; do
			ln -s busybox "$tmp/bin/$file"
		done
		stage1 > "$tmp/init"
		stage2 > "$tmp/stage2"
		chmod 755 "$tmp/init" "$tmp/stage2"

		modules=$(for module in "${want[@]}"; do
			PATH=$PATH:/usr/sbin:/sbin modprobe -d "$dir" -S "$rel" \
				--show-depends "$module" ||
				die "kernel $rel has no module $module"
		done)
		# "insmod PATH", or "builtin NAME"
		awk '$1 == "insmod" && !seen[$2]++ { print $2 }' \
			<<< "$modules" > "$tmp/modules/paths"
		while read -r file; do
			module=${file##*/}
			module=${module%.ko*}
			case $file in
			*.ko) cp "$file" "$tmp/modules/$module.ko" ;;
			*.xz) xz -dc "$file" > "$tmp/modules/$module.ko" ;;
			*.zst) zstd -qdc "$file" > "$tmp/modules/$module.ko" ;;
			*.gz) gzip -dc "$file" > "$tmp/modules/$module.ko" ;;
			*) die "$file: unknown compression" ;;
			esac
			printf '%s\n' "$module.ko" >> "$tmp/modules/order"
		done < "$tmp/modules/paths"
		rm "$tmp/modules/paths"
		touch "$tmp/modules/order"

		rm -f "$dir"/initramfs-*
		(cd "$tmp" && find . -mindepth 1 | cpio --quiet -o -H newc \
			-R 0:0) > "$dir/.initramfs.new"
		mv "$dir/.initramfs.new" "$out"
	)
	printf '%s\n' "$out"
}

# copies HERE : print the path of the archive of the host's files that
# HERE/vm-copies.py selects. It is created again if one of the files has
# changed. Without an archive the guest is slower.
copies()
{
	local out

	out=$REDIRMAP_CACHE/copies-$( (declare -f make_copies
		cat "$1/vm-copies.py") | sha256sum | cut -c 1-16)
	(
		lock copies
		copies_are_current "$out" || make_copies "$1" "$out"
	) || {
		say "no copies of the host's files"
		return 0
	}
	printf '%s\n' "$out.cpio"
}

# The list of the files is as old as the beginning of their copying.
copies_are_current()
{
	# shellcheck disable=SC2016 # for the inner shell
	[[ -e $1.cpio && -z $(xargs -d '\n' -a "$1.list" sh -c \
		'find "$@" -maxdepth 0 ! -type d -cnewer "$0" -print -quit' "$1.list" 2>&1) ]] &&
		touch "$1.cpio"
}

# This runs without errexit.
make_copies()
{
	local dir=$SCRATCH/copies.d

	find "$REDIRMAP_CACHE" -maxdepth 1 -name 'copies-*' -mtime +30 -delete
	# A link to the root gives all names their prefix.
	mkdir "$dir" &&
		ln -s / "$dir/copies" &&
		touch "$dir/began" &&
		"$1/vm-copies.py" > "$dir/list" &&
		(cd "$dir" && sed 's,^,copies,' list |
			cpio --quiet -o -H newc -R 0:0) > "$2.new" &&
		touch -r "$dir/began" "$dir/list" &&
		mv "$dir/list" "$2.list" &&
		mv "$2.new" "$2.cpio"
}
