#!/bin/bash
# SPDX-License-Identifier: MIT
# The tree names no place of somebody's own machine: home directories, working folders, hosts.
. "$(dirname "$0")/files.sh"

places='(^|[^A-Za-z0-9_.}"*/])/(work|root|home/[a-z]+)/|/tmp/(team|issue)|[a-z0-9.-]+\.(internal|corp)\b'
hosts='(https?://)?(deb|security)\.debian\.org|(^|[^0-9.])(10|192\.168)(\.[0-9]{1,3}){2,3}'
found=$(sources '*' | grep -vE '^tests/style/|\.ptx$' |
	xargs -r -d '\n' grep -nHIE "$places|$hosts")
finish "$found" "these lines hold good on one machine only"
