#!/bin/sh
# SPDX-License-Identifier: MIT
# Makes the fat binaries here again: one kernel, machine code and PTX, in each packing of nvcc. Needs nvcc of CUDA 13.
set -eu
cd "$(dirname "$0")"
for packing in none:none lz4:speed zstd:size; do
	${NVCC:-nvcc} -fatbin -gencode 'arch=compute_75,code=[compute_75,sm_75]' -Xfatbin -compress-mode="${packing#*:}" \
		-o "vector_add.${packing%:*}.fatbin" ../../kernels/vector_add.cu
done
