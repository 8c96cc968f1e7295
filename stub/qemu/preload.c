/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The way into a stock QEMU: this object is preloaded, and its constructor
 * puts the device on the list of types that QEMU's main() registers, as the
 * constructors of built-in devices do.  Constructors run before main(), so
 * that nothing of QEMU is initialised here; only the list is touched.
 *
 * Any other program that inherits LD_PRELOAD lacks QEMU's functions; all are
 * weak references (weak.h), and the constructor then does nothing.
 */
#include "qemu/osdep.h"
#include "hw/pci/pci.h"
#include "qapi/qapi-types-control.h"
#include "qapi/qapi-commands-control.h"
#include "qemu/module.h"

#include "version.h"

void vgpu_stub_register(void);

/* Layouts of QEMU's structs hold within one major.minor. */
static void __attribute__((constructor)) vgpu_stub_preload(void)
{
	VersionInfo *v;

	if (!register_module_init || !type_register_static || !pci_register_bar ||
	    !qmp_query_version)
		return;
	v = qmp_query_version(NULL);
	if (v->qemu->major != VGPU_QEMU_MAJOR || v->qemu->minor != VGPU_QEMU_MINOR) {
		fprintf(stderr,
			"vgpu-stub: built for QEMU %d.%d but preloaded into QEMU %d.%d.%d: "
			"run stub/tools/qemu-headers.sh again and rebuild\n",
			VGPU_QEMU_MAJOR, VGPU_QEMU_MINOR, (int)v->qemu->major,
			(int)v->qemu->minor, (int)v->qemu->micro);
		_exit(1);
	}
	qapi_free_VersionInfo(v);
	vgpu_stub_register();
}
