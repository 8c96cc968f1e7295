/* SPDX-License-Identifier: MIT */
/*
 * Questions about devices that no shim would send, against a table of functions that notes what reaches it: malformed
 * ones end the session before any function is called, and no function gets a place that it could write beyond.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <gen/wire.h>

#include "fake_driver.h"
#include "monitor.h"

#define DEVICES 2u
#define LONGEST 512u	/* longer than the parameters of any function, lists aside */

static struct vgpu_session *s;
static struct vgpu_monitor monitor;
static uint64_t seq;

/* What the last call got. */
static struct {
	unsigned int calls;
	nvmlDevice_t device;
	unsigned int count;
	const void *items;
} seen;

static nvmlReturn_t note_text(nvmlDevice_t device, char *to, unsigned int size)
{
	seen.calls++;
	seen.device = device;
	memset(to, 'n', size - 1);
	to[size - 1] = '\0';
	return NVML_SUCCESS;
}

static nvmlReturn_t note_list(nvmlDevice_t device, unsigned int *count, void *items)
{
	seen.calls++;
	seen.device = device;
	seen.count = *count;
	seen.items = items;
	if (*count)
		memset(items, 0xee, *count * sizeof(nvmlProcessInfo_t));
	return NVML_SUCCESS;
}

static nvmlReturn_t note_struct(nvmlDevice_t device, void *memory)
{
	seen.calls++;
	seen.device = device;
	seen.items = memory;
	if (!memory)
		return NVML_ERROR_INVALID_ARGUMENT;
	memcpy(&seen.count, memory, sizeof(seen.count));
	((nvmlMemory_v2_t *)memory)->total = 5;
	return NVML_SUCCESS;
}

static nvmlReturn_t note_array(nvmlDevice_t device, int count, void *values)
{
	seen.calls++;
	seen.device = device;
	seen.count = (unsigned int)count;
	memset(values, 0xee, (size_t)count * sizeof(nvmlFieldValue_t));
	return NVML_SUCCESS;
}

/* Takes anything, looks at nothing. */
static nvmlReturn_t anything(void)
{
	seen.calls++;
	return NVML_SUCCESS;
}

static void fill(struct vgpu_nvml *t)
{
	nvmlReturn_t (*any)(void) = anything;

	for (size_t i = 0; i < NVML_ROWS; i++)
		memcpy((char *)t + nvml_rows[i].offset, &any, sizeof(any));
	t->nvmlDeviceGetName = note_text;
	t->nvmlDeviceGetComputeRunningProcesses_v3 = note_list;
	t->nvmlDeviceGetMemoryInfo_v2 = note_struct;
	t->nvmlDeviceGetFieldValues = note_array;
	t->nvmlDeviceGetUUID = NULL;
}

static int setup(void **state)
{
	(void)state;
	s = fake_session();
	memset(&monitor, 0, sizeof(monitor));
	fill(&monitor.table);
	monitor.count = DEVICES;
	for (uint32_t i = 0; i < DEVICES; i++)
		monitor.devices[i] = (nvmlDevice_t)(uintptr_t)(i + 1);
	s->device->monitor = &monitor;
	seq = 0;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	s->device->monitor = NULL;
	fake_session_free(s);
	return 0;
}

static uint32_t id_of(const char *symbol)
{
	for (size_t i = 0; i < NVML_ROWS; i++)
		if (nvml_rows[i].symbol && !strcmp(nvml_rows[i].symbol, symbol))
			return nvml_rows[i].id;
	fail_msg("there is no %s", symbol);
	return 0;
}

/* One question: 0 or -EPROTO. `seen` is of it alone. */
static int ask_without(uint64_t nulls, uint32_t function, uint32_t device, const void *payload, uint32_t bytes)
{
	const struct vgpu_args_nvml_call a = { .function = function, .device = device, .nulls = nulls };
	const struct vgpu_cmd c = { .size = 64, .op = VGPU_OP_nvml_call, .slot = 1, .args_size = sizeof(a),
				    .payload_size = bytes, .seq = ++seq };

	memset(&seen, 0, sizeof(seen));
	s->broken[0] = 0;
	return fake_execute(s, &c, &a, payload);
}

