/* SPDX-License-Identifier: MIT */
/*
 * What kernels print arrives on this process's standard output when it synchronises, as natively. Programs whose
 * modules do not print pay a load of one word. Any thread.
 */
#ifndef VGPU_SHIM_OUTPUT_H
#define VGPU_SHIM_OUTPUT_H

/* A module was loaded whose kernels may print. */
void vgpu_output_expect(void);
/* This thread has waited for the device: write what was printed up to now. */
void vgpu_output_fetch(void);

#endif
