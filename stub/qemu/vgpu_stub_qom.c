/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `vgpu-stub` as a PCI device of QEMU.  This file only translates: PCI and
 * properties on one side, stub/core on the other.  The state below belongs to
 * QEMU's main loop; registers are read and written by vCPUs; log lines arrive
 * from the core's thread.
 *
 * BAR0 traps, except for the doorbells: they are connected to eventfds, so
 * that under KVM a vCPU does not leave the kernel for them.  BAR2 is RAM from
 * a duplicate of the core's memfd, as is BAR1, the data window of register
 * mode: QEMU maps them and closes them in its own time (RCU), whatever
 * happens to the core.  MSI-X (BAR4) is declared, and
 * raised by nothing yet: one vector for the device, one for each channel.
 */
#include "qemu/osdep.h"
#include "qemu/error-report.h"
#include "qemu/event_notifier.h"
#include "qemu/log.h"
#include "qemu/module.h"
#include "qapi/error.h"
#include "hw/pci/msix.h"
#include "hw/pci/pci.h"
#include "hw/qdev-properties.h"
#include "migration/vmstate.h"
#if __has_include("hw/pci/pci_device.h")	/* from QEMU 8.0 on */
#include "hw/pci/pci_device.h"
#endif
#if __has_include("system/system.h")		/* from QEMU 10.0 on */
#include "system/system.h"
#else
#include "sysemu/sysemu.h"
#endif

#include <vgpu/device.h>
#include <vgpu/shm.h>
#include <vgpu/socket.h>
#include <vgpu/v1.h>

#include "stub.h"

#define TYPE_VGPU_STUB	"vgpu-stub"
OBJECT_DECLARE_SIMPLE_TYPE(VgpuStubState, VGPU_STUB)

#define VGPU_BAR_REGISTERS	0
#define VGPU_BAR_WINDOW		1
#define VGPU_BAR_MEMORY		2	/* 64 bits wide: takes BAR3 too */
#define VGPU_BAR_MSIX		4

struct VgpuStubState {
	PCIDevice parent;
	MemoryRegion registers;
	MemoryRegion memory;
	MemoryRegion window;
	EventNotifier doorbell[VGPU_MAX_CHANNELS];
	uint32_t doorbells;		/* connected to `registers` */
	struct vgpu_stub *core;

	char *socket;
	uint64_t memory_size;
	uint32_t vm_id;
	uint32_t channels;
	OnOffAuto hugepages;
	uint16_t vendor_id;
	uint16_t device_id;
};

static void vgpu_stub_log(void *opaque, enum vgpu_stub_level level, const char *line)
{
	(void)opaque;
	if (level == VGPU_STUB_ERROR)
		error_report("%s", line);
	else if (level == VGPU_STUB_WARNING)
		warn_report("%s", line);
	else
		info_report("%s", line);
}

/* `-d guest_errors` shows these. */
static void vgpu_stub_guest_error(void *opaque, const char *line)
{
	(void)opaque;
	qemu_log_mask(LOG_GUEST_ERROR, "%s\n", line);
}

static uint64_t vgpu_stub_read(void *opaque, hwaddr offset, unsigned int size)
{
	VgpuStubState *d = opaque;

	return vgpu_stub_mmio_read(d->core, offset, size);
}

static void vgpu_stub_write(void *opaque, hwaddr offset, uint64_t value, unsigned int size)
{
	VgpuStubState *d = opaque;

	vgpu_stub_mmio_write(d->core, offset, value, size);
}

/* Every access reaches the core as the guest made it; the core judges it. */
static const MemoryRegionOps vgpu_stub_register_ops = {
	.read = vgpu_stub_read,
	.write = vgpu_stub_write,
	.endianness = DEVICE_LITTLE_ENDIAN,
	.valid = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
	.impl = { .min_access_size = 1, .max_access_size = 8, .unaligned = true },
};

static enum vgpu_stub_pages vgpu_stub_pages(OnOffAuto asked)
{
	switch (asked) {
	case ON_OFF_AUTO_ON:
		return VGPU_STUB_PAGES_ON;
	case ON_OFF_AUTO_OFF:
		return VGPU_STUB_PAGES_OFF;
	default:
		return VGPU_STUB_PAGES_AUTO;
	}
}

static bool vgpu_stub_create_core(VgpuStubState *d, bool msix, Error **errp)
{
	struct vgpu_stub_config config = {
		.socket_path = d->socket ? d->socket : VGPU_DEFAULT_SOCKET,
		.name = qemu_get_vm_name(),
		.memory = d->memory_size,
		.vm_id = d->vm_id,
		.channels = d->channels,
		.pages = vgpu_stub_pages(d->hugepages),
		.caps = msix ? VGPU_CAP_MSIX : 0,
	};
	struct vgpu_stub_ops ops = {
		.opaque = d,
		.log = vgpu_stub_log,
		.trace = vgpu_stub_guest_error,
	};
	char err[256];

	if (vgpu_stub_create(&d->core, &config, &ops, err, sizeof(err))) {
		error_setg(errp, TYPE_VGPU_STUB ": %s", err);
		return false;
	}
	return true;
}

