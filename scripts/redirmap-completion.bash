# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Completion for redirmap(8), in bash.

_redirmap()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	local command='' i words

	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		list | watch | drops | state) command=${COMP_WORDS[i]} ;;
		esac
	done

	words='--json --all-netns --help'
	case $command in
	'') words+=' list watch drops state' ;;
	list) words+=' --map --target' ;;
	watch) words+=' --count' ;;
	esac
	# These take numbers.
	case $before in
	--map | --target | --count) words='' ;;
	esac
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}

complete -F _redirmap redirmap
