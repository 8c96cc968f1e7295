#!/bin/bash
# SPDX-License-Identifier: MIT
# The style tests can fail: each refuses a tree with one offence, and accepts it without.
set -u
here=$(cd "$(dirname "$0")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
mit='/* SPDX-License-Identifier: MIT */'
bad=0

# offence TEST FILE TEXT
offence() {
	rm -rf "$tmp/t"
	mkdir -p "$tmp/t/stub" "$tmp/t/shim" "$tmp/t/docs/man"
	printf '%s\nint x;\n' "$mit" >"$tmp/t/good.c"
	bash "$here/$1" "$tmp/t" >/dev/null || { echo "$1 refuses a good tree" && bad=1; }
	printf '%b\n' "$3" >"$tmp/t/$2"
	! bash "$here/$1" "$tmp/t" >/dev/null || { echo "$1 accepts: $2: $3" && bad=1; }
}

offence banned.sh a.c "$mit\nvoid f(char *a){ str""cpy(a, a); }"
offence banned.sh a.md "TO""DO: later"
offence length.sh a.c "$(yes ';' | head -n 801)"
offence length.sh a.c "int f(void)\n{\n$(yes ';' | head -n 81)\n}"
offence spdx.sh a.c 'int y;'
offence spdx.sh stub/a.c "$mit"
offence documented.sh a.md '[more](missing.md)'
offence documented.sh shim/a.c "$mit\nint f(void) { return !getenv(\"VGPU_NEW\"); }"
offence documented.sh docs/man/vgpu-guest.7 '.B VGPU_OLD'
offence places.sh a.md 'see /ro''ot/notes'
exit $bad
