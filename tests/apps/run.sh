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
Usage: tests/apps/run.sh [--out DIR] [--rounds N] [--python PROGRAM]
                         [--baseline DIR] [--device cuda|soft] [NAME...]
       tests/apps/run.sh --names

Runs the applications (all, or those named) natively and through a mediator over
the unix transport, and compares. Needs an NVIDIA GPU and, for each application,
its framework; what is not installed is skipped. Reports and logs go to DIR
(default: apps-results), a table of all times to DIR/times.md. --rounds N runs
both sides N times in turns; a time is the median then (default: 1). --python
names the interpreter that has the frameworks (default: python3). --baseline DIR
compares with the libcuda.so.1 in DIR instead of the driver's. VGPU_APP_SECONDS
(default 600) bounds each run.

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

out=apps-results python=python3 baseline='' device=cuda rounds=1 apps=()
while [ $# -gt 0 ]; do
	case $1 in
	--out | --python | --baseline | --device | --rounds)
		[ $# -gt 1 ] || die_usage "$1 needs a value" "see tests/apps/run.sh --help"
		case $1 in
		--out) out=$2 ;;
		--python) python=$2 ;;
		--baseline) baseline=$2 ;;
		--device) device=$2 ;;
		--rounds) rounds=$2 ;;
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
[[ $rounds =~ ^[1-9][0-9]?$ ]] || die_usage "--rounds wants a number from 1 to 99, not '$rounds'" "see tests/apps/run.sh --help"
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

# run NAME KIND ROUND: one run, with the libcuda.so.1 of the loader, of --baseline, or ours. Its exit status.
run() {
	local name=$out/$1.$2.$3 path=$baseline
	[ "$2" = native ] || path=$VGPU_BUILD/shim:$VGPU_BUILD/shim/nvml
	env "LD_LIBRARY_PATH=$path${LD_LIBRARY_PATH:+${path:+:}$LD_LIBRARY_PATH}" "VGPU_SOCKET_PATH=$dir/mediator.sock" \
		VGPU_TRANSPORT=unix "APP_OUT=$name.json" PYTHONDONTWRITEBYTECODE=1 timeout -k 5 "${VGPU_APP_SECONDS:-600}" \
		"$python" "$here/$1.py" >"$name.log" 2>&1 </dev/null
}

# failed NAME WHY [LOG]
failed() {
	failed=$((failed + 1))
	printf '%-18s FAILED    %s\n' "$1" "$2"
	[ $# -lt 3 ] || tail -n 8 "$3" | sed 's/^/    /'
}

# compare NAME [OPTION]: what compare.py says of all reports of this application.
compare() {
	"$python" "$here/compare.py" "${@:2}" --native "$out/$1".native.*.json --mediated "$out/$1".mediated.*.json 2>&1
}

# try NAME: one application, both ways, in turns.
try() {
	local kind round status
	rm -f "$out/$1".{native,mediated}.*.{json,log}
	for ((round = 1; round <= rounds; round++)); do
		for kind in native mediated; do
			run "$1" "$kind" "$round"
			status=$?
			if [ $status -eq 77 ] && [ "$kind" = native ]; then
				skipped=$((skipped + 1))
				printf '%-18s skipped   %s\n' "$1" "$(sed -n 's/^skipped: //p' "$out/$1.native.1.log" | head -n 1)"
				return
			elif [ $status -ne 0 ]; then
				failed "$1" "$kind, exit status $status" "$out/$1.$kind.$round.log"
				return
			fi
		done
	done
	if compare "$1" >"$out/$1.txt"; then
		passed=$((passed + 1))
		printf '%-18s ok        %d results equal\n' "$1" "$(jq '.results | length' "$out/$1.native.1.json")"
	else
		failed "$1" 'results differ'
	fi
	cat "$out/$1.txt"
	compare "$1" --markdown | grep '^|' | sed "s/^/| $1 /" >"$out/$1.rows"
}

mediator_start "$dir" --device "$device"
for name in "${apps[@]}"; do
	try "$name"
done
cp "$dir/mediator.log" "$out/mediator.log"
{
	echo '| application | what | native, ms | mediated, ms | ratio | wanted |'
	echo '| --- | --- | --- | --- | --- | --- |'
	find "$out" -name '*.rows' | sort | xargs -r cat
} >"$out/times.md"
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ] || exit 1
# One that was skipped says so by its status, for whoever counts.
[ $passed -gt 0 ] || exit 77
