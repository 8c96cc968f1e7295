/* SPDX-License-Identifier: MIT */
/*
 * Code that a worker shares with others through the supervisor, which is played here: its answers lie in the socket
 * before it is asked. What is given away is what was hashed, and what comes back is believed only if it is sealed.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include <gen/wire.h>
#include <vgpu/image.h>
#include <vgpu/image_hash.h>

#include "fake_driver.h"
#include "io.h"
#include "message.h"

#define BYTES (96u << 10)
#define HALF  (BYTES / 2)

static struct vgpu_session *s;
static struct vgpu_io io;
static struct vgpu_driver table;
static int supervisor;			/* its end of the control socket */
static uint64_t seq;
static char code[BYTES];		/* begins as PTX does, and no two pieces of it are alike */
static uint64_t code_hash[2];

/* ---- the session ---- */

static int setup(void **state)
{
	int pair[2];

	(void)state;
	s = fake_session();
	seq = 0;
	memset(&io, 0, sizeof(io));
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) || vgpu_io_init(&io, pair[0], s->stats))
		return -1;
	s->io = &io;
	s->share_images = true;
	supervisor = pair[1];
	table = *fake_driver();
	s->drv = &table;
	code[0] = '.';
	for (uint32_t i = 1; i < BYTES; i++)
		code[i] = (char)('a' + (i * 2654435761u >> 16) % 26);
	vgpu_image_hash(code, BYTES, code_hash);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_session_free(s);
	vgpu_io_exit(&io);
	close(io.control);
	close(supervisor);
	assert_int_equal(fake.live, 0);
	return 0;
}

static int run(uint16_t op, const void *args, uint32_t args_size, const void *payload, uint32_t payload_size)
{
	const struct vgpu_cmd c = { .size = 64, .op = op, .slot = 1, .args_size = args_size, .payload_size = payload_size,
				    .seq = ++seq };

	return fake_execute(s, &c, args, payload);
}

static CUresult call(uint16_t op, const void *args, uint32_t args_size, const void *payload, uint32_t payload_size)
{
	assert_int_equal(run(op, args, args_size, payload, payload_size), 0);
	assert_int_equal(atomic_load(&s->channel->replies[0].done), seq);
	return (CUresult)s->channel->replies[0].result;
}

#define CALL(name, ...)                                                                        \
	({                                                                                     \
		struct vgpu_args_##name a_ = { __VA_ARGS__ };                                  \
		call(VGPU_OP_##name, &a_, sizeof(a_), NULL, 0);                       \
	})

/* Is it there already? */
static bool open_image(uint64_t bytes, const uint64_t hash[2])
{
	const struct vgpu_ret_image_open *o = (const void *)s->channel->replies[0].data;

	assert_int_equal(CALL(image_open, .image = 1, .bytes = bytes, .hash = { hash[0], hash[1] }), 0);
	return o->present;
}

static int piece(uint64_t at, uint32_t bytes)
{
	const struct vgpu_args_image_data a = { .image = 1, .at = at, .bytes = bytes };

	return run(VGPU_OP_image_data, &a, sizeof(a), code + at, bytes);
}

static CUresult load(void)
{
	return CALL(module_load, .module = vgpu_handle_make(VGPU_HANDLE_MODULE, 1, 1), .image = 1, .kind = VGPU_IMAGE_PTX);
}

static void close_image(void)
{
	assert_int_equal(CALL(image_close, .image = 1), 0);
}

/* ---- the supervisor ---- */

/* The answer to the next question. `fd`: -1: none. */
static void answer_next(const uint64_t hash[2], uint64_t bytes, int fd)
{
	struct vgpu_ctl_image m = { .hash = { hash[0], hash[1] }, .bytes = bytes, .found = fd >= 0 };

	vgpu_msg_init(&m.h, VGPU_CTL_IMAGE, sizeof(m));
	assert_int_equal(vgpu_msg_send(supervisor, &m.h, &fd, fd >= 0), 0);
	if (fd >= 0)
		close(fd);
}

/* The worker's next message, which is of this type; false if there is none. */
static bool hears(uint16_t type, struct vgpu_ctl_image *m, int *fd)
{
	struct vgpu_packet p;

	if (vgpu_msg_recv(supervisor, &p, MSG_DONTWAIT) <= 0)
		return false;
	assert_int_equal(p.h.type, type);
	memcpy(m, p.bytes, sizeof(*m));
	*fd = p.fd_count ? p.fds[0] : -1;
	assert_true(p.fd_count <= 1);
	return true;
}

static void was_asked(void)
{
	struct vgpu_ctl_image m;
	int fd;

	assert_true(hears(VGPU_CTL_IMAGE_FIND, &m, &fd));
	assert_int_equal(fd, -1);
	assert_memory_equal(m.hash, code_hash, sizeof(code_hash));
	assert_int_equal(m.bytes, BYTES);
}

static void hears_nothing(void)
{
	struct vgpu_ctl_image m;
	int fd;

	assert_false(hears(0, &m, &fd));
}

/* It got the code, so that nobody can change it. */
static void got_the_code(void)
{
	struct vgpu_ctl_image m;
	char got[BYTES + 1];
	struct stat st;
	int fd = -1;

	assert_true(hears(VGPU_CTL_IMAGE_KEEP, &m, &fd));
	assert_memory_equal(m.hash, code_hash, sizeof(code_hash));
	assert_int_equal(m.bytes, BYTES);
	assert_int_equal(fcntl(fd, F_GET_SEALS) & VGPU_IMAGE_SEALS, VGPU_IMAGE_SEALS);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, BYTES + 1);
	assert_int_equal(pread(fd, got, sizeof(got), 0), sizeof(got));
	assert_memory_equal(got, code, BYTES);
	assert_int_equal(got[BYTES], 0);
	close(fd);
	hears_nothing();
}

