# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-only
#
# Completion for redirmap(8), in bash.

# _redirmap_ids MAP|TARGET [COLUMN] : print the ids of maps or targets, or
# another column of the table that begins with this word.
_redirmap_ids()
{
	local -a cells
	local inside=''

	while read -ra cells; do
		if [[ ${cells[0]-} == "$1" ]]; then
			inside=1
		elif ((!${#cells[@]})); then
			inside=''
		elif [[ $inside ]]; then
			echo "${cells[${2-0}]}"
		fi
	done < <(redirmap list 2> /dev/null)
}

_redirmap()
{
	local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]}
	local earlier=${COMP_WORDS[COMP_CWORD > 1 ? COMP_CWORD - 2 : 0]}
	local command='' i words IFS=$' \t\n'
	local -a offered

	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		list | watch | drops | holders | sockets | metrics | state | help)
			command=${COMP_WORDS[i]}
			break
			;;
		esac
	done

	words='--json --all-netns --help --version'
	case $command in
	'') words+=' list watch drops holders sockets metrics state help' ;;
	list | drops)
		words+=" --map --target map target dev id name $(_redirmap_ids TARGET 1)"
		[[ $command == list ]] || words+=' --since'
		;;
	holders | sockets) words+=' --map map id name' ;;
	watch) words+=' --count' ;;
	metrics) words+=' --output' ;;
	help) words='list watch drops holders sockets metrics state help' ;;
	esac
	case $command/$earlier/$before in
	*/--target | */target/id) words=$(_redirmap_ids TARGET) ;;
	*/--map | [ldh]*/*/id | so*/*/id) words=$(_redirmap_ids MAP) ;;
	[ld]*/*/target) words="id $(_redirmap_ids TARGET)" ;;
	[ldh]*/*/map | so*/*/map) words="id name $(_redirmap_ids MAP)" ;;
	[ldh]*/*/name | so*/*/name) words=$(_redirmap_ids MAP 1) ;;
	[ld]*/*/dev) words=$(_redirmap_ids TARGET 1) ;;
	# These take numbers, for which there are no suggestions.
	*/--count | */--since) words='' ;;
	*/--output)
		mapfile -t COMPREPLY < <(compgen -f -- "$word")
		return
		;;
	esac
	# Not by compgen -W, which would run $(reboot), a valid name of a
	# device.
	read -rd '' -a offered <<< "$words"
	COMPREPLY=()
	for i in "${offered[@]}"; do
		printf -v i %q "$i"
		[[ $i != "$word"* ]] || COMPREPLY+=("$i")
	done
}

complete -F _redirmap redirmap
