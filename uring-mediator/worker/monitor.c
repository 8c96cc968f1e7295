/* SPDX-License-Identifier: MIT */
/* Which backend and which devices a monitor speaks of, see monitor.h. The worker's only thread, once. */
#include "monitor.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <gen/driver_table.h>
#include <vgpu/clock.h>

#include "io.h"
#include "log.h"
#include "soft/soft.h"

#define UUID_TEXT 96
#define CENSUS_NS 2000000000ull
#define CENSUS_NAP_NS 50000000

/* The device that an entry of the list names: a number as NVML counts, or the beginning of a UUID. NULL: none. */
static nvmlDevice_t named(const struct vgpu_monitor *m, const char *text, size_t length)
{
	char uuid[UUID_TEXT], *end;
	unsigned long number = strtoul(text, &end, 10);

	if (end == text + length)
		return number < m->count ? m->devices[number] : NULL;
	for (uint32_t i = 0; m->backend.nvmlDeviceGetUUID && i < m->count; i++)
		if (!m->backend.nvmlDeviceGetUUID(m->devices[i], uuid, sizeof(uuid)) &&
		    !strncasecmp(uuid, text, length))
			return m->devices[i];
	return NULL;
}

/* Keep those that the list names, in its order; as in CUDA_VISIBLE_DEVICES the first that does not exist ends it. */
static void choose(struct vgpu_monitor *m, const char *list)
{
	nvmlDevice_t kept[VGPU_MONITOR_DEVICES];
	uint32_t count = 0;

	if (!strcmp(list, "all"))
		return;
	while (*list && count < VGPU_MONITOR_DEVICES) {
		size_t length = strcspn(list, ",");
		nvmlDevice_t device = named(m, list, length);

		if (!device)
			break;
		kept[count++] = device;
		list += length + (list[length] == ',');
	}
	memcpy(m->devices, kept, count * sizeof(kept[0]));
	m->count = count;
}

static int open_driver(struct vgpu_monitor *m, const char *devices, char *why, size_t size)
{
	int n = vgpu_nvml_driver(&m->backend, m->devices, VGPU_MONITOR_DEVICES, why, size);

	if (n < 0)
		return n;
	m->count = (uint32_t)n;
	choose(m, devices);
	if (m->count)
		return 0;
	snprintf(why, size, "no device of the list '%.80s' exists", devices);
	return -ENODEV;
}

static int open_soft(struct vgpu_monitor *m, unsigned int soft_devices, char *why, size_t size)
{
	struct vgpu_soft_config config = { .devices = soft_devices };
	int n;

	memset(&m->backend, 0, sizeof(m->backend));
	vgpu_soft_configure(&config);
	n = vgpu_soft_nvml(&m->backend, m->devices, VGPU_MONITOR_DEVICES);
	if (n < 0) {
		snprintf(why, size, "no address space for the soft device");
		return -ENODEV;
	}
	m->count = (uint32_t)n;
	m->soft = true;
	vgpu_nvml_soft_events(&m->backend);
	return 0;
}

static void describe(const struct vgpu_monitor *m, struct vgpu_device *d)
{
	static const struct vgpu_driver nothing;

	d->drv = &nothing;
	d->backend = m->soft ? VGPU_BACKEND_SOFT : VGPU_BACKEND_CUDA;
	d->count = m->count;
	if (m->backend.nvmlSystemGetCudaDriverVersion_v2)
		m->backend.nvmlSystemGetCudaDriverVersion_v2(&d->driver_version);
	if (m->backend.nvmlDeviceGetName)
		m->backend.nvmlDeviceGetName(m->devices[0], d->name, sizeof(d->name));
}

int vgpu_monitor_open(struct vgpu_monitor *m, struct vgpu_device *d, enum vgpu_device_choice choice,
		      const char *devices, unsigned int soft_devices, char *why, size_t size)
{
	int ret = choice == VGPU_DEVICE_SOFT ? -ENODEV : open_driver(m, devices, why, size);

	if (ret && choice == VGPU_DEVICE_CUDA)
		return ret;
	if (ret)
		ret = open_soft(m, soft_devices, why, size);
	if (ret)
		return ret;
	describe(m, d);
	d->monitor = m;
	vgpu_nvml_view(m);
	vgpu_log(VGPU_LOG_INFO, NULL, "monitor: %s, %u devices", m->soft ? "soft" : "cuda", m->count);
	return 0;
}

bool vgpu_monitor_census(struct vgpu_monitor *m, struct vgpu_ctl_census *census)
{
	struct vgpu_io *io = m->io;
	uint64_t until = vgpu_clock_ns() + CENSUS_NS;

	io->census_came = false;
	if (vgpu_io_note(io, VGPU_CTL_CENSUS_ASK, VGPU_HOST_OK, ""))
		return false;
	while (!io->census_came && !io->control_closed && !io->detach && !io->broken[0] && vgpu_clock_ns() < until)
		if (vgpu_io_wait(io, CENSUS_NAP_NS) < 0)
			return false;
	if (!io->census_came || io->census.count > VGPU_CENSUS_MOST)
		return false;
	*census = io->census;
	if (census->left_out)
		vgpu_log(VGPU_LOG_NOTICE, NULL, "%u processes of this VM are not told: at most %u are", census->left_out,
			 VGPU_CENSUS_MOST);
	return true;
}
