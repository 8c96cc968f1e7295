/* SPDX-License-Identifier: MIT */
/*
 * Threads that meet: lanes of a diverged warp, warps at barriers, blocks of one grid on several host threads or all
 * alive at once, and threads that wait for each other in loops.
 */
#include <errno.h>
#include <pthread.h>

#include "ptx_device.h"

#define HEAD ".version 8.0\n.target sm_80\n.address_size 64\n"
#define START HEAD ".extern .shared .align 8 .b8 dyn[];\n.entry k(.param .u64 p)\n{\n.reg .b64 %rd<8>; .reg .b32 %r<16>; " \
	".reg .pred %p<4>;\nld.param.u64 %rd1, [p]; mov.u32 %r1, %tid.x; mov.u32 %r2, %ctaid.x; mov.u32 %r3, %ntid.x;\n" \
	"mad.lo.u32 %r4, %r2, %r3, %r1; mul.wide.u32 %rd2, %r4, 4; add.u64 %rd2, %rd1, %rd2;\n"
#define END "\nst.global.u32 [%rd2], %r5;\nret;\n}\n"

static void run(const char *text, uint32_t grid, uint32_t block, uint32_t shared, uint32_t *out, size_t n)
{
	struct device dev;
	uint32_t *p;

	device_load_text(&dev, text);
	p = device_alloc(&dev, n * sizeof(*p));
	assert_int_equal(device_launch(&dev, "k", grid, 1, block, 1, shared, (const void *[]){&p}), 0);
	memcpy(out, p, n * sizeof(*p));
	device_free(&dev);
}

static void expect_fault(const char *text)
{
	struct device dev;
	uint32_t *p;

	device_load_text(&dev, text);
	p = device_alloc(&dev, 64);
	assert_int_equal(device_launch(&dev, "k", 1, 1, 1, 1, 8, (const void *[]){&p}), -EFAULT);
	assert_int_equal(dev.fault.kind, PTX_FAULT_ILLEGAL_INSTRUCTION);
	device_free(&dev);
}

/* Odd and even lanes shuffle apart from each other, each half with its own mask. */
static void test_diverged_shuffle(void **state)
{
	uint32_t out[32];

	(void)state;
	run(START "and.b32 %r6, %r1, 1; setp.eq.u32 %p1, %r6, 1; add.u32 %r7, %r1, 100;\n@%p1 bra ODD;\n"
	    "shfl.sync.idx.b32 %r5, %r7, 4, 0x1f, 0x55555555; bra DONE;\n"
	    "ODD: shfl.sync.down.b32 %r5|%p2, %r7, 2, 0x1f, 0xaaaaaaaa; @!%p2 mov.u32 %r5, 7;\nDONE:" END, 1, 32, 0, out, 32);
	for (uint32_t i = 0; i < 32; i++)
		assert_int_equal(out[i], i % 2 == 0 ? 104 : i + 2 < 32 ? i + 102 : 7);
}

/* Without a mask: the lanes that come to the instruction. A lane that has exited is waited for by nobody. */
static void test_converged(void **state)
{
	uint32_t out[40];

	(void)state;
	run(START "setp.lt.u32 %p1, %r1, 5; @!%p1 bra REST; activemask.b32 %r5; bra DONE;\n"
	    "REST: activemask.b32 %r5;\nDONE:" END, 1, 40, 0, out, 40);
	for (uint32_t i = 0; i < 40; i++)
		assert_int_equal(out[i], i < 5 ? 0x1fu : i < 32 ? 0xffffffe0u : 0xffu);
	run(START "setp.lt.u32 %p1, %r1, 3; mov.u32 %r5, 9; @%p1 bra OUT; vote.sync.ballot.b32 %r5, %p1, -1;\n"
	    "setp.eq.u32 %p1, %r5, 0; vote.sync.all.pred %p2, %p1, -1; selp.u32 %r5, 1, 0, %p2;\nOUT:" END, 1, 32, 0, out, 32);
	for (uint32_t i = 0; i < 32; i++)
		assert_int_equal(out[i], i < 3 ? 9 : 1);
}

/* A lock that lanes of one warp pass on: the holder goes on while the others spin. */
static void test_spin_lock(void **state)
{
	uint32_t out[64];

	(void)state;
	run(START "mov.u32 %r6, dyn;\n"
	    "AGAIN: atom.shared.cas.b32 %r7, [%r6], 0, 1; setp.ne.u32 %p1, %r7, 0; @%p1 bra AGAIN;\n"
	    "ld.volatile.shared.u32 %r5, [%r6+4]; add.u32 %r8, %r5, 1; st.volatile.shared.u32 [%r6+4], %r8;\n"
	    "atom.shared.exch.b32 %r7, [%r6], 0;\n" END, 1, 64, 8, out, 64);
	for (uint32_t want = 0; want < 64; want++) {
		unsigned found = 0;

		for (uint32_t i = 0; i < 64; i++)
			found += out[i] == want;
		assert_int_equal(found, 1);
	}
}

