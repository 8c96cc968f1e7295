/* SPDX-License-Identifier: MIT */
/*
 * In a VM: the PCI device vgpu-stub. BAR2 (sysfs resource2) is the shared
 * memory, BAR0 (resource0) holds registers and doorbells, BAR1 (resource1)
 * the data of register mode.
 *
 * A process owns a channel by an open-file-description lock on byte `index`
 * of resource2: the kernel drops it when the process dies, however it dies.
 * Whoever gets the lock of a channel that the host still serves reaps it:
 * CHANNEL_CLOSE, wait for the host to let go, give its extents back.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <vgpu/device.h>
#include <vgpu/v1.h>

#include "config.h"
#include "log.h"
#include "transport.h"
#include "wait.h"
#include "window.h"

#define REAP_NS	5000000000ull

static uint32_t reg_read(struct vgpu_transport *t, uint32_t at)
{
	return t->registers[at / 4];
}

static void reg_write(struct vgpu_transport *t, uint32_t at, uint32_t value)
{
	t->registers[at / 4] = value;
}

/* The number in a sysfs attribute such as "0x1234", or -1. */
static long sysfs_number(const char *folder, const char *name)
{
	char path[512], text[32] = "";
	ssize_t n;
	int fd;

	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path))
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	return n > 0 ? strtol(text, NULL, 0) : -1;
}

/* Folder of the first device with our ids; false if there is none. */
static bool find_device(const struct vgpu_config *config, char *folder, size_t size)
{
	char root[256];
	struct dirent *e;
	bool found = false;
	DIR *dir;

	snprintf(root, sizeof(root), "%s/bus/pci/devices", config->sysfs_root);
	dir = opendir(root);
	if (!dir)
		return false;
	while (!found && (e = readdir(dir))) {
		if (e->d_name[0] == '.' || snprintf(folder, size, "%s/%s", root, e->d_name) >= (int)size)
			continue;
		found = sysfs_number(folder, "vendor") == config->pci_vendor &&
			sysfs_number(folder, "device") == config->pci_device;
	}
	closedir(dir);
	return found;
}

static int open_bar(struct vgpu_transport *t, const char *folder, int bar)
{
	char path[512];
	int fd;

	snprintf(path, sizeof(path), "%.480s/resource%d", folder, bar);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0)
		return fd;
	fd = -errno;
	snprintf(t->text, sizeof(t->text), "%.150s: %s: this user needs read and write access to it", path, strerror(-fd));
	return fd;
}

static int map_bar(struct vgpu_transport *t, const char *folder, int bar, size_t size, void **to)
{
	int fd = open_bar(t, folder, bar);
	void *p;

	if (fd < 0)
		return fd;
	p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (p == MAP_FAILED) {
		snprintf(t->text, sizeof(t->text), "mapping %.150s/resource%d: %s", folder, bar, strerror(errno));
		return -EIO;
	}
	*to = p;
	return 0;
}

static int map_registers(struct vgpu_transport *t, const char *folder)
{
	void *p = NULL;
	int r = map_bar(t, folder, 0, VGPU_BAR0_SIZE, &p);

	t->registers = p;
	return r;
}

/* Register mode. */
static int map_window(struct vgpu_transport *t, const char *folder)
{
	void *p = NULL;
	int r = map_bar(t, folder, 1, VGPU_V1_BAR1_SIZE, &p);

	t->window = p;
	return r;
}

static int check_identity(struct vgpu_transport *t, const char *folder, const struct vgpu_config *config)
{
	uint32_t id = reg_read(t, VGPU_REG_ID);
	uint32_t version = reg_read(t, VGPU_REG_VERSION);
	uint64_t size;

	if (id != VGPU_DEVICE_ID_VALUE) {
		snprintf(t->text, sizeof(t->text), "%.120s answers with identification %08x instead of %08x: not a vgpu-stub device",
			 folder, id, VGPU_DEVICE_ID_VALUE);
		return -ENODEV;
	}
	if (version >> 16 != VGPU_PROTOCOL_MAJOR) {
		snprintf(t->text, sizeof(t->text),
			 "protocol mismatch: this shim speaks %u.%u, the vgpu-stub device %u.%u; install the shim and the stub of one release",
			 VGPU_PROTOCOL_MAJOR, VGPU_PROTOCOL_MINOR, version >> 16, version & 0xffff);
		return -EPROTO;
	}
	size = reg_read(t, VGPU_REG_SHM_SIZE_LO) | (uint64_t)reg_read(t, VGPU_REG_SHM_SIZE_HI) << 32;
	if (vgpu_shm_geometry(&t->geometry, size, reg_read(t, VGPU_REG_CHANNELS))) {
		snprintf(t->text, sizeof(t->text), "the device says %llu bytes and %u channels, which is not usable",
			 (unsigned long long)size, reg_read(t, VGPU_REG_CHANNELS));
		return -EPROTO;
	}
	if (config->batch == VGPU_BATCH_REGISTERS && !(reg_read(t, VGPU_REG_CAPS) & VGPU_CAP_WINDOW)) {
		snprintf(t->text, sizeof(t->text), "the vgpu-stub device of this VM does not know VGPU_BATCH=0 (register mode): install the shim and the stub of one release");
		return -EPROTO;
	}
	if (!(reg_read(t, VGPU_REG_LINK) & 1)) {
		snprintf(t->text, sizeof(t->text),
			 "the host has no mediator connected to this VM's device: start vgpu-mediator on the host and try again");
		return -ENOTCONN;
	}
	return 0;
}

static bool lock_channel(int fd, uint32_t index)
{
	struct flock l = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = index, .l_len = 1 };

	return !fcntl(fd, F_OFD_SETLK, &l);
}

