#!/bin/bash
# SPDX-License-Identifier: MIT
# What the code reads and shows is described: environment variables, settings, options, keys of JSON. What the pages name
# as a variable is read, and links between documents lead somewhere.
. "$(dirname "$0")/files.sh"

# quoted PATTERN FOLDER-OR-FILE...: the quoted word in each match.
quoted() {
	local pattern=$1
	shift
	grep -rohE --include='*.c' "$pattern" "$@" 2>/dev/null | sed 's/^[^"]*"\([^"]*\)".*/\1/' | sort -u
}

# lacks PAGE BEFORE AFTER: those words on standard input that do not stand in the page between these two.
lacks() {
	local word
	while read -r word; do
		grep -qF -e "$2$word$3" "$1" 2>/dev/null || echo "$1: nothing about $word"
	done
}

# Names of variables in a page that no string of the code begins with.
unread() {
	local word
	grep -ohE 'VGPU_[A-Z_]+' "$@" 2>/dev/null | sort -u | while read -r word; do
		grep -rqE "\"${word}[\"=]" --include='*.c' shim uring-mediator 2>/dev/null || echo "$*: $word is not read"
	done
}

dead_links() {
	local file target
	sources '*.md' | while read -r file; do
		grep -oE '\]\([^)#: ]+' "$file" | cut -c 3- | while read -r target; do
			[ -e "$(dirname "$file")/$target" ] || echo "$file: there is no $target"
		done
	done
}

man=docs/man
host=uring-mediator
settings() {
	quoted '\{ "[a-z-]+", KIND_' $host/supervisor/config.c
}
found=$(
	quoted 'getenv\("[A-Z_]+"' shim | lacks $man/vgpu-guest.7 '' ''
	quoted 'getenv\("[A-Z_]+"' $host/{supervisor,worker,common,soft,ptx} | lacks $man/vgpu-mediator.8 '' ''
	quoted 'getenv\("[A-Z_]+"' $host/ctl | lacks $man/vgpuctl.1 '' ''
	for page in "$man"/*; do
		unread "$page"
	done
	settings | lacks $man/vgpu-mediator.8 'Fl Fl ' ''
	settings | lacks $host/systemd/mediator.conf ';' ' ='
	quoted '\{ "[a-z-]+", (no|required)_argument' $host/ctl | lacks $man/vgpuctl.1 'Fl Fl ' ''
	quoted '(add[a-z_]*|set|HOP)\(([a-z>-]+, )?"[a-z_0-9]+"' $host/supervisor/{report,trace}.c | lacks docs/protocol.md '`' '`'
	dead_links
)
finish "$found" "code and description differ here"