static int ask(uint32_t function, uint32_t device, const void *payload, uint32_t bytes)
{
	return ask_without(0, function, device, payload, bytes);
}

static void refused(const char *symbol, const void *payload, uint32_t bytes)
{
	assert_int_equal(ask(id_of(symbol), 0, payload, bytes), -EPROTO);
	assert_int_equal(seen.calls, 0);
}

static const struct vgpu_ret_nvml_call *answer(void)
{
	assert_int_equal(atomic_load(&s->channel->replies[0].done), seq);
	return (const void *)s->channel->replies[0].data;
}

static void functions_and_devices(void **state)
{
	const uint32_t name = id_of("nvmlDeviceGetName");

	(void)state;
	assert_int_equal(ask(name, 1, NULL, 0), 0);
	assert_ptr_equal(seen.device, monitor.devices[1]);
	assert_int_equal(answer()->result, NVML_SUCCESS);
	assert_int_equal(s->channel->replies[0].size, sizeof(*answer()) + NVML_TEXT);
	assert_int_equal(strlen((const char *)(answer() + 1)), NVML_TEXT - 1);
	assert_int_equal(ask(name, DEVICES, NULL, 0), 0);
	assert_null(seen.device);
	assert_int_equal(ask(name, UINT32_MAX, NULL, 0), 0);
	assert_null(seen.device);
	assert_int_equal(ask(id_of("nvmlDeviceGetUUID"), 0, NULL, 0), 0);	/* not in the table */
	assert_int_equal(answer()->result, NVML_ERROR_FUNCTION_NOT_FOUND);
	monitor.soft = true;
	assert_int_equal(ask(id_of("nvmlDeviceGetUUID"), 0, NULL, 0), 0);
	assert_int_equal(answer()->result, NVML_ERROR_NOT_SUPPORTED);
	assert_int_equal(ask(0, 0, NULL, 0), -EPROTO);
	assert_int_equal(ask(nvml_rows[NVML_ROWS - 1].id + 1, 0, NULL, 0), -EPROTO);
	assert_int_equal(ask(UINT32_MAX, 0, NULL, 0), -EPROTO);
	s->device->monitor = NULL;	/* a worker that is no monitor */
	assert_int_equal(ask(name, 0, NULL, 0), -EPROTO);
}

static void lists(void **state)
{
	const char *list = "nvmlDeviceGetComputeRunningProcesses_v3";
	uint64_t count = 3;

	(void)state;
	assert_int_equal(ask(id_of(list), 0, &count, 8), 0);
	assert_int_equal(seen.count, 3);
	assert_non_null(seen.items);
	assert_int_equal(s->channel->replies[0].size, sizeof(*answer()) + 8 + 3 * sizeof(nvmlProcessInfo_t));
	count = 0;
	assert_int_equal(ask(id_of(list), 0, &count, 8), 0);
	assert_int_equal(s->channel->replies[0].size, sizeof(*answer()) + 8);
	assert_int_equal(ask_without(2, id_of(list), 0, &count, 8), 0);
	assert_null(seen.items);
	refused(list, NULL, 0);
	for (uint64_t most = VGPU_RET_PAYLOAD_MAX_nvml_call / sizeof(nvmlProcessInfo_t); most; most <<= 1) {
		count = most + 1;
		refused(list, &count, 8);
	}
	count = 1ull << 32 | 1;
	refused(list, &count, 8);
}

