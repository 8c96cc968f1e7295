/* SPDX-License-Identifier: MIT */
/*
 * The environment variables of the shim, all of them, in one place. Read by
 * the thread that runs the first cuInit, under its once; constant from then on.
 */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <vgpu/device.h>
#include <vgpu/shm.h>
#include <vgpu/socket.h>

#include "log.h"

struct vgpu_config vgpu_config;

/* An unsigned number without sign or blanks around it, at most `max`. */
static bool parse_number(const char *text, int base, uint64_t max, uint64_t *value, const char **end)
{
	unsigned long long n;
	char *stop;

	if (text[0] < '0' || (text[0] > '9' && base != 16))
		return false;
	errno = 0;
	n = strtoull(text, &stop, base);
	if (errno || stop == text || n > max)
		return false;
	*value = n;
	*end = stop;
	return true;
}

uint32_t vgpu_parse_batch(const char *text)
{
	const char *end;
	uint64_t n;

	if (!text)
		return VGPU_BATCH_DEFAULT;
	if (!parse_number(text, 10, VGPU_BATCH_MAX, &n, &end) || *end) {
		vgpu_error("VGPU_BATCH='%.40s' is not understood: accepted are 0 (register mode), 1 (ring, the default) and 2..%u "
			   "(ring, a doorbell at the latest after that many commands); using %u",
			   text, VGPU_BATCH_MAX, VGPU_BATCH_DEFAULT);
		return VGPU_BATCH_DEFAULT;
	}
	return (uint32_t)n;
}

uint32_t vgpu_parse_batch_usec(const char *text)
{
	const char *end;
	uint64_t n;

	if (!text)
		return VGPU_BATCH_USEC_DEFAULT;
	if (!parse_number(text, 10, VGPU_BATCH_USEC_MAX, &n, &end) || *end || !n) {
		vgpu_error("VGPU_BATCH_USEC='%.40s' is not understood: accepted are 1..%u (microseconds); using %u",
			   text, VGPU_BATCH_USEC_MAX, VGPU_BATCH_USEC_DEFAULT);
		return VGPU_BATCH_USEC_DEFAULT;
	}
	return (uint32_t)n;
}

bool vgpu_parse_pci_id(const char *text, uint16_t *vendor, uint16_t *device)
{
	const char *end;
	uint64_t v, d;

	if (strspn(text, "0123456789abcdefABCDEF:") != strlen(text))
		return false;
	if (!parse_number(text, 16, 0xffff, &v, &end) || *end != ':')
		return false;
	if (!parse_number(end + 1, 16, 0xffff, &d, &end) || *end)
		return false;
	*vendor = (uint16_t)v;
	*device = (uint16_t)d;
	return true;
}

bool vgpu_parse_size(const char *text, uint64_t *bytes)
{
	static const char suffix[] = "KMG";
	const char *end, *s;
	unsigned shift = 0;
	uint64_t n;

	if (!parse_number(text, 10, 1ull << 40, &n, &end) || !n)
		return false;
	if (*end) {
		s = strchr(suffix, *end);
		if (!s || end[1])
			return false;
		shift = 10 * (unsigned)(s - suffix + 1);
	}
	if (n > UINT64_MAX >> shift)
		return false;
	*bytes = n << shift;
	return true;
}

static void read_log(void)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	const char *text = getenv("VGPU_LOG");
	size_t i;

	if (!text)
		return;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(text, names[i])) {
			vgpu_log_set_level((enum vgpu_log_level)i);
			return;
		}
	vgpu_error("VGPU_LOG='%.40s' is not understood: accepted are error, warn, info, debug; using error", text);
}

static void read_record(struct vgpu_config *c)
{
	static const char *const names[] = { "none", "inline", "all" };
	const char *text = getenv("VGPU_RECORD_DATA");
	size_t i;

	c->record = getenv("VGPU_RECORD");
	if (c->record && !*c->record)
		c->record = NULL;
	c->record_data = VGPU_RECORD_INLINE;
	if (!text)
		return;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (!strcmp(text, names[i])) {
			c->record_data = (enum vgpu_record_data)i;
			return;
		}
	vgpu_error("VGPU_RECORD_DATA='%.40s' is not understood: accepted are none, inline, all; using inline", text);
}

