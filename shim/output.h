/* SPDX-License-Identifier: MIT */
/*
 * What kernels print arrives on this process's standard output when it synchronises, as natively; which assert failed,
 * on its standard error. Programs whose modules do not print pay a load of two words. Any thread.
 */
#ifndef VGPU_SHIM_OUTPUT_H
#define VGPU_SHIM_OUTPUT_H

/* A module was loaded whose kernels may print. */
void vgpu_output_expect(void);
/*
 * Write what was printed up to now: where CUDA's programming guide says that the buffer is flushed (waits, blocking
 * copies, loading and unloading of code, the end of a context), except at launches, which would wait for the host.
 */
void vgpu_output_fetch(void);
/* At the end of the process: which assert failed, if nobody has waited since. */
void vgpu_output_last(void);

#endif