static void structs(void **state)
{
	const char *info = "nvmlDeviceGetMemoryInfo_v2";
	struct {
		uint64_t size;
		uint32_t word;
		uint8_t rest[LONGEST];
	} q = { .size = sizeof(nvmlMemory_v2_t), .word = NVML_STRUCT_WORD(sizeof(nvmlMemory_v2_t), 2) };
	const uint32_t whole = 8 + sizeof(nvmlMemory_v2_t);

	(void)state;
	assert_int_equal(ask(id_of(info), 0, &q, whole), 0);
	assert_int_equal(seen.calls, 1);
	for (uint32_t cut = 0; cut < whole; cut += 8)
		refused(info, &q, cut);
	q.word = NVML_STRUCT_WORD(sizeof(nvmlMemory_v2_t), 3);
	refused(info, &q, whole);
	for (q.size = 1; q.size < LONGEST; q.size++) {
		q.word = NVML_STRUCT_WORD(q.size, 2);
		if (q.size != sizeof(nvmlMemory_v2_t))
			refused(info, &q, (uint32_t)sizeof(q) & ~7u);
	}
	q.word = NVML_STRUCT_WORD(sizeof(nvmlMemory_v2_t), 2);
	q.size = 1ull << 32 | sizeof(nvmlMemory_v2_t);
	refused(info, &q, whole);
	q.size = UINT64_MAX;
	refused(info, &q, whole);
}

static void arrays(void **state)
{
	static const int64_t wrong[] = { 0, 3, 100, 103, INT32_MAX, INT32_MIN, -1, 1ll << 32, INT64_MIN };
	const char *fields = "nvmlDeviceGetFieldValues";
	struct {
		int64_t count;
		nvmlFieldValue_t values[2];
	} q = { .count = 2 };

	(void)state;
	assert_int_equal(ask(id_of(fields), 0, &q, sizeof(q)), 0);
	assert_int_equal(seen.count, 2);
	refused(fields, &q, sizeof(q) - 8);
	refused(fields, &q, 8);
	refused(fields, &q, 0);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		q.count = wrong[i];
		refused(fields, &q, sizeof(q));
	}
}

