#!/bin/bash
# SPDX-License-Identifier: MIT
# Shared memory of reserved huge pages: taken where there are some, done without where there are none, and a session that
# must have them is refused in so many words.
. "$(dirname "$0")/lib.sh"
need=32	# pages of 2 MiB
free=$(awk '/^HugePages_Free/ { f = $2 } /^HugePages_Rsvd/ { r = $2 } /^Hugepagesize/ { s = $2 } END { print s == 2048 ? f - r : 0 }' /proc/meminfo)

# huge OPTIONS...: of which pages the memory is, for a session under these options that works.
huge() {
	mediator_options=(--shm-size 64M "$@")
	mediator_up
	start pinned "$programs/pinned" 8 4 300
	soon 10 status_is "$live_sessions" 1
	soon 10 status_is '[.vms[].sessions[] | .ran][0]' true
	answer=$(status '[.vms[].sessions[] | .pages][0]')
	wait "$started" || fail "pinned memory is not right under: $*"
	mediator_down
}

case $(cat /sys/kernel/mm/transparent_hugepage/shmem_enabled 2>/dev/null) in
*'[never]'* | *'[deny]'* | '') others=small ;;
*) others=transparent ;;
esac
huge --huge-pages never
expect "pages where no reserved ones are wanted" $others "$answer"
huge --huge-pages auto
if [ "$free" -ge "$need" ]; then
	expect "pages where $free are reserved" reserved "$answer"
	huge --huge-pages always
	expect "pages where they must be reserved" reserved "$answer"
	exit 0
fi
expect "pages where none are reserved" $others "$answer"
mediator_options=(--shm-size 64M --huge-pages always)
mediator_up
"$programs/pinned" 8 1 >"$work/out.log" 2>&1 && fail "a session was served without the pages that it must have"
says mediator 'no huge pages for 64 MiB of shared memory: raise vm.nr_hugepages' || fail "the log does not say what is missing"
mediator_down
