/* SPDX-License-Identifier: MIT */
/*
 * What a monitor keeps of the driver's under numbers that a guest chooses: samples of performance and sets of events.
 * The driver's library is this program: it exports the functions and counts what is alive.
 */
#include <dlfcn.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "monitor.h"

#define DEVICE ((nvmlDevice_t)(uintptr_t)1)

struct nvmlGpmSample_st {
	nvmlDevice_t read;
};

static unsigned int alive;

nvmlReturn_t nvmlGpmSampleAlloc(nvmlGpmSample_t *sample);
nvmlReturn_t nvmlGpmSampleFree(nvmlGpmSample_t sample);
nvmlReturn_t nvmlGpmSampleGet(nvmlDevice_t device, nvmlGpmSample_t sample);
nvmlReturn_t nvmlGpmQueryDeviceSupport(nvmlDevice_t device, nvmlGpmSupport_t *support);
nvmlReturn_t nvmlGpmMetricsGet(nvmlGpmMetricsGet_t *get);
nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *set);
nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set);
nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, unsigned long long types, nvmlEventSet_t set);
nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t *data, unsigned int milliseconds);

nvmlReturn_t nvmlGpmSampleAlloc(nvmlGpmSample_t *sample)
{
	*sample = calloc(1, sizeof(**sample));
	alive++;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpmSampleFree(nvmlGpmSample_t sample)
{
	free(sample);
	alive--;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpmSampleGet(nvmlDevice_t device, nvmlGpmSample_t sample)
{
	sample->read = device;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlGpmQueryDeviceSupport(nvmlDevice_t device, nvmlGpmSupport_t *support)
{
	if (support->version != NVML_GPM_VERSION)
		return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	support->isSupportedDevice = device == DEVICE;
	return NVML_SUCCESS;
}

/* Even metrics have a value and names that are longer than the wire has room for. */
nvmlReturn_t nvmlGpmMetricsGet(nvmlGpmMetricsGet_t *get)
{
	static char name[300];

	memset(name, 'n', sizeof(name) - 1);
	for (unsigned int i = 0; i < get->numMetrics; i++) {
		nvmlGpmMetric_t *m = &get->metrics[i];

		m->nvmlReturn = m->metricId % 2 ? NVML_ERROR_NOT_SUPPORTED : NVML_SUCCESS;
		m->value = get->sample1->read && get->sample2->read ? m->metricId : 0;
		m->shortName = m->longName = m->unit = m->metricId % 2 ? NULL : name;
	}
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *set)
{
	*set = malloc(1);
	alive++;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set)
{
	free(set);
	alive--;
	return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t device, unsigned long long types, nvmlEventSet_t set)
{
	return device && set && types == NVML_EVENT_XID ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

/* Nobody may wait here: the guest's other threads would wait with it. */
nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t *data, unsigned int milliseconds)
{
	(void)data;
	return set && !milliseconds ? NVML_ERROR_TIMEOUT : NVML_ERROR_UNKNOWN;
}

static void samples(void **state)
{
	struct vgpu_nvml t = { .gpm_metrics = NULL };
	struct nvml_metric m[2] = { { .id = 2 }, { .id = 3 } };
	unsigned int yes = 7;

	(void)state;
	vgpu_nvml_driver_gpm(&t, dlopen(NULL, RTLD_NOW));
	assert_null(t.gpm_mig_sample_get);	/* this library has none */
	assert_int_equal(t.gpm_support(DEVICE, NVML_GPM_VERSION, &yes), NVML_SUCCESS);
	assert_int_equal(yes, 1);
	assert_int_equal(t.gpm_support(DEVICE, 9, &yes), NVML_ERROR_ARGUMENT_VERSION_MISMATCH);
	assert_int_equal(t.gpm_sample_get(DEVICE, NVML_SAMPLES), NVML_ERROR_INVALID_ARGUMENT);
	assert_int_equal(t.gpm_sample_get(DEVICE, 0), NVML_SUCCESS);
	assert_int_equal(t.gpm_sample_get(DEVICE, NVML_SAMPLES - 1), NVML_SUCCESS);
	assert_int_equal(t.gpm_sample_get(DEVICE, 0), NVML_SUCCESS);
	assert_int_equal(alive, 2);
	assert_int_equal(t.gpm_metrics(0, NVML_SAMPLES, 2, m), NVML_ERROR_INVALID_ARGUMENT);
	assert_int_equal(t.gpm_metrics(0, NVML_SAMPLES - 1, -1, m), NVML_ERROR_INVALID_ARGUMENT);
	assert_int_equal(t.gpm_metrics(0, NVML_SAMPLES - 1, 2, m), NVML_SUCCESS);
	assert_int_equal(m[0].result, NVML_SUCCESS);
	assert_true(m[0].value == 2);
	assert_int_equal(strlen(m[0].short_name), sizeof(m[0].short_name) - 1);
	assert_int_equal(m[1].result, NVML_ERROR_NOT_SUPPORTED);
	assert_int_equal(m[1].unit[0], 0);
	assert_int_equal(t.gpm_sample_free(0), NVML_SUCCESS);
	assert_int_equal(t.gpm_sample_free(0), NVML_SUCCESS);	/* never read: the guest's alone */
	assert_int_equal(t.gpm_sample_free(UINT32_MAX), NVML_SUCCESS);
	assert_int_equal(t.gpm_sample_free(NVML_SAMPLES - 1), NVML_SUCCESS);
	assert_int_equal(alive, 0);
}

static void sets(void **state)
{
	struct vgpu_nvml t = { .event_wait = NULL };
	unsigned int set, one, most = 0;
	nvmlEventData_t e;

	(void)state;
	vgpu_nvml_driver_events(&t, dlopen(NULL, RTLD_NOW));
	assert_int_equal(t.event_set_create(&one), NVML_SUCCESS);
	while (!t.event_set_create(&set))
		assert_in_range(++most, 1, 1024);
	assert_int_equal(alive, most + 1);
	assert_int_equal(t.event_register(DEVICE, NVML_EVENT_XID, one), NVML_SUCCESS);
	assert_int_equal(t.event_register(NULL, NVML_EVENT_XID, one), NVML_ERROR_INVALID_ARGUMENT);
	assert_int_equal(t.event_wait(one, &e), NVML_ERROR_TIMEOUT);
	assert_int_equal(t.event_set_free(one), NVML_SUCCESS);
	assert_int_equal(t.event_set_free(one), NVML_ERROR_INVALID_ARGUMENT);
	assert_int_equal(t.event_wait(one, &e), NVML_ERROR_INVALID_ARGUMENT);
	assert_int_equal(t.event_wait(UINT32_MAX, &e), NVML_ERROR_INVALID_ARGUMENT);
	for (set = 0; set <= most; set++)
		assert_int_equal(t.event_set_free(set), set == one ? NVML_ERROR_INVALID_ARGUMENT : NVML_SUCCESS);
	assert_int_equal(alive, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(samples), cmocka_unit_test(sets) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
