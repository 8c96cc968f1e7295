/* SPDX-License-Identifier: MIT */
/*
 * Command streams of real programs (VGPU_RECORD), sent again at full speed or with the program's own pauses.  Compared with
 * the time that the same part took when it was recorded: of_recorded is below 1 where the program, not the device, was slow.
 */
#include <stdio.h>
#include <string.h>

#include "gbench.h"
#include "replay.h"

#define FILES_MOST 64

struct job {
	struct recording rec;
	bool paced;
};

static const char usage[] =
	"Usage: bench_replay [--paced] [--check] FILE... [--benchmark_...]\n"
	"\n"
	"Sends recordings (VGPU_RECORD, vgpu-guest(7)) again to the mediator at\n"
	"VGPU_SOCKET_PATH, each over a session of its own: at full speed, or with --paced\n"
	"no command earlier than the program had it ready. --check does it once, without\n"
	"measuring, and compares what came back where the recording holds it\n"
	"(VGPU_RECORD_DATA=all).\n"
	"\n"
	"Exit status: 0 done; 1 a recording is unusable or a replay failed; 2 wrong usage.\n";

static void replay(struct gbench *b)
{
	const struct job *j = gbench_data(b);
	struct replay_result one, sum = { 0 };

	while (gbench_next(b)) {
		if (replay_run(&j->rec, j->paced, &one)) {
			gbench_fail(b, one.why);
			return;
		}
		gbench_time(b, (double)one.ns / 1e9);
		sum.ns += one.ns;
		sum.commands += one.commands;
		sum.launches += one.launches;
		sum.copied += one.copied;
		sum.doorbells += one.doorbells;
	}
	if (!sum.ns || !sum.commands)
		return;
	gbench_items(b, (int64_t)sum.commands);
	if (sum.copied)
		gbench_bytes(b, (int64_t)sum.copied);
	gbench_figure(b, "launches_per_second", (double)sum.launches * 1e9 / (double)sum.ns);
	gbench_figure(b, "doorbells_per_1000", (double)sum.doorbells * 1e3 / (double)sum.commands);
	gbench_figure(b, "recorded_ns", (double)(j->rec.to_time - j->rec.from_time));
	gbench_figure(b, "of_recorded", (double)sum.ns / (double)gbench_iterations(b) /
						(double)(j->rec.to_time - j->rec.from_time));
}

/* The file's name without folder and suffix. */
static void add(const char *path, struct job *j)
{
	const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
	char name[128];

	snprintf(name, sizeof(name), "replay/%s/%.*s", j->paced ? "paced" : "full", (int)strcspn(base, "."), base);
	gbench_add_case(name, replay, &(struct gbench_case){ .manual = true, .data = j });
}

static int check(const char *path, const struct job *j)
{
	struct replay_result result;

	if (replay_run(&j->rec, j->paced, &result)) {
		fprintf(stderr, "bench_replay: %s: %s\n", path, result.why);
		return 1;
	}
	printf("%s: %llu commands, %llu launches, %llu results compared, %.3f ms (recorded: %.3f ms)\n", path,
	       (unsigned long long)j->rec.commands, (unsigned long long)j->rec.launches, (unsigned long long)result.checked,
	       (double)result.ns / 1e6, (double)(j->rec.to_time - j->rec.from_time) / 1e6);
	return 0;
}

int main(int argc, char **argv)
{
	static struct job jobs[FILES_MOST];
	const char *files[FILES_MOST];
	bool paced = false, only_check = false;
	int count = 0, kept = 1, status = 0;

	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--help"))
			return fputs(usage, stdout) < 0;
		if (!strcmp(argv[i], "--paced"))
			paced = true;
		else if (!strcmp(argv[i], "--check"))
			only_check = true;
		else if (argv[i][0] == '-')
			argv[kept++] = argv[i];
		else if (count < FILES_MOST)
			files[count++] = argv[i];
	}
	argv[kept] = NULL;
	if (!count)
		return fputs(usage, stderr) < 0 ? 1 : 2;
	for (int i = 0; i < count; i++) {
		jobs[i].paced = paced;
		if (recording_open(&jobs[i].rec, files[i])) {
			fprintf(stderr, "bench_replay: %s: %s\n", files[i], jobs[i].rec.why);
			return 1;
		}
		if (only_check)
			status |= check(files[i], &jobs[i]);
		else
			add(files[i], &jobs[i]);
	}
	return only_check ? status : gbench_main(kept, argv);
}
