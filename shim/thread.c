/* SPDX-License-Identifier: MIT */
/* What a thread of the application has (thread.h), and the threads that the shim starts beside it. */
#include "thread.h"

#include <signal.h>

__thread struct vgpu_thread vgpu_thread __attribute__((tls_model("initial-exec")));

int vgpu_thread_start(void *(*run)(void *), void *argument)
{
	sigset_t all, old;
	pthread_t thread;
	int r;

	/* The application's signals are for the application's threads. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(&thread, NULL, run, argument);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (!r)
		pthread_detach(thread);
	return -r;
}