static int file_of(const char *text, uint64_t bytes, int seals)
{
	int fd = memfd_create("image", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, text, bytes, 0), bytes);
	assert_int_equal(ftruncate(fd, (off_t)bytes + 1), 0);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
	return fd;
}

/* ---- tests ---- */

static void what_a_driver_took_is_given_away(void **state)
{
	(void)state;
	answer_next(code_hash, BYTES, -1);
	assert_false(open_image(BYTES, code_hash));
	was_asked();
	assert_int_equal(piece(0, HALF), 0);
	assert_int_equal(load(), CUDA_ERROR_INVALID_IMAGE);	/* half of it */
	assert_int_equal(piece(HALF, HALF), 0);
	assert_int_equal(load(), 0);
	assert_memory_equal(fake.image, code, BYTES);
	hears_nothing();
	close_image();
	got_the_code();
	assert_int_equal(atomic_load(&s->stats->image_bytes), BYTES);
	assert_int_equal(atomic_load(&s->stats->image_bytes_spared), 0);
}

static void pieces_come_in_any_order(void **state)
{
	(void)state;
	answer_next(code_hash, BYTES, -1);
	assert_false(open_image(BYTES, code_hash));
	was_asked();
	assert_int_equal(piece(HALF, HALF), 0);
	assert_int_equal(piece(0, HALF), 0);
	assert_int_equal(load(), 0);
	close_image();
	got_the_code();
}

/* As many bytes as announced, but not the right ones. */
static void a_hole_is_not_covered_up(void **state)
{
	(void)state;
	answer_next(code_hash, BYTES, -1);
	assert_false(open_image(BYTES, code_hash));
	was_asked();
	assert_int_equal(piece(0, HALF), 0);
	assert_int_equal(piece(HALF, HALF - 8), 0);
	assert_int_equal(piece(100, 8), 0);
	assert_int_equal(load(), 0);
	close_image();
	hears_nothing();
}

static CUresult refuse(CUmodule *module, const void *image, unsigned int n, CUjit_option *options, void **values)
{
	(void)module;
	(void)image;
	(void)n;
	(void)options;
	(void)values;
	return CUDA_ERROR_INVALID_PTX;
}

