#!/bin/bash
# SPDX-License-Identifier: MIT
# No C source calls a function that cannot be told its limits, or that sleeps blindly; no file
# carries a marker of unfinished work.
. "$(dirname "$0")/files.sh"

functions='strcpy|strcat|sprintf|vsprintf|gets|atoi|atol|strtok|usleep'
marks='TO''DO|FIX''ME|XX''X|HA''CK'
found=$(
	sources '*.c' '*.h' '*.cc' | xargs -r -d '\n' grep -nHE "(^|[^A-Za-z0-9_])($functions) *\("
	sources '*' | xargs -r -d '\n' grep -nHIwE "$marks"
)
finish "$found" "these functions and marks are not allowed here"
