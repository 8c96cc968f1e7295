/* SPDX-License-Identifier: MIT */
/*
 * Random commands into the worker, against the driver of tests/worker/fake_driver.c that aborts when it is given anything
 * a guest could abuse.  The input is a stream of decisions: which operation, how many bytes more or less than right,
 * and for each 64-bit word of its arguments either raw bytes or something that a guest could know (a handle, a
 * device address, an arena offset).
 *
 * With libFuzzer (clang) this is the target; without it, `fuzz_worker [SEED [INPUTS]]` runs a fixed number of random
 * inputs.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <gen/wire.h>

#include "call.h"
#include "log.h"
#include "fake_driver.h"

#define STEPS	 64u
#define DEVICE	 0x300000000000ull
#define OPS_MOST 512u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *data;
	size_t left;
};

static uint16_t ops[OPS_MOST];
static unsigned int op_count;

static uint8_t byte(struct input *in)
{
	if (!in->left)
		return 0;
	in->left--;
	return *in->data++;
}

static uint64_t number(struct input *in, unsigned int bytes)
{
	uint64_t n = 0;

	while (bytes--)
		n = n << 8 | byte(in);
	return n;
}

static uint64_t word(struct input *in, const struct vgpu_session *s)
{
	uint8_t how = byte(in);
	uint8_t low = byte(in);

	switch (how % 16) {
	case 0:
		return number(in, 8);
	case 1:
	case 2:
		return low % 4;
	case 3:
		return (uint64_t)low << (how / 16 * 3);
	case 4:
		return DEVICE + low * 512u;
	case 5:
		return DEVICE + number(in, 3);
	case 6:
		return s->geo.arena_at + low * 4096u;
	case 7:
		return s->geo.total_size - low;
	case 8:
		return (uint64_t)(uintptr_t)s->base + s->geo.arena_at + low * 8u;
	case 9:
		return (uint64_t)(uintptr_t)s + low;
	case 10:
		return UINT64_MAX - low;
	case 11:
		return vgpu_handle_make(VGPU_HANDLE_STREAM, 0, low % 8);
	case 12:
		return vgpu_handle_make(VGPU_HANDLE_STREAM, 1, VGPU_STREAM_INDEX_FIRST + low % 4);
	default:
		return vgpu_handle_make((enum vgpu_handle_kind)(how / 16 + 1), 1, low % 4);
	}
}

/* The same command in a CALL of register mode, which may be damaged around it. */
static int by_call(struct vgpu_session *s, const struct vgpu_cmd *c, const void *args, const void *payload, uint8_t spoil)
{
	static struct {
		struct vgpu_msg_call m;
		uint8_t data[VGPU_CALL_DATA_MAX];
	} p;
	uint32_t size = (uint32_t)sizeof(*c) + c->args_size + c->payload_size;
	struct vgpu_outcome out;

	memcpy(p.data, c, sizeof(*c));
	memcpy(p.data + sizeof(*c), args, c->args_size);
	memcpy(p.data + sizeof(*c) + c->args_size, payload, c->payload_size);
	if (spoil % 16 == 1)
		size -= spoil % size;
	p.m = (struct vgpu_msg_call){
		.call = { .magic = VGPU_V1_MAGIC + (spoil % 16 == 2), .call_id = VGPU_V1_COMMAND - (spoil % 16 == 3),
			  .num_args = spoil % 16 == 4 ? spoil : 2, .data_len = size + (spoil % 16 == 5) },
	};
	return vgpu_call_execute(s, &p.m, sizeof(p.m) + size, &out);
}

static void step(struct input *in, struct vgpu_session *s)
{
	static _Alignas(8) uint8_t args[4096], payload[8192];
	uint16_t op = ops[number(in, 2) % op_count];
	const struct vgpu_op_info *info = vgpu_op_find(op);
	uint8_t shape = byte(in);
	struct vgpu_cmd c = { .size = 64, .op = op, .slot = (uint16_t)(shape & 64 ? byte(in) : 1), .seq = ++s->stats->last_seq,
			      .args_size = info->args_size, .context = shape & 32 ? byte(in) % 4 : 0 };
	uint64_t w;

	if (shape % 32 == 31)
		c.args_size = byte(in);
	if (info->payload_max && shape % 4)
		c.payload_size = (uint32_t)(number(in, 2) % sizeof(payload));
	for (uint32_t i = 0; i + 8 <= c.args_size && i < sizeof(args); i += 8) {
		w = word(in, s);
		memcpy(args + i, &w, 8);
	}
	for (uint32_t i = 0; i < c.payload_size; i++)
		payload[i] = i < 64 ? byte(in) : 0;
	fake.result = shape % 16 == 9 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
	if (shape & 128 ? by_call(s, &c, args, payload, byte(in)) : fake_execute(s, &c, args, payload))
		s->broken[0] = 0;	/* a real session would end: the next step is worth more */
}

static void find_ops(void)
{
	for (unsigned int op = 0; op <= 0xffff && op_count < OPS_MOST; op++)
		if (vgpu_op_find((uint16_t)op))
			ops[op_count++] = (uint16_t)op;
	vgpu_log_init("fuzz", VGPU_LOG_ERROR);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = { data, size };
	struct vgpu_session *s;

	if (!op_count)
		find_ops();
	s = fake_session();
	for (unsigned int i = 0; i < STEPS && in.left; i++)
		step(&in, s);
	s->sticky = CUDA_ERROR_UNKNOWN;	/* objects that could not be bound are the driver's to drop */
	fake_session_free(s);
	fake_reset();
	return 0;
}

#ifndef VGPU_LIBFUZZER
int main(int argc, char **argv)
{
	unsigned int seed = argc > 1 ? (unsigned int)strtoul(argv[1], NULL, 10) : 1;
	unsigned long inputs = argc > 2 ? strtoul(argv[2], NULL, 10) : 2000;
	static uint8_t data[4096];

	srand(seed);
	for (unsigned long i = 0; i < inputs; i++) {
		size_t size = (size_t)rand() % sizeof(data);

		for (size_t k = 0; k < size; k++)
			data[k] = (uint8_t)(rand() >> 7);
		LLVMFuzzerTestOneInput(data, size);
	}
	printf("%lu inputs, seed %u\n", inputs, seed);
	return 0;
}
#endif
