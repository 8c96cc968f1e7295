#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes every .ptx here again from the .cu beside it. Needs nvcc of CUDA 13.
set -eu
cd "$(dirname "$0")"
for source in *.cu; do
	${NVCC:-nvcc} -ptx -arch=compute_75 -o "${source%.cu}.ptx" "$source"
done