static void unlock_channel(int fd, uint32_t index)
{
	struct flock l = { .l_type = F_UNLCK, .l_whence = SEEK_SET, .l_start = index, .l_len = 1 };

	fcntl(fd, F_OFD_SETLK, &l);
}

static bool host_let_go(struct vgpu_channel *ch)
{
	uint32_t state = atomic_load_explicit(&ch->ctl.host_state, memory_order_acquire);

	return state == VGPU_HOST_NONE || state == VGPU_HOST_DEAD || state == VGPU_HOST_REFUSED;
}

/* End what a dead process left behind. False if the host does not let go in time. */
static bool reap(struct vgpu_transport *t, struct vgpu_channel *ch, uint32_t index)
{
	struct vgpu_wait w = VGPU_WAIT_INIT;

	if (host_let_go(ch))
		return true;
	vgpu_info("channel %u: closing the session of a process that is gone", index);
	reg_write(t, VGPU_REG_CHANNEL_CLOSE, index);
	while (!host_let_go(ch)) {
		vgpu_wait_step(&w);
		if (vgpu_wait_elapsed(&w) > REAP_NS)
			return false;
	}
	return true;
}

/* Zero all of a channel but its data areas; generation survives and grows. */
static void reset_channel(struct vgpu_transport *t, uint8_t *base, uint32_t index)
{
	_Atomic uint32_t *extents = vgpu_shm_extents(base, &t->geometry);
	struct vgpu_channel *ch = vgpu_shm_channel(base, &t->geometry, index);
	uint32_t generation = atomic_load(&ch->ctl.generation);
	uint32_t i, owner;

	for (i = 0; i < t->geometry.extent_count; i++) {
		owner = index + 1;
		atomic_compare_exchange_strong(&extents[i], &owner, VGPU_EXTENT_FREE);
	}
	memset((void *)ch, 0, offsetof(struct vgpu_channel, ring_data));
	t->generation = generation + 1;
	atomic_store(&ch->ctl.generation, t->generation);
}

static int claim_channel(struct vgpu_transport *t)
{
	uint64_t head = t->geometry.arena_at;
	uint8_t *base;
	uint32_t i, busy = 0;

	base = mmap(NULL, head, PROT_READ | PROT_WRITE, MAP_SHARED, t->memory_fd, 0);
	if (base == MAP_FAILED) {
		snprintf(t->text, sizeof(t->text), "mapping the shared memory of the device: %s", strerror(errno));
		return -EIO;
	}
	for (i = 0; i < t->geometry.channel_count; i++) {
		if (!lock_channel(t->memory_fd, i)) {
			busy++;
			continue;
		}
		if (reap(t, vgpu_shm_channel(base, &t->geometry, i), i))
			break;
		vgpu_warn("channel %u: the host does not end the session of a process that is gone", i);
		unlock_channel(t->memory_fd, i);
	}
	if (i < t->geometry.channel_count) {
		reset_channel(t, base, i);
		t->channel = i;
	} else {
		snprintf(t->text, sizeof(t->text), "no free channel: %u of %u are in use by other processes of this VM",
			 busy, t->geometry.channel_count);
	}
	munmap(base, head);
	return i < t->geometry.channel_count ? 0 : -EBUSY;
}

static void pci_close(struct vgpu_transport *t)
{
	if (t->memory_fd >= 0)
		close(t->memory_fd);
	t->memory_fd = -1;
	if (t->registers)
		munmap((void *)(uintptr_t)t->registers, VGPU_BAR0_SIZE);
	if (t->window)
		munmap((void *)(uintptr_t)t->window, VGPU_V1_BAR1_SIZE);
	t->registers = NULL;
	t->window = NULL;
}

static int pci_open(struct vgpu_transport *t, const struct vgpu_config *config)
{
	char folder[384];
	int r;

	if (!find_device(config, folder, sizeof(folder))) {
		snprintf(t->text, sizeof(t->text), "no PCI device %04x:%04x in this machine: add -device vgpu-stub to the VM",
			 config->pci_vendor, config->pci_device);
		return -ENODEV;
	}
	r = map_registers(t, folder);
	if (!r)
		r = check_identity(t, folder, config);
	if (!r && config->batch == VGPU_BATCH_REGISTERS)
		r = map_window(t, folder);
	if (!r) {
		t->memory_fd = open_bar(t, folder, 2);
		r = t->memory_fd < 0 ? t->memory_fd : claim_channel(t);
	}
	if (r)
		pci_close(t);
	snprintf(t->mapping, sizeof(t->mapping), "sysfs resource2");
	return r;
}

static int pci_start(struct vgpu_transport *t)
{
	reg_write(t, VGPU_REG_CHANNEL_OPEN, t->channel);
	return 0;
}

static void pci_doorbell(struct vgpu_transport *t)
{
	reg_write(t, VGPU_REG_DOORBELL + 4 * t->channel, 1);
}

static bool pci_alive(struct vgpu_transport *t)
{
	return reg_read(t, VGPU_REG_LINK) & 1;
}

static void pci_exit(struct vgpu_transport *t)
{
	reg_write(t, VGPU_REG_CHANNEL_CLOSE, t->channel);
}

/* Before another try: end the session without waiting for it. */
static void pci_end(struct vgpu_transport *t)
{
	if (t->registers)
		reg_write(t, VGPU_REG_CHANNEL_CLOSE, t->channel);
	pci_close(t);
}

const struct vgpu_transport_ops vgpu_transport_pci = {
	.name = "pci",
	.open = pci_open,
	.start = pci_start,
	.doorbell = pci_doorbell,
	.call = vgpu_window_call,
	.alive = pci_alive,
	.close = pci_end,
	.exit = pci_exit,
	.forked = pci_close,
};
