#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Unmodified applications on the bare driver and through a mediator: each program of this folder runs on both, their
# results must be equal bit for bit, and their times are shown side by side.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../../scripts/common.sh"
. "$VGPU_ROOT/scripts/mediator.sh"

usage() {
	cat <<'EOF'
Usage: tests/apps/run.sh [--out DIR] [--python PROGRAM] [--baseline DIR]
                         [--device cuda|soft] [NAME...]
       tests/apps/run.sh --names

Runs the applications (all, or those named) natively and through a mediator over
the unix transport, and compares. Needs an NVIDIA GPU and, for each application,
its framework; what is not installed is skipped. Reports and logs go to DIR
(default: apps-results). --python names the interpreter that has the frameworks
(default: python3). --baseline DIR compares with the libcuda.so.1 in DIR instead of the driver's.
VGPU_APP_SECONDS (default 600) bounds each run.

Prints "N passed, N failed, N skipped". Exit status: 0 if nothing failed, 1 if
something did, 2 wrong usage, 77 without a GPU or if all were skipped.

Names:
EOF
	names | fmt -w 76 | sed 's/^/  /'
}

# A program is a .py file that begins with what it is; app.py, torch_app.py and compare.py are no programs.
names() {
	(cd "$here" && grep -L '^def main\|^def finish\|^def train(' ./*.py | sed 's,^\./,,; s/\.py$//' | sort | tr '\n' ' ')
}

out=apps-results python=python3 baseline='' device=cuda apps=()
while [ $# -gt 0 ]; do
	case $1 in
	--out | --python | --baseline | --device)
		[ $# -gt 1 ] || die_usage "$1 needs a value" "see tests/apps/run.sh --help"
		case $1 in
		--out) out=$2 ;;
		--python) python=$2 ;;
		--baseline) baseline=$2 ;;
		--device) device=$2 ;;
		esac
		shift
		;;
	--names) names && exit 0 ;;
	-h | --help) usage && exit 0 ;;
	*)
		[[ " $(names) " == *" $1 "* ]] || die_usage "there is no application '$1'" "see tests/apps/run.sh --help"
		apps+=("$1")
		;;
	esac
	shift
done
[ ${#apps[@]} -gt 0 ] || read -ra apps <<<"$(names)"
if [ -z "$baseline" ] && [ ! -e /dev/nvidiactl ]; then
	say "there is no NVIDIA GPU on this machine: skipped"
	exit 77
fi
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 1
dir=$(mktemp -d "${TMPDIR:-/tmp}/vgpu-apps.XXXXXX") || exit 1
trap 'mediator_stop; rm -rf "$dir"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
passed=0 failed=0 skipped=0

# run KIND NAME PATH: one run, with the libcuda.so.1 of the folder PATH, or the loader's. Its exit status.
run() {
	local report=$out/$2.$1.json
	rm -f "$report"
	env "LD_LIBRARY_PATH=$3${LD_LIBRARY_PATH:+${3:+:}$LD_LIBRARY_PATH}" "VGPU_SOCKET_PATH=$dir/mediator.sock" VGPU_TRANSPORT=unix \
		"APP_OUT=$report" PYTHONDONTWRITEBYTECODE=1 timeout -k 5 "${VGPU_APP_SECONDS:-600}" \
		"$python" "$here/$2.py" >"$out/$2.$1.log" 2>&1 </dev/null
}

# try NAME: one application, both ways.
try() {
	local kind status
	for kind in native mediated; do
		run "$kind" "$1" "$([ "$kind" = native ] && echo "$baseline" || echo "$VGPU_BUILD/shim")"
		status=$?
		if [ $status -eq 77 ] && [ "$kind" = native ]; then
			skipped=$((skipped + 1))
			printf '%-18s skipped   %s\n' "$1" "$(sed -n 's/^skipped: //p' "$out/$1.native.log" | head -n 1)"
			return
		elif [ $status -ne 0 ]; then
			failed=$((failed + 1))
			printf '%-18s FAILED    %s, exit status %d\n' "$1" "$kind" $status
			tail -n 8 "$out/$1.$kind.log" | sed 's/^/    /'
			return
		fi
	done
	if "$python" "$here/compare.py" "$out/$1.native.json" "$out/$1.mediated.json" >"$out/$1.txt" 2>&1; then
		passed=$((passed + 1))
		printf '%-18s ok        %d results equal\n' "$1" "$(jq '.results | length' "$out/$1.native.json")"
	else
		failed=$((failed + 1))
		printf '%-18s FAILED    results differ\n' "$1"
	fi
	cat "$out/$1.txt"
}

mediator_start "$dir" --device "$device"
for name in "${apps[@]}"; do
	try "$name"
done
cp "$dir/mediator.log" "$out/mediator.log"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ] || exit 1
# One that was skipped says so by its status, for whoever counts.
[ $passed -gt 0 ] || exit 77
