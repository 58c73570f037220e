# SPDX-License-Identifier: GPL-2.0-only
# shellcheck shell=bash
#
# Images of kernels, for scripts/lab/kernel: the ELF file in a bzImage, and the
# BTF in an ELF file. This file is sourced, after lib.sh.
#
# unpack_vmlinuz FILE OUT	unpack the ELF image in a bzImage
# is_btf FILE		is it raw BTF?
# btf_of_elf ELF OUT	copy the BTF of an ELF file, or fail

# print the little-endian number of SIZE bytes at OFFSET of FILE
number()
{
	od -An -v --endian=little -t "u$3" -j "$2" -N "$3" "$1" | tr -d ' '
}

# unpack_vmlinuz FILE OUT : unpack the ELF image in a bzImage. The setup header
# has its offset (Documentation/arch/x86/boot.rst).
unpack_vmlinuz()
{
	local file=$1 out=$2 payload=$2.payload sects start length magic
	local unpack

	if [[ $(number "$file" $((0x202)) 4) != $((0x53726448)) ]]; then
		die "$file is not a bzImage"
	fi
	sects=$(number "$file" $((0x1f1)) 1)
	start=$(number "$file" $((0x248)) 4)
	length=$(number "$file" $((0x24c)) 4)
	if ((start == 0 || length < 16)); then
		die "the setup header of $file has no payload"
	fi
	start=$((start + (${sects/#0/4} + 1) * 512))

	# in all formats except gzip, the unpacked size follows the data, 4
	# bytes
	magic=$(od -An -v -t x1 -j "$start" -N 6 "$file" | tr -d ' ')
	case $magic in
	fd377a585a00) unpack=(xz -dc) length=$((length - 4)) ;;
	28b52ffd*) unpack=(zstd -qdc) length=$((length - 4)) ;;
	02214c18*)
		need_pkgs lz4
		unpack=(lz4 -qdc) length=$((length - 4))
		;;
	1f8b*) unpack=(gzip -dc) ;;
	7f454c46*) unpack=(cat) ;;
	*) die "$file: unknown compression ($magic)" ;;
	esac
	tail -c +$((start + 1)) "$file" | head -c "$length" > "$payload" || :
	if [[ $(stat -c %s "$payload") != "$length" ]]; then
		die "$file is truncated"
	fi
	"${unpack[@]}" < "$payload" > "$out"
	rm -f "$payload"
}

is_btf()
{
	[[ -s $1 && $(number "$1" 0 2) == $((0xeb9f)) ]]
}

# btf_of_elf ELF OUT
btf_of_elf()
{
	objcopy --dump-section .BTF="$2" "$1" "$2.elf" 2> /dev/null || return 1
	rm -f "$2.elf"
	is_btf "$2"
}