static void vgpu_stub_connect_doorbells(VgpuStubState *d)
{
	uint32_t i;

	for (i = 0; i < vgpu_stub_channels(d->core); i++) {
		event_notifier_init_fd(&d->doorbell[i], vgpu_stub_doorbell_fd(d->core, i));
		memory_region_add_eventfd(&d->registers, VGPU_REG_DOORBELL + 4 * i, 4, false, 0,
					  &d->doorbell[i]);
	}
	d->doorbells = i;
}

/* The descriptors are the core's: they are disconnected, not closed. */
static void vgpu_stub_disconnect_doorbells(VgpuStubState *d)
{
	uint32_t i;

	for (i = 0; i < d->doorbells; i++)
		memory_region_del_eventfd(&d->registers, VGPU_REG_DOORBELL + 4 * i, 4, false, 0,
					  &d->doorbell[i]);
	d->doorbells = 0;
}

/* `memfd` stays the core's. */
static bool vgpu_stub_map(VgpuStubState *d, MemoryRegion *region, const char *name, uint64_t size,
			  int memfd, Error **errp)
{
	Error *err = NULL;
	int fd = fcntl(memfd, F_DUPFD_CLOEXEC, 3);

	if (fd < 0) {
		error_setg_errno(errp, errno, TYPE_VGPU_STUB ": cannot duplicate the memfd");
		return false;
	}
	memory_region_init_ram_from_fd(region, OBJECT(d), name, size, RAM_SHARED | RAM_NORESERVE,
				       fd, 0, &err);
	if (err) {
		close(fd);
		error_propagate(errp, err);
		return false;
	}
	return true;
}

static bool vgpu_stub_check(VgpuStubState *d, Error **errp)
{
	/* 0 and ffff mean "no device" on the bus. */
	if (!d->vendor_id || d->vendor_id == 0xffff) {
		error_setg(errp, TYPE_VGPU_STUB
			   ": vendor-id=0x%04x: accepted is 0x0001 to 0xfffe", d->vendor_id);
		return false;
	}
	if (d->socket && !d->socket[0]) {
		error_setg(errp, TYPE_VGPU_STUB
			   ": socket is empty: accepted is the path of the mediator's socket");
		return false;
	}
	if (!d->memory_size) {
		error_setg(errp, TYPE_VGPU_STUB
			   ": memory=0: accepted is a power of two from 64M to 64G");
		return false;
	}
	return true;
}

/* A machine without MSI support gets a device without it. False: a real error. */
static bool vgpu_stub_init_msix(VgpuStubState *d, bool *msix, Error **errp)
{
	Error *err = NULL;
	uint32_t vectors = 1 + (d->channels ? d->channels :
					      vgpu_shm_default_channels(d->memory_size));
	int rc;

	/* More channels than exist are refused by the core, which says so. */
	if (vectors > 1 + VGPU_MAX_CHANNELS)
		vectors = 1 + VGPU_MAX_CHANNELS;
	rc = msix_init_exclusive_bar(&d->parent, vectors, VGPU_BAR_MSIX, &err);
	*msix = !rc;
	if (rc && rc != -ENOTSUP) {
		error_propagate(errp, err);
		return false;
	}
	error_free(err);
	return true;
}

static void vgpu_stub_realize(PCIDevice *pci, Error **errp)
{
	VgpuStubState *d = VGPU_STUB(pci);
	bool msix;

	if (!vgpu_stub_check(d, errp) || !vgpu_stub_init_msix(d, &msix, errp))
		return;
	if (!vgpu_stub_create_core(d, msix, errp))
		goto no_core;
	if (!vgpu_stub_map(d, &d->memory, "vgpu-stub-memory", vgpu_stub_memory_size(d->core),
			   vgpu_stub_memfd(d->core), errp) ||
	    !vgpu_stub_map(d, &d->window, "vgpu-stub-window", VGPU_V1_BAR1_SIZE,
			   vgpu_stub_window_memfd(d->core), errp))
		goto no_memory;
	pci_set_word(pci->config + PCI_VENDOR_ID, d->vendor_id);
	pci_set_word(pci->config + PCI_DEVICE_ID, d->device_id);
	memory_region_init_io(&d->registers, OBJECT(d), &vgpu_stub_register_ops, d,
			      "vgpu-stub-registers", VGPU_BAR0_SIZE);
	vgpu_stub_connect_doorbells(d);
	pci_register_bar(pci, VGPU_BAR_REGISTERS, PCI_BASE_ADDRESS_SPACE_MEMORY, &d->registers);
	pci_register_bar(pci, VGPU_BAR_WINDOW, PCI_BASE_ADDRESS_SPACE_MEMORY, &d->window);
	pci_register_bar(pci, VGPU_BAR_MEMORY,
			 PCI_BASE_ADDRESS_SPACE_MEMORY | PCI_BASE_ADDRESS_MEM_PREFETCH |
				 PCI_BASE_ADDRESS_MEM_TYPE_64, &d->memory);
	return;

no_memory:
	vgpu_stub_destroy(d->core);
	d->core = NULL;
no_core:
	if (msix)
		msix_uninit_exclusive_bar(pci);
}