/* A producer warp arrives without waiting, a consumer warp waits for it: a barrier of 64 threads out of 96. */
static void test_arrive(void **state)
{
	uint32_t out[96];

	(void)state;
	run(START "mov.u32 %r6, dyn; shr.u32 %r7, %r1, 5; mov.u32 %r5, 1; setp.eq.u32 %p1, %r7, 2; @%p1 bra OUT;\n"
	    "setp.eq.u32 %p1, %r7, 1; @%p1 bra CONSUME;\n"
	    "and.b32 %r8, %r1, 31; shl.b32 %r9, %r8, 2; add.u32 %r9, %r9, %r6; mul.lo.u32 %r10, %r8, 3;\n"
	    "st.shared.u32 [%r9], %r10; bar.arrive 3, 64; bra OUT;\n"
	    "CONSUME: bar.sync 3, 64; sub.u32 %r8, 63, %r1; shl.b32 %r9, %r8, 2; add.u32 %r9, %r9, %r6;\n"
	    "ld.shared.u32 %r5, [%r9];\nOUT:" END, 1, 96, 128, out, 96);
	for (uint32_t i = 0; i < 96; i++)
		assert_int_equal(out[i], i / 32 == 1 ? (63 - i) * 3 : 1);
}

/* Threads that exit early do not hold up a barrier of the whole block. */
static void test_exit_before_barrier(void **state)
{
	uint32_t out[70];

	(void)state;
	run(START "setp.lt.u32 %p1, %r1, 50; mov.u32 %r5, 3; @!%p1 bra OUT; bar.red.popc.u32 %r5, 0, %p1;\nOUT:" END, 1, 70, 0,
	    out, 70);
	for (uint32_t i = 0; i < 70; i++)
		assert_int_equal(out[i], i < 50 ? 50 : 3);
}

#define MBARRIER(wait) START "mov.u32 %r9, 0; mov.u32 %r5, %r1; mov.u32 %r7, 0; setp.eq.u32 %p2, %r1, 0;\n" \
	"@%p2 mbarrier.init.shared.b64 [dyn], 64; bar.sync 0;\n" \
	"mov.u32 %r10, dyn; add.u32 %r10, %r10, 8; shl.b32 %r11, %r1, 2; add.u32 %r11, %r11, %r10;\n" \
	"add.u32 %r12, %r1, 33; and.b32 %r12, %r12, 63; shl.b32 %r12, %r12, 2; add.u32 %r12, %r12, %r10;\n" \
	"ROUND: st.shared.u32 [%r11], %r5;\n" wait "ld.shared.u32 %r6, [%r12]; add.u32 %r5, %r5, %r6; bar.sync 0;\n" \
	"xor.b32 %r9, %r9, 1; add.u32 %r7, %r7, 1; setp.lt.u32 %p3, %r7, 3; @%p3 bra ROUND;" END

/* Rounds at a barrier in shared memory: what the neighbour stored before it arrived is there after the wait. */
static void test_mbarrier(void **state)
{
	static const char *const texts[] = {
		MBARRIER("mbarrier.arrive.shared.b64 %rd5, [dyn];\n"
			 "WAIT: mbarrier.test_wait.shared.b64 %p1, [dyn], %rd5; @!%p1 bra WAIT;\n"),
		MBARRIER("cp.async.mbarrier.arrive.shared.b64 [dyn]; mbarrier.arrive.release.cta.shared::cta.b64 _, [dyn];\n"
			 "WAIT: mbarrier.try_wait.parity.acquire.cta.shared::cta.b64 %p1, [dyn], %r9, 100; @!%p1 bra WAIT;\n"),
		MBARRIER("cp.async.mbarrier.arrive.noinc.shared.b64 [dyn];\n"
			 "WAIT: mbarrier.test_wait.parity.shared.b64 %p1, [dyn], %r9; @!%p1 bra WAIT;\n"),
	};
	uint32_t out[64], want[64], next[64];

	(void)state;
	for (uint32_t k = 0; k < 64; k++)
		want[k] = k;
	for (int round = 0; round < 3; round++) {
		for (uint32_t k = 0; k < 64; k++)
			next[k] = want[k] + want[(k + 33) & 63];
		memcpy(want, next, sizeof(want));
	}
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		run(texts[i], 1, 64, 8 + 64 * 4, out, 64);
		assert_memory_equal(out, want, sizeof(want));
	}
}