static void read_transport(struct vgpu_config *c)
{
	const char *text = getenv("VGPU_TRANSPORT");

	if (!text || !strcmp(text, "auto"))
		c->transport = VGPU_TRANSPORT_AUTO;
	else if (!strcmp(text, "pci"))
		c->transport = VGPU_TRANSPORT_PCI;
	else if (!strcmp(text, "unix"))
		c->transport = VGPU_TRANSPORT_UNIX;
	else
		vgpu_error("VGPU_TRANSPORT='%.40s' is not understood: accepted are auto, pci, unix; using auto", text);
}

static void read_pci_id(struct vgpu_config *c)
{
	const char *text = getenv("VGPU_PCI_ID");

	c->pci_vendor = VGPU_PCI_VENDOR;
	c->pci_device = VGPU_PCI_DEVICE;
	if (text && !vgpu_parse_pci_id(text, &c->pci_vendor, &c->pci_device))
		vgpu_error("VGPU_PCI_ID='%.40s' is not understood: accepted is VENDOR:DEVICE in hexadecimal; using %04x:%04x",
			   text, VGPU_PCI_VENDOR, VGPU_PCI_DEVICE);
}

static void read_copy_threads(struct vgpu_config *c)
{
	const char *text = getenv("VGPU_COPY_THREADS");
	const char *end;
	uint64_t n;

	if (!text)
		return;
	if (parse_number(text, 10, VGPU_COPY_THREADS_MAX, &n, &end) && !*end && n)
		c->copy_threads = (uint32_t)n;
	else
		vgpu_error("VGPU_COPY_THREADS='%.40s' is not understood: accepted are 1..%u; using what the cores allow",
			   text, VGPU_COPY_THREADS_MAX);
}

static void read_shm_size(struct vgpu_config *c)
{
	const char *text = getenv("VGPU_SHM_SIZE");
	struct vgpu_shm_geometry unused;
	uint64_t bytes;

	if (!text)
		return;
	if (vgpu_parse_size(text, &bytes) && !vgpu_shm_geometry(&unused, bytes, 1))
		c->shm_size = bytes;
	else
		vgpu_error("VGPU_SHM_SIZE='%.40s' is not understood: accepted is a power of two from 64M to 64G; using the mediator's default",
			   text);
}

static bool parse_occupy(const char *text, struct vgpu_config *c)
{
	const char *end;

	if (!strcmp(text, "first"))
		c->occupy = VGPU_OCCUPY_FIRST;
	else if (!strcmp(text, "largest"))
		c->occupy = VGPU_OCCUPY_LARGEST;
	else
		return parse_number(text, 0, UINT64_MAX, &c->occupy_at, &end) && *end == ',' &&
		       parse_number(end + 1, 0, UINT64_MAX, &c->occupy_size, &end) && !*end;
	return true;
}

static void read_occupy(struct vgpu_config *c)
{
	const char *text = getenv("VGPU_TEST_OCCUPY");

	if (!text || parse_occupy(text, c))
		return;
	c->occupy_size = 0;
	vgpu_error("VGPU_TEST_OCCUPY='%.40s' is not understood: accepted are ADDRESS,SIZE, first and largest; occupying nothing",
		   text);
}

void vgpu_config_read(void)
{
	struct vgpu_config *c = &vgpu_config;
	const char *text;

	memset(c, 0, sizeof(*c));
	read_log();
	read_transport(c);
	read_pci_id(c);
	read_shm_size(c);
	read_occupy(c);
	read_copy_threads(c);
	read_record(c);
	c->socket_path = getenv("VGPU_SOCKET_PATH");
	if (!c->socket_path || !*c->socket_path)
		c->socket_path = VGPU_DEFAULT_SOCKET;
	c->sysfs_root = getenv("VGPU_SYSFS_ROOT");
	if (!c->sysfs_root || !*c->sysfs_root)
		c->sysfs_root = "/sys";
	c->batch = vgpu_parse_batch(getenv("VGPU_BATCH"));
	c->batch_usec = vgpu_parse_batch_usec(getenv("VGPU_BATCH_USEC"));
	c->visible_devices = getenv("CUDA_VISIBLE_DEVICES");
	text = getenv("CUDA_LAUNCH_BLOCKING");
	c->launch_blocking = text && strtol(text, NULL, 10);
}