/* What the guest has no pointer for, or a struct that only the driver may know: the driver gets NULL, or room for any. */
static void nulls_and_strangers(void **state)
{
	const uint32_t name = id_of("nvmlDeviceGetName"), info = id_of("nvmlDeviceGetMemoryInfo_v2");
	const uint32_t list = id_of("nvmlDeviceGetComputeRunningProcesses_v3");
	uint64_t q[2] = { 0, NVML_STRUCT_WORD(sizeof(nvmlMemory_v2_t), 3) }, count = 1;

	(void)state;
	assert_int_equal(ask_without(1, info, 0, q, sizeof(q)), 0);
	assert_null(seen.items);
	assert_int_equal(ask(info, 0, q, sizeof(q)), 0);
	assert_int_equal(seen.count, q[1]);
	assert_int_equal(answer()->result, NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
	assert_int_equal(s->channel->replies[0].size, sizeof(*answer()));
	assert_int_equal(ask_without(1, list, 0, &count, 8), -EPROTO);	/* one of nothing */
	assert_int_equal(seen.calls, 0);
	monitor.soft = true;
	assert_int_equal(ask_without(1, name, 0, NULL, 0), 0);
	assert_int_equal(answer()->result, NVML_ERROR_INVALID_ARGUMENT);
	assert_int_equal(ask(info, 0, q, sizeof(q)), 0);
	assert_int_equal(answer()->result, NVML_ERROR_FUNCTION_NOT_FOUND);
	assert_int_equal(ask_without(2, list, 0, &count, 8), 0);
	assert_int_equal(answer()->result, NVML_ERROR_INVALID_ARGUMENT);
	assert_int_equal(seen.calls, 0);
}

/* What the driver has to tell, in its order; then nothing more. */
static nvmlEventData_t events[8];
static unsigned int event_at;

static nvmlReturn_t next_event(unsigned int set, void *event)
{
	(void)set;
	if (!events[event_at].eventType)
		return NVML_ERROR_TIMEOUT;
	memcpy(event, &events[event_at++], sizeof(events[0]));
	return NVML_SUCCESS;
}

/* Of Xids those that concern the device, of devices those that the guest has. */
static void whose_events(void **state)
{
	const nvmlDevice_t other = (nvmlDevice_t)(uintptr_t)99;
	const nvmlEventData_t all[] = {
		{ .device = monitor.devices[0], .eventType = NVML_EVENT_XID, .eventData = 31 },
		{ .device = other, .eventType = NVML_EVENT_XID, .eventData = 79 },
		{ .device = monitor.devices[1], .eventType = NVML_EVENT_XID, .eventData = 79 },
		{ .device = monitor.devices[0], .eventType = NVML_EVENT_XID, .eventData = 13 },
		{ .device = monitor.devices[0], .eventType = 0x10 },
	};
	nvmlEventData_t e;

	(void)state;
	memcpy(events, all, sizeof(all));
	event_at = 0;
	monitor.backend.event_wait = next_event;
	vgpu_nvml_view_events(&monitor);
	assert_int_equal(monitor.table.event_wait(0, &e), NVML_SUCCESS);
	assert_int_equal(e.eventData, 79);
	assert_int_equal((uintptr_t)e.device, 1);
	assert_int_equal(monitor.table.event_wait(0, &e), NVML_SUCCESS);
	assert_int_equal(e.eventType, 0x10);
	assert_int_equal((uintptr_t)e.device, 0);
	assert_int_equal(monitor.table.event_wait(0, &e), NVML_ERROR_TIMEOUT);
}

/* The soft device has sets, but nothing to register in them. */
static void soft_events(void **state)
{
	struct vgpu_nvml *t = &monitor.table;
	unsigned long long types = 1;
	nvmlEventData_t e;
	unsigned int set;

	(void)state;
	vgpu_nvml_soft_events(t);
	assert_int_equal(t->nvmlDeviceGetSupportedEventTypes(monitor.devices[0], &types), NVML_SUCCESS);
	assert_int_equal(types, 0);
	assert_int_equal(t->event_set_create(&set), NVML_SUCCESS);
	assert_int_equal(t->event_register(monitor.devices[0], NVML_EVENT_XID, set), NVML_ERROR_NOT_SUPPORTED);
	assert_int_equal(t->event_wait(set, &e), NVML_ERROR_TIMEOUT);
	assert_int_equal(t->event_set_free(set), NVML_SUCCESS);
}

/* Each function, with parameters of every length, too large and zero: it is called or the session ends, no more. */
static void every_function(void **state)
{
	static const uint8_t fills[] = { 0, 1, 0x7f, 0xff };
	uint8_t payload[LONGEST];
	unsigned int called = 0;

	(void)state;
	for (size_t row = 0; row < NVML_ROWS; row++)
		for (size_t f = 0; f < sizeof(fills); f++)
			for (uint32_t bytes = 0; bytes <= LONGEST; bytes += 8) {
				memset(payload, fills[f], bytes);
				assert_in_range(ask(nvml_rows[row].id, 0, payload, bytes) + EPROTO, 0, EPROTO);
				assert_true(!seen.calls || !s->broken[0]);
				called += seen.calls;
			}
	assert_true(called > NVML_ROWS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(functions_and_devices, setup, teardown),
		cmocka_unit_test_setup_teardown(lists, setup, teardown),
		cmocka_unit_test_setup_teardown(structs, setup, teardown),
		cmocka_unit_test_setup_teardown(arrays, setup, teardown),
		cmocka_unit_test_setup_teardown(nulls_and_strangers, setup, teardown),
		cmocka_unit_test_setup_teardown(whose_events, setup, teardown),
		cmocka_unit_test_setup_teardown(soft_events, setup, teardown),
		cmocka_unit_test_setup_teardown(every_function, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
