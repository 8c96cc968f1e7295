/* SPDX-License-Identifier: MIT */
#include "ptx_device.h"

#include <errno.h>

static bool find(void *ctx, uint64_t addr, struct ptx_range *range)
{
	struct device *dev = ctx;

	for (size_t i = 0; i < dev->nmem; i++) {
		uint64_t at = (uint64_t)(uintptr_t)dev->mem[i].at;

		if (addr - at < dev->mem[i].size) {
			*range = (struct ptx_range){at, dev->mem[i].size, dev->mem[i].at, true};
			return true;
		}
	}
	return false;
}

static void print(void *ctx, const char *text, size_t len)
{
	struct device *dev = ctx;

	assert_true(dev->output_len + len < sizeof(dev->output));
	memcpy(dev->output + dev->output_len, text, len);
	dev->output_len += len;
	dev->output[dev->output_len] = 0;
}

void *device_alloc(struct device *dev, size_t size)
{
	assert_true(dev->nmem < DEVICE_BLOCKS);
	dev->mem[dev->nmem].at = calloc(1, size);
	assert_non_null(dev->mem[dev->nmem].at);
	dev->mem[dev->nmem].size = size;
	return dev->mem[dev->nmem++].at;
}

static void load(struct device *dev, const char *text, size_t len)
{
	struct ptx_diag diag;
	int err;

	memset(dev, 0, sizeof(*dev));
	err = ptx_parse(text, len, &dev->module, &diag);
	if (err)
		fail_msg("parse: %d, line %d: %s", err, diag.line, diag.text);
	for (size_t i = 0; i < ptx_global_count(dev->module); i++) {
		void *p = device_alloc(dev, ptx_global_at(dev->module, i)->size);

		assert_int_equal(ptx_bind_global(dev->module, i, (uint64_t)(uintptr_t)p), 0);
	}
	for (size_t i = 0; i < ptx_global_count(dev->module); i++)
		assert_int_equal(ptx_write_initial(dev->module, i, dev->mem[i].at), 0);
}

void device_load_text(struct device *dev, const char *text)
{
	load(dev, text, strlen(text));
}

void device_load(struct device *dev, const char *name)
{
	char path[4096], *text;
	long len;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s.ptx", KERNELS, name);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_int_equal(fseek(f, 0, SEEK_END), 0);
	len = ftell(f);
	rewind(f);
	text = malloc((size_t)len);
	assert_non_null(text);
	assert_int_equal(fread(text, 1, (size_t)len, f), len);
	fclose(f);
	load(dev, text, (size_t)len);
	free(text);
}

void device_free(struct device *dev)
{
	for (size_t i = 0; i < dev->nmem; i++)
		free(dev->mem[i].at);
	ptx_free(dev->module);
}

void *device_global(struct device *dev, const char *name)
{
	for (size_t i = 0; i < ptx_global_count(dev->module); i++)
		if (!strcmp(ptx_global_at(dev->module, i)->name, name))
			return dev->mem[i].at;
	fail_msg("no variable %s", name);
	return NULL;
}

int device_launch_full(struct device *dev, struct ptx_launch *l, const char *kernel, const void **args)
{
	unsigned char params[4096] = {0};

	l->module = dev->module;
	l->entry = ptx_entry_find(dev->module, kernel);
	assert_non_null(l->entry);
	assert_true(l->entry->params_size <= sizeof(params));
	for (uint32_t i = 0; i < l->entry->num_params; i++)
		memcpy(params + l->entry->params[i].offset, args[i], l->entry->params[i].size);
	l->params = params;
	l->params_size = l->entry->params_size;
	l->mem = (struct ptx_memory){find, dev};
	l->print = l->print_assert = print;
	l->print_ctx = dev;
	return ptx_run(l, &dev->fault);
}

int device_launch(struct device *dev, const char *kernel, uint32_t gx, uint32_t gy, uint32_t bx, uint32_t by,
		  uint32_t shared, const void **args)
{
	struct ptx_launch l = {.grid = {gx, gy, 1}, .block = {bx, by, 1}, .dynamic_shared = shared};
	int err = device_launch_full(dev, &l, kernel, args);

	if (err)
		print_message("%s: %d, fault %d at %#llx, line %d: %s\n", kernel, err, dev->fault.kind,
			      (unsigned long long)dev->fault.address, dev->fault.line, dev->fault.text);
	return err;
}

uint64_t random_u64(void)
{
	static uint64_t state = 0x853c49e6748fea9bull;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state * 0x2545f4914f6cdd1dull;
}

uint64_t random_bits(void)
{
	static const uint64_t special[] = {
		0, 1, 2, 31, 32, 33, 63, 64, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x3c003c00, 0x7c00fc00, 0x7e00,
		0x7fffffff, 0x80000000, 0xffffffff, 0x3f800000, 0x7f800000, 0xff800000, 0x7fc00000, 0x00000001,
		0x807fffff, 0x00800000, 0x4f000000, 0x5f000000, 0x7f7fffff, 0x3f000000, 0x3fc00000, 0x40200000,
		0x7fffffffffffffffull, 0x8000000000000000ull, 0xffffffffffffffffull, 0x3ff0000000000000ull,
		0x7ff0000000000000ull, 0xfff0000000000000ull, 0x7ff8000000000000ull, 0x000fffffffffffffull,
		0x43e0000000000000ull, 0x41e0000000000000ull, 0x3fe0000000000000ull, 0xbfe0000000000000ull,
	};
	uint64_t r = random_u64();

	switch (r & 7) {
	case 0:
		return special[(r >> 8) % (sizeof(special) / sizeof(special[0]))];
	case 1:
		return (r >> 8 & 0xff) - 128;
	default:
		return random_u64();
	}
}
