#!/bin/bash
# SPDX-License-Identifier: MIT
set -u
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
	cat <<'EOF'
Usage: ./dev setup [report]

Installs the Debian packages of packages.txt that this machine lacks, by name;
with report those of packages-report.txt, for ./dev bench --report.
When nothing is missing it changes nothing, needs no root and no network.
EOF
}

list=$VGPU_ROOT/packages.txt

# The names in the list, comments and blank lines removed.
wanted() {
	sed -e 's/#.*//' -e 's/[[:space:]]//g' -e '/^$/d' "$list"
}

missing() {
	comm -13 \
		<(dpkg-query -W -f '${Package} ${db:Status-Status}\n' | sed -n 's/ installed$//p' | sort -u) \
		<(wanted | sort -u)
}

# Root is asked for here only, and only when a package is missing.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo "$@"
	else
		die "these packages are missing, and this user can neither be root nor use sudo: $need" \
			"as root: apt-get update && apt-get install -y --no-install-recommends $need"
	fi
}

# An index that is absent or too old does not know a package, or names a file that is gone.
install_packages() {
	export DEBIAN_FRONTEND=noninteractive
	# shellcheck disable=SC2086 # package names hold no blanks
	if apt-cache show $need >/dev/null 2>&1 &&
		as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $need >&2; then
		return 0
	fi
	as_root apt-get update >&2 || return 1
	# shellcheck disable=SC2086
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $need >&2
}

[ $# -le 1 ] || die_usage "setup takes one argument" "see ./dev setup --help"
case ${1:-} in
'') ;;
report) list=$VGPU_ROOT/packages-report.txt ;;
-h | --help) usage && exit 0 ;;
*) die_usage "setup takes no argument '$1'" "see ./dev setup --help" ;;
esac

command -v dpkg-query >/dev/null || die "this is not a Debian system (no dpkg-query)" \
	"install the equivalents of ${list##*/}, then use meson directly: see docs/HACKING.md"
need=$(missing | tr '\n' ' ')
need=${need% }
[ -n "$need" ] || exit 0
say "installing packages: $need"
install_packages || die "could not install: $need" \
	"the messages above say why; after repairing it run ./dev setup again"
left=$(missing | tr '\n' ' ')
[ -z "$left" ] || die "still missing after the installation: $left"
