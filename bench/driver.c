/* SPDX-License-Identifier: MIT */
/* bench_driver: options, the library, the report. See driver.h. */
#include <dlfcn.h>
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "driver.h"

#define INIT_NAME "init"
#define OPS_MAX	  32u

struct bench_cuda cu;

struct result {
	const char *name, *title;
	struct bench_samples samples;
};

struct run {
	struct bench_setup b;
	const char *json;
	char **only;		/* names of operations; all if there are none */
	int only_count;
	unsigned int init_processes;	/* that only initialise */
	char device_name[256];
	int driver_version;
	struct result results[OPS_MAX];
	unsigned int count;
};

/* ---- what driver.h offers ---- */

void bench_die(const char *call, CUresult result)
{
	const char *name = NULL;

	if (!cu.cuGetErrorName || cu.cuGetErrorName(result, &name) != CUDA_SUCCESS || !name)
		name = "an unknown error";
	fprintf(stderr, "bench_driver: %s: %s (%d)\n", call, name, (int)result);
	_exit(2);
}

void bench_wrong(const char *what)
{
	fprintf(stderr, "bench_driver: %s: WRONG DATA\n", what);
	_exit(1);
}

double bench_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

void bench_pause(const struct bench_setup *b)
{
	const struct timespec t = { .tv_sec = b->pause_ms / 1000, .tv_nsec = (long)(b->pause_ms % 1000) * 1000000 };

	nanosleep(&t, NULL);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(const struct bench_samples *s)
{
	struct bench_samples sorted = *s;

	qsort(sorted.us, sorted.count, sizeof(sorted.us[0]), by_size);
	return s->count % 2 ? sorted.us[s->count / 2] :
			      (sorted.us[s->count / 2 - 1] + sorted.us[s->count / 2]) / 2;
}

static bool resolve(void *library, const char *name, void *slot)
{
	void *symbol = dlsym(library, name);

	memcpy(slot, &symbol, sizeof(symbol));
	return symbol;
}

#define TEXT_OF(name) #name
#define TEXT(name) TEXT_OF(name)

const char *bench_cuda_open(const char *file)
{
	void *library = dlopen(file, RTLD_NOW | RTLD_LOCAL);

	if (!library)
		return dlerror();
#define X(name)                                                 \
	if (!resolve(library, TEXT(name), &cu.name))            \
		return "the library lacks " TEXT(name);
	BENCH_CALLS(X)
#undef X
	return NULL;
}

/* ---- the run ---- */

static bool wanted(const struct run *r, const char *name)
{
	for (int i = 0; i < r->only_count; i++)
		if (!strcmp(r->only[i], name))
			return true;
	return !r->only_count;
}

static void open_device(struct run *r)
{
	struct bench_setup *b = &r->b;
	CUcontext context;
	CUdevice device;

	CHECK(cu.cuInit(0));
	CHECK(cu.cuDriverGetVersion(&r->driver_version));
	CHECK(cu.cuDeviceGet(&device, 0));
	CHECK(cu.cuDeviceGetName(r->device_name, sizeof(r->device_name), device));
	CHECK(cu.cuDevicePrimaryCtxRetain(&context, device));
	CHECK(cu.cuCtxSetCurrent(context));
	CHECK(cu.cuStreamCreate(&b->stream, CU_STREAM_NON_BLOCKING));
	CHECK(cu.cuEventCreate(&b->event, CU_EVENT_DEFAULT));
	CHECK(cu.cuModuleLoadData(&b->module, bench_ptx));
	CHECK(cu.cuModuleGetFunction(&b->empty, b->module, "empty"));
	CHECK(cu.cuModuleGetFunction(&b->ten, b->module, "ten"));
	CHECK(cu.cuModuleGetFunction(&b->wide, b->module, "wide"));
	CHECK(cu.cuModuleGetFunction(&b->mix, b->module, "mix"));
}

static void take_memory(struct bench_setup *b)
{
	size_t size = b->piece * b->pieces > b->large ? b->piece * b->pieces : b->large;
	void *pinned;

	CHECK(cu.cuMemAlloc(&b->device, size));
	CHECK(cu.cuMemAllocHost(&pinned, size));
	b->pinned = pinned;
	b->pageable = malloc(size);
	if (!b->pageable)
		bench_die("malloc", CUDA_ERROR_OUT_OF_MEMORY);
	memset(b->pinned, 1, size);
	memset(b->pageable, 1, size);
}

static void give_back(struct bench_setup *b)
{
	CUdevice device;

	free(b->pageable);
	CHECK(cu.cuMemFreeHost(b->pinned));
	CHECK(cu.cuMemFree(b->device));
	CHECK(cu.cuModuleUnload(b->module));
	CHECK(cu.cuEventDestroy(b->event));
	CHECK(cu.cuStreamDestroy(b->stream));
	CHECK(cu.cuDeviceGet(&device, 0));
	CHECK(cu.cuDevicePrimaryCtxRelease(device));
}

static void show(const struct result *r)
{
	double least = r->samples.us[0], most = r->samples.us[0];

	for (unsigned int i = 1; i < r->samples.count; i++) {
		if (r->samples.us[i] < least)
			least = r->samples.us[i];
		if (r->samples.us[i] > most)
			most = r->samples.us[i];
	}
	printf("%-48s %12.3f us  (%.3f .. %.3f)\n", r->title, bench_median(&r->samples), least, most);
	fflush(stdout);
}

static struct result *begin(struct run *r, const char *name, const char *title)
{
	struct result *result = &r->results[r->count++];

	result->name = name;
	result->title = title;
	return result;
}

static void measure(struct run *r)
{
	struct result *result;

	open_device(r);
	take_memory(&r->b);
	bench_pause(&r->b);
	bench_pause(&r->b);
	for (unsigned int i = 0; i < bench_op_count; i++) {
		if (!wanted(r, bench_ops[i].name))
			continue;
		result = begin(r, bench_ops[i].name, bench_ops[i].title);
		bench_ops[i].run(&r->b, &result->samples);
		bench_together_gather(&r->b, &result->samples);
		show(result);
	}
	give_back(&r->b);
}

/* ---- the report ---- */

static void write_text(FILE *f, const char *text)
{
	fputc('"', f);
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			fputc('\\', f);
		if ((unsigned char)*text >= ' ')
			fputc(*text, f);
	}
	fputc('"', f);
}

