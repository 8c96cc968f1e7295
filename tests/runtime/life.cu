/* SPDX-License-Identifier: MIT */
/*
 * How processes begin and end with CUDA: life MODE PART..., where a PART is a shared object made of life_part.cu, the
 * n-th with the value 10 * n. Exit status 0 if all went well.
 *   load     each part is loaded, used and unloaded, three times, all of them at once and one after the other
 *   threads  eight threads make the process's first call at the same time, each in a part, if there are any
 *   driver   the driver's library is loaded, used and unloaded, three times
 *   exec     a process that uses CUDA forks a child, which begins anew as this program
 *   fork     a child that does not is told that it has no CUDA, and its parent goes on
 *   exit     CUDA works in an atexit handler that was registered after its first use, and one from before still ends well
 */
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cuda_runtime.h>

#define THREADS 8

typedef int (*part_fn)(void);

static int failures;

#define EXPECT(what) do { if (!(what)) { failures++; printf("%d: not so: %s\n", __LINE__, #what); } } while (0)

static __global__ void set(int *p, int v)
{
	*p = v;
}

static int set_and_get(int v)
{
	int *p, n = 0;

	if (cudaMalloc(&p, sizeof(n)))
		return -1;
	set<<<1, 1>>>(p, v);
	return cudaMemcpy(&n, p, sizeof(n), cudaMemcpyDeviceToHost) || cudaFree(p) ? -1 : n;
}

static void use(void *part, int value)
{
	part_fn run = part ? (part_fn)dlsym(part, "part_run") : NULL;
	int got = run ? run() : -1;

	if (got != value + 1) {
		failures++;
		printf("part %d: %d: %s\n", value, got, run ? "" : dlerror());
	}
}

static void load(char **parts, int count)
{
	for (int round = 0; round < 3; round++) {
		void *part[8];

		for (int i = 0; i < count; i++)
			use(part[i] = dlopen(parts[i], RTLD_NOW | RTLD_LOCAL), 10 * (i + 1));
		EXPECT(set_and_get(round) == round);
		for (int i = count; i--;)
			EXPECT(part[i] && !dlclose(part[i]));
		for (int i = 0; i < count; i++) {
			use(part[0] = dlopen(parts[i], RTLD_NOW | RTLD_LOCAL), 10 * (i + 1));
			EXPECT(part[0] && !dlclose(part[0]));
		}
	}
}

struct user {
	pthread_t thread;
	part_fn part;		/* NULL: this program */
	int value;
	bool fine;
};

static pthread_barrier_t start;

static void *first_use(void *arg)
{
	struct user *u = (struct user *)arg;

	pthread_barrier_wait(&start);
	u->fine = u->part ? u->part() == u->value + 1 : set_and_get(u->value) == u->value;
	return NULL;
}

static void threads(char **parts, int count)
{
	struct user user[THREADS] = {};

	pthread_barrier_init(&start, NULL, THREADS);
	for (int i = 0; i < THREADS; i++) {
		user[i].value = 10 * (i + 1);
		if (i < count)
			user[i].part = (part_fn)dlsym(dlopen(parts[i], RTLD_NOW | RTLD_LOCAL), "part_run");
		EXPECT(i >= count || user[i].part);
	}
	for (int i = 0; i < THREADS; i++)
		EXPECT(!pthread_create(&user[i].thread, NULL, first_use, &user[i]));
	for (int i = 0; i < THREADS; i++) {
		EXPECT(!pthread_join(user[i].thread, NULL));
		EXPECT(user[i].fine);
	}
}

static void driver(void)
{
	typedef int (*init_fn)(unsigned int flags);
	typedef int (*count_fn)(int *count);

	for (int round = 0; round < 3; round++) {
		void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
		init_fn init = library ? (init_fn)dlsym(library, "cuInit") : NULL;
		count_fn count = library ? (count_fn)dlsym(library, "cuDeviceGetCount") : NULL;
		int n = 0;

		EXPECT(init && count && !init(0) && !count(&n) && n > 0);
		EXPECT(library && !dlclose(library));
	}
}

/* The exit status of a child. */
static int status_of(pid_t child)
{
	int status = -1;

	return child > 0 && waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void exec_child(char *self)
{
	pid_t child;

	EXPECT(set_and_get(3) == 3);
	child = fork();
	if (!child) {
		execl(self, self, "threads", (char *)NULL);
		_exit(127);
	}
	EXPECT(status_of(child) == 0);
	EXPECT(set_and_get(4) == 4);
}

static void fork_child(void)
{
	pid_t child;
	int *p;

	EXPECT(set_and_get(3) == 3);
	child = fork();
	if (!child)
		exit(cudaMalloc(&p, sizeof(*p)) == cudaErrorInitializationError ? 0 : 1);	/* its handlers run, too */
	EXPECT(status_of(child) == 0);
	EXPECT(set_and_get(4) == 4);
}

/* Runs after cudart has gone: any answer will do, so long as there is one. */
static void last(void)
{
	int *p;

	cudaMalloc(&p, 4);
	printf("last handler\n");
}

static void before_the_end(void)
{
	if (set_and_get(8) != 8)
		_exit(1);
	printf("CUDA works in a handler\n");
}

int main(int argc, char **argv)
{
	const char *mode = argc > 1 ? argv[1] : "";

	if (!strcmp(mode, "load")) {
		load(argv + 2, argc - 2);
	} else if (!strcmp(mode, "threads")) {
		threads(argv + 2, argc - 2);
	} else if (!strcmp(mode, "driver")) {
		driver();
	} else if (!strcmp(mode, "exec")) {
		exec_child(argv[0]);
	} else if (!strcmp(mode, "fork")) {
		fork_child();
	} else if (!strcmp(mode, "exit")) {
		atexit(last);
		EXPECT(set_and_get(7) == 7);
		atexit(before_the_end);
	} else {
		failures++;
	}
	return failures != 0;
}
