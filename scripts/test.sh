#!/bin/bash
# SPDX-License-Identifier: MIT
#
# ./dev test: every suite in several builds, one summary. Its last line on standard output is
# "N passed, N failed, N skipped" over all builds, counted from meson's own records.
set -u
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage() {
	cat <<'EOF'
NAME
    dev test - build and run the tests

SYNOPSIS
    ./dev test [--quick] [--list] [SUITE...]

DESCRIPTION
    Builds and tests these variants, one after the other:

    gcc     all suites: unit functional vm fuzz style      in build/
    release compiled with -O3; unit                        in build-release/
    clang   compiled with clang; unit                      in build-clang/
    asan    AddressSanitizer and UndefinedBehaviour-       in build-asan/
            Sanitizer; unit functional fuzz
    tsan    ThreadSanitizer; unit functional               in build-tsan/

    Compiler warnings are errors in all of them. A variant that does not
    compile counts as one failure.

    SUITE limits the run to these suites; a variant that has none of them is
    left out.

OPTIONS
    --quick    only the gcc variant
    --list     list the tests of the gcc variant and run nothing

EXIT STATUS
    0 if at least one test passed and none failed, else 1; 2: wrong usage. A
    skipped test says why in its log: DIR/meson-logs/testlog.txt.
EOF
}

quick=0 list=0
suites=()
while [ $# -gt 0 ]; do
	case $1 in
	--quick) quick=1 ;;
	--list) list=1 ;;
	-h | --help) usage && exit 0 ;;
	unit | functional | vm | fuzz | style) suites+=("$1") ;;
	*) die_usage "there is no suite or option '$1'" "see ./dev test --help" ;;
	esac
	shift
done

passed=0 failed=0 skipped=0
failures=()

# names DIR PATTERN: the tests in meson's record whose result matches.
names() {
	sed -n -E 's/^\{"name": "([^"]*)".*"result": "('"$2"')".*/\1/p' "$1/meson-logs/testlog.json"
}

count() {
	local dir=$1 variant=$2 name bad
	[ -f "$dir/meson-logs/testlog.json" ] || return 1
	bad='FAIL|TIMEOUT|ERROR|INTERRUPT|UNEXPECTEDPASS'
	passed=$((passed + $(names "$dir" 'OK|EXPECTEDFAIL' | wc -l)))
	skipped=$((skipped + $(names "$dir" SKIP | wc -l)))
	while read -r name; do
		failed=$((failed + 1))
		failures+=("$variant: $name (log: $dir/meson-logs/testlog.txt)")
	done < <(names "$dir" "$bad")
}

variant_failed() {
	failed=$((failed + 1))
	failures+=("$1: $2")
}

# The suites of a variant that the user wants, as meson's options. Empty: leave it out.
chosen() {
	local suite
	for suite in "$@"; do
		if [ ${#suites[@]} -eq 0 ] || [[ " ${suites[*]} " == *" $suite "* ]]; then
			printf -- '--suite %s ' "$suite"
		fi
	done
}

# variant NAME DIR "SUITES" [MESON-OPTION...]
variant() {
	local name=$1 dir=$2 wanted before
	# shellcheck disable=SC2086 # a list of words
	wanted=$(chosen $3)
	shift 3
	[ -n "$wanted" ] || return 0
	say "variant $name"
	# Options are given to meson when they are new to this directory.
	local options="$*"
	[ "$(cat "$dir/dev-options" 2>/dev/null)" != "$options" ] || set --
	VGPU_BUILD=$dir "$VGPU_ROOT/scripts/build.sh" "$@" ||
		{ variant_failed "$name" "does not build" && return; }
	echo "$options" >"$dir/dev-options"
	rm -f "$dir/meson-logs/testlog.json"
	before=$SECONDS
	# shellcheck disable=SC2086
	VGPU_BUILD=$dir meson test -C "$dir" --no-rebuild --print-errorlogs $wanted >"$dir/dev-test.log" 2>&1
	grep -v -e '^ninja: ' -e '^$' "$dir/dev-test.log" >&2
	count "$dir" "$name" || grep -q 'No suitable tests' "$dir/dev-test.log" ||
		variant_failed "$name" "meson test gave no record"
	say "variant $name: $((SECONDS - before)) s"
}

run_variants() {
	variant gcc "$VGPU_BUILD" 'unit functional vm fuzz style'
	[ $quick -eq 0 ] || return 0
	# More optimisation finds more warnings; ./dev bench and ./dev bundle use the same folder.
	variant release "$VGPU_ROOT/build-release" 'unit' -Dbuildtype=release
	CC=clang CXX=clang++ variant clang "$VGPU_ROOT/build-clang" 'unit'
	variant asan "$VGPU_ROOT/build-asan" 'unit functional fuzz' \
		-Db_sanitize=address,undefined -Db_lundef=false
	# gcc warns that ThreadSanitizer does not model fences; it still sees every other order.
	variant tsan "$VGPU_ROOT/build-tsan" 'unit functional' -Db_sanitize=thread \
		-Db_lundef=false -Dc_args=-Wno-tsan
}

# A sanitizer that finds something must end the program, else its test could pass.
export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:abort_on_error=0:exitcode=99}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1:exitcode=99}
export TSAN_OPTIONS=${TSAN_OPTIONS:-halt_on_error=1:exitcode=99:suppressions=$VGPU_ROOT/tests/tsan.supp}

if [ $list -eq 1 ]; then
	"$VGPU_ROOT/scripts/build.sh" && exec meson test -C "$VGPU_BUILD" --list
	exit 1
fi
run_variants
for f in ${failures+"${failures[@]}"}; do
	warn "$f"
done
status=1
if [ $failed -eq 0 ] && [ $passed -gt 0 ]; then
	status=0
	good "all tests passed"
elif [ $failed -eq 0 ]; then
	warn "no test ran"
fi
echo "$passed passed, $failed failed, $skipped skipped"
exit $status