static void write_result(FILE *f, const struct result *r, bool last)
{
	fprintf(f, "  {\"name\": \"%s\", \"title\": \"%s\", \"unit\": \"us\", \"median\": %.4f, \"samples\": [", r->name,
		r->title, bench_median(&r->samples));
	for (unsigned int i = 0; i < r->samples.count; i++)
		fprintf(f, "%s%.4f", i ? ", " : "", r->samples.us[i]);
	fprintf(f, "]}%s\n", last ? "" : ",");
}

/* 0, or -errno. */
static int write_json(const struct run *r)
{
	FILE *f = fopen(r->json, "we");

	if (!f)
		return -errno;
	fprintf(f, "{\n \"device\": ");
	write_text(f, r->device_name);
	fprintf(f, ",\n \"cuda\": %d,\n \"large_bytes\": %zu,\n \"piece_bytes\": %zu,\n \"pieces\": %u,\n", r->driver_version,
		r->b.large, r->b.piece, r->b.pieces);
	fprintf(f, " \"processes\": %u,\n", r->b.processes);
	fprintf(f, " \"overlap_loops\": %u,\n \"repetitions\": %u,\n \"results\": [\n", r->b.loops, r->b.reps);
	for (unsigned int i = 0; i < r->count; i++)
		write_result(f, &r->results[i], i + 1 == r->count);
	fprintf(f, " ]\n}\n");
	return fclose(f) ? -errno : 0;
}

/* ---- options ---- */

enum { OPT_JSON = 1000, OPT_QUICK, OPT_LIBRARY, OPT_LOOPS, OPT_INIT, OPT_PROCESSES, OPT_REPS, OPT_HELP };

static const struct option options[] = {
	{ "json", required_argument, NULL, OPT_JSON },
	{ "quick", no_argument, NULL, OPT_QUICK },
	{ "library", required_argument, NULL, OPT_LIBRARY },
	{ "overlap-loops", required_argument, NULL, OPT_LOOPS },
	{ "init-processes", required_argument, NULL, OPT_INIT },
	{ "processes", required_argument, NULL, OPT_PROCESSES },
	{ "repetitions", required_argument, NULL, OPT_REPS },
	{ "help", no_argument, NULL, OPT_HELP },
	{ 0 },
};