static void vgpu_stub_exit(PCIDevice *pci)
{
	VgpuStubState *d = VGPU_STUB(pci);

	vgpu_stub_disconnect_doorbells(d);
	if (msix_present(pci))
		msix_uninit_exclusive_bar(pci);
	vgpu_stub_destroy(d->core);
	d->core = NULL;
}

static void vgpu_stub_device_reset(DeviceState *dev)
{
	vgpu_stub_reset(VGPU_STUB(dev)->core);
}

/* The name is what QEMU prints when it refuses to migrate or to save. */
static const VMStateDescription vgpu_stub_vmstate = {
	.name = "vgpu-stub (its GPU sessions live in processes of this host)",
	.unmigratable = 1,
};

static Property vgpu_stub_properties[] = {
	DEFINE_PROP_STRING("socket", VgpuStubState, socket),
	DEFINE_PROP_UINT32("vm-id", VgpuStubState, vm_id, 0),
	DEFINE_PROP_SIZE("memory", VgpuStubState, memory_size, VGPU_SHM_DEFAULT_SIZE),
	DEFINE_PROP_UINT32("channels", VgpuStubState, channels, 0),
	DEFINE_PROP_ON_OFF_AUTO("hugepages", VgpuStubState, hugepages, ON_OFF_AUTO_AUTO),
	DEFINE_PROP_UINT16("vendor-id", VgpuStubState, vendor_id, VGPU_PCI_VENDOR),
	DEFINE_PROP_UINT16("device-id", VgpuStubState, device_id, VGPU_PCI_DEVICE),
#ifdef DEFINE_PROP_END_OF_LIST			/* until QEMU 9.2 */
	DEFINE_PROP_END_OF_LIST(),
#endif
};

static void vgpu_stub_describe(ObjectClass *klass)
{
	object_class_property_set_description(klass, "socket",
		"Path of the mediator's socket (default: " VGPU_DEFAULT_SOCKET ")");
	object_class_property_set_description(klass, "vm-id",
		"Number of this VM at the mediator, in logs and quotas");
	object_class_property_set_description(klass, "memory",
		"Shared memory behind BAR2: a power of two, 64M to 64G, sparse");
	object_class_property_set_description(klass, "channels",
		"Guest processes at once: 1 to 64, 0 = as many as suit the memory");
	object_class_property_set_description(klass, "hugepages",
		"Take the shared memory from the host's reserved huge pages: on, off, auto (default: auto, while there are enough)");
	object_class_property_set_description(klass, "vendor-id",
		"PCI vendor id, 0x0001 to 0xfffe");
	object_class_property_set_description(klass, "device-id", "PCI device id");
}

static void vgpu_stub_class_init(ObjectClass *klass, void *data)
{
	DeviceClass *dc = DEVICE_CLASS(klass);
	PCIDeviceClass *pc = PCI_DEVICE_CLASS(klass);

	(void)data;
	pc->realize = vgpu_stub_realize;
	pc->exit = vgpu_stub_exit;
	pc->vendor_id = VGPU_PCI_VENDOR;
	pc->device_id = VGPU_PCI_DEVICE;
	pc->class_id = VGPU_PCI_CLASS;
	dc->desc = "remote CUDA device (shared memory and doorbells for a mediator)";
#if QEMU_VERSION_MAJOR > 9 || (QEMU_VERSION_MAJOR == 9 && QEMU_VERSION_MINOR >= 2)
	device_class_set_legacy_reset(dc, vgpu_stub_device_reset);
#else
	dc->reset = vgpu_stub_device_reset;
#endif
	dc->vmsd = &vgpu_stub_vmstate;
	device_class_set_props(dc, vgpu_stub_properties);
	vgpu_stub_describe(klass);
	set_bit(DEVICE_CATEGORY_MISC, dc->categories);
}

static const TypeInfo vgpu_stub_info = {
	.name = TYPE_VGPU_STUB,
	.parent = TYPE_PCI_DEVICE,
	.instance_size = sizeof(VgpuStubState),
	.class_init = vgpu_stub_class_init,
	.interfaces = (InterfaceInfo[]) {
		{ INTERFACE_CONVENTIONAL_PCI_DEVICE },
		{ },
	},
};

static void vgpu_stub_register_types(void)
{
	type_register_static(&vgpu_stub_info);
}

#ifdef VGPU_STUB_PRELOAD
/* preload.c checks first where it is. */
void vgpu_stub_register(void);
void vgpu_stub_register(void)
{
	register_module_init(vgpu_stub_register_types, MODULE_INIT_QOM);
}
#else
type_init(vgpu_stub_register_types)
#endif