/* Counts: of arrivals, of a smaller next phase, of what is pending; one too many is the program's error. */
static void test_mbarrier_counts(void **state)
{
	uint32_t out[1];

	(void)state;
	run(START "mbarrier.init.shared.b64 [dyn], 5; mbarrier.arrive.shared.b64 %rd3, [dyn], 2;\n"
	    "mbarrier.arrive_drop.shared.b64 %rd4, [dyn]; mbarrier.pending_count.b64 %r6, %rd4;\n"
	    "mbarrier.test_wait.shared.b64 %p1, [dyn], %rd3; selp.u32 %r7, 100, 0, %p1;\n"
	    "mbarrier.arrive.shared.b64 %rd5, [dyn], 2; mbarrier.test_wait.shared.b64 %p1, [dyn], %rd3;\n"
	    "selp.u32 %r8, 10, 0, %p1; mbarrier.arrive.noComplete.shared.b64 %rd6, [dyn], 3;\n"
	    "mbarrier.pending_count.b64 %r9, %rd6; mbarrier.inval.shared.b64 [dyn];\n"
	    "add.u32 %r5, %r6, %r7; add.u32 %r5, %r5, %r8; mad.lo.u32 %r5, %r9, 1000, %r5;" END, 1, 1, 8, out, 1);
	assert_int_equal(out[0], 4013);
	expect_fault(START "mbarrier.init.shared.b64 [dyn], 1; mbarrier.arrive.shared.b64 %rd3, [dyn], 2;" END);
}

static const char grid_barrier[] =
	START "atom.global.add.u32 %r6, [%rd1], 1; mov.u32 %r7, %nctaid.x; mul.lo.u32 %r7, %r7, %r3;\n"
	"WAIT: ld.acquire.gpu.global.u32 %r5, [%rd1]; setp.ne.u32 %p1, %r5, %r7; @%p1 bra WAIT;\n"
	"atom.global.add.u32 %r6, [%rd1+4], 1;\nret;\n}\n";

static void test_cooperative(void **state)
{
	struct ptx_launch l = {.grid = {7, 1, 1}, .block = {33, 1, 1}, .cooperative = true};
	struct device dev;
	uint32_t *p;

	(void)state;
	device_load_text(&dev, grid_barrier);
	p = device_alloc(&dev, 7 * 33 * 4);
	assert_int_equal(device_launch_full(&dev, &l, "k", (const void *[]){&p}), 0);
	assert_int_equal(p[0], 7 * 33);
	assert_int_equal(p[1], 7 * 33);
	device_free(&dev);
}

struct part {
	struct device dev; /* a copy: each thread has its own fault */
	struct ptx_launch launch;
	uint32_t *p;
	int result;
};

static void *run_part(void *arg)
{
	struct part *part = arg;

	part->result = device_launch_full(&part->dev, &part->launch, "k", (const void *[]){&part->p});
	return NULL;
}

/* Two halves of a grid on two host threads add to the same words. */
static void test_parts(void **state)
{
	static const char text[] = START
		"mov.u32 %r6, 0;\nL: atom.global.add.u32 %r7, [%rd1], 1; atom.global.max.s32 %r7, [%rd1+4], %r4;\n"
		"add.u32 %r6, %r6, 1; setp.lt.u32 %p1, %r6, 50; @%p1 bra L;\nret;\n}\n";
	struct device dev;
	struct part parts[2];
	pthread_t thread;
	uint32_t *p;

	(void)state;
	device_load_text(&dev, text);
	p = device_alloc(&dev, 20 * 64 * 4);
	for (unsigned i = 0; i < 2; i++)
		parts[i] = (struct part){.dev = dev, .p = p, .launch = {.grid = {20, 1, 1}, .block = {64, 1, 1},
					 .first_block = i * 10, .num_blocks = 10}};
	assert_int_equal(pthread_create(&thread, NULL, run_part, &parts[0]), 0);
	run_part(&parts[1]);
	pthread_join(thread, NULL);
	assert_int_equal(parts[0].result, 0);
	assert_int_equal(parts[1].result, 0);
	assert_int_equal(parts[0].p[0], 20 * 64 * 50);
	assert_int_equal(parts[0].p[1], 20 * 64 - 1);
	device_free(&dev);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_diverged_shuffle), cmocka_unit_test(test_converged), cmocka_unit_test(test_spin_lock),
		cmocka_unit_test(test_arrive), cmocka_unit_test(test_exit_before_barrier),
		cmocka_unit_test(test_mbarrier), cmocka_unit_test(test_mbarrier_counts),
		cmocka_unit_test(test_cooperative), cmocka_unit_test(test_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
