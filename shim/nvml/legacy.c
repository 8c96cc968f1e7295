/* SPDX-License-Identifier: MIT */
/*
 * First and second versions of the calls that tell where a device or its peer is on the bus. Programs built against the
 * headers of that time lend 52 bytes at most, of which those of the first version know 32: the structure of today would
 * overwrite what lies behind. No state; any thread.
 */
#include <stddef.h>
#include <string.h>

#include "nvml/hand.h"

enum {
	PCI_V1 = offsetof(nvmlPciInfo_t, pciSubSystemId),
	PCI_V2 = offsetof(nvmlPciInfo_t, busId),
};

_Static_assert(PCI_V1 == 32 && PCI_V2 == 36, "as the headers of that time have it");

/* Their names come before those of today in one order, so the front of the answer is the answer. */
static nvmlReturn_t front(nvmlReturn_t r, const nvmlPciInfo_t *whole, void *pci, size_t size)
{
	if (!r)
		memcpy(pci, whole, size);
	return r;
}

static nvmlReturn_t of_device(nvmlDevice_t device, void *pci, size_t size)
{
	nvmlPciInfo_t whole;

	return front(nvmlDeviceGetPciInfo_v3(device, pci ? &whole : NULL), &whole, pci, size);
}

static nvmlReturn_t of_peer(nvmlDevice_t device, unsigned int link, void *pci, size_t size)
{
	nvmlPciInfo_t whole;

	return front(nvmlDeviceGetNvLinkRemotePciInfo_v2(device, link, pci ? &whole : NULL), &whole, pci, size);
}

nvmlReturn_t nvmlDeviceGetPciInfo(nvmlDevice_t device, void *pci)
{
	return of_device(device, pci, PCI_V1);
}

nvmlReturn_t nvmlDeviceGetPciInfo_v2(nvmlDevice_t device, void *pci)
{
	return of_device(device, pci, PCI_V2);
}

nvmlReturn_t nvmlDeviceGetNvLinkRemotePciInfo(nvmlDevice_t device, unsigned int link, void *pci)
{
	return of_peer(device, link, pci, PCI_V2);
}
