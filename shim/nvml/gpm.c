/* SPDX-License-Identifier: MIT */
/*
 * GPU performance monitoring: samples of counters, and metrics of two of them. What a sample holds is with the monitor,
 * under its number; a sample here is that number. It is the caller's from alloc to free, with or without an
 * initialised library. Names of metrics stay for good once told. Any thread.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "nvml/device.h"
#include "nvml/hand.h"
#include "nvml/init.h"

#define AT_ONCE		((NVML_ASKED_MAX - 64) / sizeof(struct nvml_metric))

struct nvmlGpmSample_st {
	struct nvmlGpmSample_st *self;	/* a sample that is alive points to itself */
	unsigned int number;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool taken[NVML_SAMPLES];
static struct nvml_metric *names[NVML_GPM_METRIC_MAX];

nvmlReturn_t nvmlGpmSampleAlloc(nvmlGpmSample_t *sample)
{
	struct nvmlGpmSample_st *s;
	unsigned int n = 0;

	if (!sample)
		return NVML_ERROR_INVALID_ARGUMENT;
	s = malloc(sizeof(*s));
	if (!s)
		return NVML_ERROR_MEMORY;
	pthread_mutex_lock(&lock);
	while (n < NVML_SAMPLES && taken[n])
		n++;
	if (n < NVML_SAMPLES)
		taken[n] = true;
	pthread_mutex_unlock(&lock);
	if (n == NVML_SAMPLES) {
		free(s);
		return NVML_ERROR_INSUFFICIENT_RESOURCES;
	}
	*s = (struct nvmlGpmSample_st){ .self = s, .number = n };
	*sample = s;
	return NVML_SUCCESS;
}

static bool is_sample(const struct nvmlGpmSample_st *s)
{
	return s && s->self == s;
}

/* Without an initialised library there is no monitor that could keep anything of it. */
nvmlReturn_t nvmlGpmSampleFree(nvmlGpmSample_t sample)
{
	if (!sample)
		return NVML_SUCCESS;
	if (!is_sample(sample))
		return NVML_ERROR_INVALID_ARGUMENT;
	if (nvml_initialised())
		vgpu_nvml_gpm_sample_free(sample->number);
	pthread_mutex_lock(&lock);
	taken[sample->number] = false;
	pthread_mutex_unlock(&lock);
	sample->self = NULL;
	free(sample);
	return NVML_SUCCESS;
}

static nvmlReturn_t wrong_sample(const struct nvmlGpmSample_st *s)
{
	if (!nvml_initialised())
		return NVML_ERROR_UNINITIALIZED;
	return is_sample(s) ? NVML_SUCCESS : NVML_ERROR_INVALID_ARGUMENT;
}

nvmlReturn_t nvmlGpmSampleGet(nvmlDevice_t device, nvmlGpmSample_t sample)
{
	nvmlReturn_t r = wrong_sample(sample);

	return r ? r : vgpu_nvml_gpm_sample_get(device, sample->number);
}

nvmlReturn_t nvmlGpmMigSampleGet(nvmlDevice_t device, unsigned int instance, nvmlGpmSample_t sample)
{
	nvmlReturn_t r = wrong_sample(sample);

	return r ? r : vgpu_nvml_gpm_mig_sample_get(device, instance, sample->number);
}

nvmlReturn_t nvmlGpmQueryDeviceSupport(nvmlDevice_t device, void *support)
{
	nvmlGpmSupport_t *s = support;

	if (!nvml_initialised())
		return NVML_ERROR_UNINITIALIZED;
	return s ? vgpu_nvml_gpm_support(device, s->version, &s->isSupportedDevice) : NVML_ERROR_INVALID_ARGUMENT;
}

/* With the lock held. What the monitor says of a metric is kept at its first mention. */
static void name(nvmlGpmMetric_t *m, const struct nvml_metric *told)
{
	struct nvml_metric **kept = &names[m->metricId < NVML_GPM_METRIC_MAX ? m->metricId : 0];

	if (!told->short_name[0] || m->metricId >= NVML_GPM_METRIC_MAX)
		return;
	if (!*kept) {
		*kept = malloc(sizeof(**kept));
		if (!*kept)
			return;
		**kept = *told;
		(*kept)->short_name[sizeof((*kept)->short_name) - 1] = '\0';
		(*kept)->long_name[sizeof((*kept)->long_name) - 1] = '\0';
		(*kept)->unit[sizeof((*kept)->unit) - 1] = '\0';
	}
	m->shortName = (*kept)->short_name;
	m->longName = (*kept)->long_name;
	m->unit = (*kept)->unit;
}

static nvmlReturn_t some_metrics(const nvmlGpmMetricsGet_t *get, nvmlGpmMetric_t *m, unsigned int count)
{
	struct nvml_metric told[AT_ONCE];
	nvmlReturn_t r;

	memset(told, 0, sizeof(told));
	for (unsigned int i = 0; i < count; i++)
		told[i].id = m[i].metricId;
	r = vgpu_nvml_gpm_metrics(get->sample1->number, get->sample2->number, (int)count, told);
	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; !r && i < count; i++) {
		m[i].nvmlReturn = (nvmlReturn_t)told[i].result;
		m[i].value = told[i].value;
		name(&m[i], &told[i]);
	}
	pthread_mutex_unlock(&lock);
	return r;
}

nvmlReturn_t nvmlGpmMetricsGet(void *get)
{
	nvmlGpmMetricsGet_t *g = get;
	nvmlReturn_t r = NVML_SUCCESS;
	unsigned int done, n;

	if (!nvml_initialised())
		return NVML_ERROR_UNINITIALIZED;
	if (!g)
		return NVML_ERROR_INVALID_ARGUMENT;
	if (g->version != NVML_GPM_VERSION)
		return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	if (!g->numMetrics || g->numMetrics > NVML_GPM_METRIC_MAX || !is_sample(g->sample1) || !is_sample(g->sample2))
		return NVML_ERROR_INVALID_ARGUMENT;
	for (done = 0; !r && done < g->numMetrics; done += n) {
		n = g->numMetrics - done < AT_ONCE ? g->numMetrics - done : AT_ONCE;
		r = some_metrics(g, &g->metrics[done], n);
	}
	return r;
}
