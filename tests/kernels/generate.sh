#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes every .ptx here again from the .cu beside it. Needs nvcc of CUDA 13.
set -eu
[ $# -eq 0 ] || {
	echo "generate.sh takes no arguments; NVCC names the nvcc to use" >&2
	exit 2
}
cd "$(dirname "$0")"
for source in *.cu; do
	${NVCC:-nvcc} -ptx -arch=compute_75 -o "${source%.cu}.ptx" "$source"
done
