#!/bin/bash
# SPDX-License-Identifier: MIT
# The tool shellcheck has nothing to say about the scripts.
. "$(dirname "$0")/files.sh"

command -v shellcheck >/dev/null || exit 77
scripts | xargs -r -d '\n' shellcheck -x