static void help(void)
{
	printf("Usage: bench_driver [OPTION]... [NAME]...\n"
	       "Measures operations of the CUDA driver API: all of them, or those named.\n\n"
	       "  --json FILE          write all samples there, too\n"
	       "  --repetitions N      of each operation, after a warm-up (7)\n"
	       "  --init-processes N   processes that only initialise (7)\n"
	       "  --processes N        that measure at once; the time of one operation of any of them (1)\n"
	       "  --overlap-loops N    rounds of the kernel that overlaps with copies (0: calibrate)\n"
	       "  --library FILE       the driver (libcuda.so.1)\n"
	       "  --quick              tiny counts and sizes: does it work?\n\nNames:\n  %s\n", INIT_NAME);
	for (unsigned int i = 0; i < bench_op_count; i++)
		printf("  %s\n", bench_ops[i].name);
}

static void quick(struct run *r)
{
	r->b.reps = 2;
	r->b.divide = 250;
	r->b.large = 1u << 20;
	r->b.piece = 16u << 10;
	r->b.pieces = 4;
	r->b.loops = 4;
	r->b.pause_ms = 0;
	r->init_processes = 1;
}

static bool number(const char *text, unsigned int most, unsigned int *n)
{
	char *end;
	unsigned long v;

	errno = 0;
	v = strtoul(text, &end, 10);
	*n = (unsigned int)v;
	return !errno && end != text && !*end && text[0] != '-' && v <= most;
}

static bool take_option(struct run *r, int opt)
{
	switch (opt) {
	case OPT_JSON:
		r->json = optarg;
		return true;
	case OPT_QUICK:
		quick(r);
		return true;
	case OPT_LIBRARY:
		r->b.library = optarg;
		return true;
	case OPT_LOOPS:
		return number(optarg, 1u << 20, &r->b.loops);
	case OPT_INIT:
		return number(optarg, BENCH_REPS_MAX, &r->init_processes);
	case OPT_PROCESSES:
		return number(optarg, BENCH_PROCESSES_MAX, &r->b.processes) && r->b.processes;
	case OPT_REPS:
		return number(optarg, BENCH_REPS_MAX, &r->b.reps) && r->b.reps;
	}
	return false;
}

static bool known(const char *name)
{
	for (unsigned int i = 0; i < bench_op_count; i++)
		if (!strcmp(bench_ops[i].name, name))
			return true;
	return !strcmp(name, INIT_NAME);
}

/* 0: go on; else the exit status plus 1. */
static int parse(struct run *r, int argc, char **argv)
{
	int opt;

	while ((opt = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (opt == OPT_HELP) {
			help();
			return 1;
		}
		if (!take_option(r, opt)) {
			fprintf(stderr, "bench_driver: wrong usage (see --help)\n");
			return 3;
		}
	}
	r->only = argv + optind;
	r->only_count = argc - optind;
	for (int i = 0; i < r->only_count; i++) {
		if (known(r->only[i]))
			continue;
		fprintf(stderr, "bench_driver: no operation '%s' (see --help)\n", r->only[i]);
		return 3;
	}
	return 0;
}

int main(int argc, char **argv)
{
	static struct run r = {
		.b = { .reps = 7, .divide = 1, .large = 256u << 20, .piece = 8u << 20, .pieces = 16,
		       .pause_ms = 500, .processes = 1, .library = "libcuda.so.1" },
		.init_processes = 7,
	};
	struct result *init;
	const char *why;
	int ret = parse(&r, argc, argv);

	if (ret)
		return ret - 1;
	if (r.init_processes && wanted(&r, INIT_NAME)) {
		init = begin(&r, INIT_NAME, "first CUDA call to context");
		bench_init(&r.b, &init->samples, r.init_processes);
		show(init);
	}
	bench_together_start(&r.b);
	why = bench_cuda_open(r.b.library);
	if (why) {
		fprintf(stderr, "bench_driver: %s\n", why);
		return BENCH_NO_LIBRARY;
	}
	measure(&r);
	ret = bench_together_end(&r.b);
	if (ret || r.b.process)
		return ret;
	if (r.json && write_json(&r) < 0) {
		perror(r.json);
		return 2;
	}
	return 0;
}