static void what_is_no_good_stays(void **state)
{
	const uint64_t lie[2] = { code_hash[0], code_hash[1] ^ 1 };
	struct vgpu_ctl_image m;
	int fd;

	(void)state;
	/* Not what the guest says. */
	answer_next(lie, BYTES, -1);
	assert_false(open_image(BYTES, lie));
	assert_true(hears(VGPU_CTL_IMAGE_FIND, &m, &fd));
	assert_int_equal(piece(0, BYTES), 0);
	assert_int_equal(load(), 0);
	close_image();
	hears_nothing();
	/* Not what the driver takes. */
	table.cuModuleLoadDataEx = refuse;
	answer_next(code_hash, BYTES, -1);
	assert_false(open_image(BYTES, code_hash));
	was_asked();
	assert_int_equal(piece(0, BYTES), 0);
	assert_int_equal(load(), CUDA_ERROR_INVALID_PTX);
	close_image();
	hears_nothing();
}

static void what_is_found_need_not_be_sent(void **state)
{
	(void)state;
	answer_next(code_hash, BYTES, file_of(code, BYTES, VGPU_IMAGE_SEALS));
	assert_true(open_image(BYTES, code_hash));
	was_asked();
	assert_int_equal(load(), 0);
	assert_memory_equal(fake.image, code, BYTES);
	assert_int_equal(((const char *)fake.image)[BYTES], 0);
	/* Nor can it be: it is not this guest's alone. */
	assert_int_equal(piece(0, 8), -EPROTO);
	s->broken[0] = 0;
	close_image();
	hears_nothing();
	assert_int_equal(atomic_load(&s->stats->image_bytes), 0);
	assert_int_equal(atomic_load(&s->stats->image_bytes_spared), BYTES);
}

/* An answer that cannot be right: the guest sends, as if there had been none. */
static void is_not_believed(const uint64_t hash[2], uint64_t bytes, int fd)
{
	answer_next(hash, bytes, fd);
	assert_false(open_image(BYTES, code_hash));
	was_asked();
	assert_int_equal(piece(0, BYTES), 0);
	assert_int_equal(load(), 0);
	assert_int_equal(CALL(module_unload, .module = vgpu_handle_make(VGPU_HANDLE_MODULE, 1, 1)), 0);
	close_image();
	got_the_code();
}

static void strange_answers_are_not_believed(void **state)
{
	const uint64_t other[2] = { 1, 2 };

	(void)state;
	is_not_believed(other, BYTES, file_of(code, BYTES, VGPU_IMAGE_SEALS));
	is_not_believed(code_hash, BYTES - 1, file_of(code, BYTES, VGPU_IMAGE_SEALS));
	is_not_believed(code_hash, BYTES, file_of(code, BYTES - 1, VGPU_IMAGE_SEALS));
	is_not_believed(code_hash, BYTES, file_of(code, BYTES, VGPU_IMAGE_SEALS & ~F_SEAL_WRITE));
}

/* No answer at all is waited for, for a while. */
static void a_silent_supervisor_is_done_without(void **state)
{
	(void)state;
	assert_false(open_image(BYTES, code_hash));
	was_asked();
	assert_int_equal(piece(0, BYTES), 0);
	assert_int_equal(load(), 0);
	close_image();
	got_the_code();
}

static void nobody_is_asked_in_vain(void **state)
{
	static const uint64_t none[2];

	(void)state;
	assert_false(open_image(BYTES, none));
	assert_int_equal(piece(0, BYTES), 0);
	assert_int_equal(load(), 0);
	close_image();
	assert_false(open_image(VGPU_IMAGE_HASHED_LEAST - 1, code_hash));
	close_image();
	s->share_images = false;
	assert_false(open_image(BYTES, code_hash));
	assert_int_equal(piece(0, BYTES), 0);
	close_image();
	hears_nothing();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(what_a_driver_took_is_given_away, setup, teardown),
		cmocka_unit_test_setup_teardown(pieces_come_in_any_order, setup, teardown),
		cmocka_unit_test_setup_teardown(a_hole_is_not_covered_up, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_no_good_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_found_need_not_be_sent, setup, teardown),
		cmocka_unit_test_setup_teardown(strange_answers_are_not_believed, setup, teardown),
		cmocka_unit_test_setup_teardown(a_silent_supervisor_is_done_without, setup, teardown),
		cmocka_unit_test_setup_teardown(nobody_is_asked_in_vain, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
