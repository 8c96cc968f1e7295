/* SPDX-License-Identifier: MIT */
/*
 * GPU performance monitoring of the driver's library: a guest's samples by number, and the metrics of two of them. The
 * counters are the device's, shared as its load is, and reading them changes nothing. The worker's only thread.
 */
#include <stdio.h>
#include <string.h>

#include "monitor.h"

static struct {
	nvmlReturn_t (*alloc)(nvmlGpmSample_t *s);
	nvmlReturn_t (*free)(nvmlGpmSample_t s);
	nvmlReturn_t (*get)(nvmlDevice_t device, nvmlGpmSample_t s);
	nvmlReturn_t (*mig_get)(nvmlDevice_t device, unsigned int instance, nvmlGpmSample_t s);
	nvmlReturn_t (*support)(nvmlDevice_t device, nvmlGpmSupport_t *s);
	nvmlReturn_t (*metrics)(nvmlGpmMetricsGet_t *get);
} driver;

static nvmlGpmSample_t samples[NVML_SAMPLES];	/* NULL until it is first read or asked for */

static nvmlReturn_t numbered(unsigned int number, nvmlGpmSample_t *s)
{
	nvmlReturn_t r = NVML_SUCCESS;

	if (number >= NVML_SAMPLES)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (!samples[number])
		r = driver.alloc(&samples[number]);
	*s = samples[number];
	return r;
}

static nvmlReturn_t sample_free(unsigned int number)
{
	nvmlGpmSample_t s = number < NVML_SAMPLES ? samples[number] : NULL;

	if (!s)
		return NVML_SUCCESS;
	samples[number] = NULL;
	return driver.free(s);
}

static nvmlReturn_t sample_get(nvmlDevice_t device, unsigned int number)
{
	nvmlGpmSample_t s;
	nvmlReturn_t r = numbered(number, &s);

	return r ? r : driver.get(device, s);
}

static nvmlReturn_t mig_sample_get(nvmlDevice_t device, unsigned int instance, unsigned int number)
{
	nvmlGpmSample_t s;
	nvmlReturn_t r = numbered(number, &s);

	return r ? r : driver.mig_get(device, instance, s);
}

static nvmlReturn_t support(nvmlDevice_t device, unsigned int version, unsigned int *supported)
{
	nvmlGpmSupport_t s = { .version = version };
	nvmlReturn_t r = driver.support(device, &s);

	*supported = s.isSupportedDevice;
	return r;
}

static void put_metric(struct nvml_metric *to, const nvmlGpmMetric_t *m)
{
	to->result = m->nvmlReturn;
	to->value = m->value;
	snprintf(to->short_name, sizeof(to->short_name), "%s", m->shortName ? m->shortName : "");
	snprintf(to->long_name, sizeof(to->long_name), "%s", m->longName ? m->longName : "");
	snprintf(to->unit, sizeof(to->unit), "%s", m->unit ? m->unit : "");
}

static nvmlReturn_t metrics(unsigned int first, unsigned int second, int count, void *told)
{
	nvmlGpmMetricsGet_t get = { .version = NVML_GPM_VERSION, .numMetrics = (unsigned int)count };
	struct nvml_metric *to = told;
	nvmlReturn_t r;

	if (get.numMetrics > NVML_GPM_METRIC_MAX)
		return NVML_ERROR_INVALID_ARGUMENT;
	r = numbered(first, &get.sample1);
	if (!r)
		r = numbered(second, &get.sample2);
	for (unsigned int i = 0; i < get.numMetrics; i++)
		get.metrics[i].metricId = to[i].id;
	if (!r)
		r = driver.metrics(&get);
	for (unsigned int i = 0; !r && i < get.numMetrics; i++)
		put_metric(&to[i], &get.metrics[i]);
	return r;
}

void vgpu_nvml_driver_gpm(struct vgpu_nvml *table, void *lib)
{
	if (!vgpu_nvml_symbol(lib, "nvmlGpmSampleAlloc", &driver.alloc) ||
	    !vgpu_nvml_symbol(lib, "nvmlGpmSampleFree", &driver.free) ||
	    !vgpu_nvml_symbol(lib, "nvmlGpmSampleGet", &driver.get) ||
	    !vgpu_nvml_symbol(lib, "nvmlGpmMetricsGet", &driver.metrics) ||
	    !vgpu_nvml_symbol(lib, "nvmlGpmQueryDeviceSupport", &driver.support))
		return;
	table->gpm_sample_free = sample_free;
	table->gpm_sample_get = sample_get;
	if (vgpu_nvml_symbol(lib, "nvmlGpmMigSampleGet", &driver.mig_get))
		table->gpm_mig_sample_get = mig_sample_get;
	table->gpm_support = support;
	table->gpm_metrics = metrics;
}
