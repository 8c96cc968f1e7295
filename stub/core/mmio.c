/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * BAR0: the registers of include/vgpu/device.h.  Runs on whatever thread the
 * guest's access arrives on (a vCPU inside QEMU), so that it only touches
 * atomics, eventfds, and the page of window.c.  docs/device-spec.md is the table for people.
 */
#include <unistd.h>

#include "internal.h"

/* Tell about an access that no register answers: once for each word and direction. */
static void mmio_stray(struct vgpu_stub *s, bool write, uint64_t offset, unsigned int size)
{
	uint64_t word = offset / 4 % (VGPU_BAR0_SIZE / 4);
	uint64_t bit = 1ull << (word % 64);

	atomic_fetch_add_explicit(&s->counters.stray, 1, memory_order_relaxed);
	if (atomic_fetch_or_explicit(&s->traced[write][word / 64], bit, memory_order_relaxed) & bit)
		return;
	stub_trace(s, "BAR0 %s of %u bytes at 0x%llx: no register answers",
		   write ? "write" : "read", size, (unsigned long long)offset);
}

/* Doorbells for each thousand messages to workers, saturated. */
static uint32_t mmio_fold(struct vgpu_stub *s)
{
	uint64_t wakes = atomic_load(&s->counters.wakes);
	uint64_t fold = wakes ? atomic_load(&s->counters.doorbells) * 1000 / wakes : 0;

	return fold > UINT32_MAX ? UINT32_MAX : (uint32_t)fold;
}

static _Atomic uint64_t *mmio_counter(struct vgpu_stub *s, uint64_t offset)
{
	switch (offset & ~7ull) {
	case VGPU_REG_CNT_DOORBELLS:
		return &s->counters.doorbells;
	case VGPU_REG_CNT_WAKES:
		return &s->counters.wakes;
	case VGPU_REG_CNT_WAKE_FAIL:
		return &s->counters.wakes_failed;
	case VGPU_REG_CNT_MMIO_R:
		return &s->counters.mmio_reads;
	case VGPU_REG_CNT_MMIO_W:
		return &s->counters.mmio_writes;
	case VGPU_REG_CNT_RECONNECT:
		return &s->counters.reconnects;
	case VGPU_REG_CNT_STRAY:
		return &s->counters.stray;
	}
	return NULL;
}

/* The low half takes a snapshot of the high one, so that the pair is one value. */
static uint32_t mmio_read_counter(struct vgpu_stub *s, _Atomic uint64_t *counter, uint64_t offset)
{
	_Atomic uint32_t *latch = &s->latch[(offset - VGPU_REG_CNT_DOORBELLS) / 8 % STUB_LATCHES];
	uint64_t value;

	if (offset & 4)
		return atomic_load(latch);
	value = atomic_load(counter);
	atomic_store(latch, (uint32_t)(value >> 32));
	return (uint32_t)value;
}

static bool mmio_in_window(uint64_t offset)
{
	return offset >= VGPU_REG_WINDOW && offset < VGPU_REG_WINDOW + VGPU_V1_PAGE;
}

static uint32_t mmio_read_word(struct vgpu_stub *s, uint64_t offset, unsigned int size)
{
	_Atomic uint64_t *counter = mmio_counter(s, offset);
	uint32_t value;

	if (counter)
		return mmio_read_counter(s, counter, offset);
	if (mmio_in_window(offset) && stub_window_read(s, (uint32_t)offset - VGPU_REG_WINDOW, &value))
		return value;
	switch (offset) {
	case VGPU_REG_ID:
		return VGPU_DEVICE_ID_VALUE;
	case VGPU_REG_VERSION:
		return VGPU_PROTOCOL_VERSION;
	case VGPU_REG_CAPS:
		return VGPU_CAP_RING | VGPU_CAP_WINDOW | s->config.caps;
	case VGPU_REG_VM_ID:
		return s->config.vm_id;
	case VGPU_REG_SHM_SIZE_LO:
		return (uint32_t)s->geometry.total_size;
	case VGPU_REG_SHM_SIZE_HI:
		return (uint32_t)(s->geometry.total_size >> 32);
	case VGPU_REG_CHANNELS:
		return s->channel_count;
	case VGPU_REG_LINK:
		return atomic_load(&s->link_up);
	case VGPU_REG_LINK_EPOCH:
		return atomic_load(&s->link_epoch);
	case VGPU_REG_SCRATCH:
		return atomic_load(&s->scratch);
	case VGPU_REG_FOLD:
		return mmio_fold(s);
	}
	mmio_stray(s, false, offset, size);
	return 0;
}

uint64_t vgpu_stub_mmio_read(struct vgpu_stub *s, uint64_t offset, unsigned int size)
{
	uint64_t low;

	atomic_fetch_add_explicit(&s->counters.mmio_reads, 1, memory_order_relaxed);
	if ((size != 4 && size != 8) || offset % size || offset >= VGPU_BAR0_SIZE) {
		mmio_stray(s, false, offset, size);
		return 0;
	}
	low = mmio_read_word(s, offset, size);
	return size == 4 ? low : low | (uint64_t)mmio_read_word(s, offset + 4, size) << 32;
}

/* OPEN adds to what is asked; CLOSE replaces it, since it ends what came before. */
static void mmio_request(struct vgpu_stub *s, uint32_t channel, uint32_t request)
{
	struct stub_channel *chan = &s->channels[channel];

	if (request == STUB_REQ_OPEN)
		atomic_fetch_or(&chan->request, STUB_REQ_OPEN);
	else
		atomic_store(&chan->request, STUB_REQ_CLOSE);
	atomic_fetch_or(&s->requests, 1ull << channel);
	stub_loop_kick(s);
}

/* Only where the hypervisor did not connect the register to the eventfd itself. */
static void mmio_doorbell(struct stub_channel *chan)
{
	uint64_t one = 1;

	/* An eventfd refuses only when its count is full: then it rings anyway. */
	if (write(chan->doorbell_fd, &one, sizeof(one)) < 0)
		return;
}

static bool mmio_write_word(struct vgpu_stub *s, uint64_t offset, uint32_t value)
{
	uint64_t bell = (offset - VGPU_REG_DOORBELL) / 4;

	if (offset >= VGPU_REG_DOORBELL && bell < s->channel_count) {
		mmio_doorbell(&s->channels[bell]);
		return true;
	}
	if (mmio_in_window(offset))
		return stub_window_write(s, (uint32_t)offset - VGPU_REG_WINDOW, value);
	switch (offset) {
	case VGPU_REG_SCRATCH:
		atomic_store(&s->scratch, value);
		return true;
	case VGPU_REG_CHANNEL_OPEN:
	case VGPU_REG_CHANNEL_CLOSE:
		if (value >= s->channel_count)
			return false;
		mmio_request(s, value, offset == VGPU_REG_CHANNEL_OPEN ? STUB_REQ_OPEN :
									 STUB_REQ_CLOSE);
		return true;
	}
	return false;
}

void vgpu_stub_mmio_write(struct vgpu_stub *s, uint64_t offset, uint64_t value, unsigned int size)
{
	atomic_fetch_add_explicit(&s->counters.mmio_writes, 1, memory_order_relaxed);
	if (size != 4 || offset % 4 || offset >= VGPU_BAR0_SIZE ||
	    !mmio_write_word(s, offset, (uint32_t)value))
		mmio_stray(s, true, offset, size);
}
