/* SPDX-License-Identifier: MIT */
/* Executable graphs by the driver's names: found while they live, also where many share a place and names come again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shim/call.h"
#include "shim/graph.h"
#include "shim/handle.h"

#define MANY	5000u

static CUgraphExec name_of(uint32_t i)
{
	return (CUgraphExec)(uintptr_t)(0x7f1234560000ull + i * 0x30);
}

static void found_while_they_live(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(vgpu_graph_name_add(name_of(i), i + 1), 0);
	for (uint32_t i = 0; i < MANY; i += 2)
		vgpu_graph_name_drop(name_of(i), i + 1);
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(vgpu_graph_name_find(name_of(i)), i % 2 ? i + 1 : 0);
	for (uint32_t i = 1; i < MANY; i += 2)
		vgpu_graph_name_drop(name_of(i), i + 1);
	assert_int_equal(vgpu_graph_name_find(name_of(1)), 0);
	assert_int_equal(vgpu_graph_name_find(NULL), 0);
}

/* The driver gave the name to another graph before the first one's end was noted here. */
static void a_name_comes_again(void **state)
{
	(void)state;
	assert_int_equal(vgpu_graph_name_add(name_of(0), 1), 0);
	assert_int_equal(vgpu_graph_name_add(name_of(0), 2), 0);
	vgpu_graph_name_drop(name_of(0), 1);
	assert_int_equal(vgpu_graph_name_find(name_of(0)), 2);
	vgpu_graph_name_drop(name_of(0), 2);
	assert_int_equal(vgpu_graph_name_find(name_of(0)), 0);
}

static void names_stand_for_live_graphs_only(void **state)
{
	uint64_t exec, wire = 0;

	(void)state;
	assert_int_equal(vgpu_handle_new(VGPU_HANDLE_GRAPHEXEC, &exec), 0);
	assert_int_equal(vgpu_graph_name_add(name_of(0), exec), 0);
	assert_int_equal(vgpu_handle_wire(VGPU_HANDLE_GRAPHEXEC, name_of(0), &wire), 0);
	assert_int_equal(wire, exec);
	wire = 0;
	assert_int_equal(vgpu_handle_wire(VGPU_HANDLE_GRAPHEXEC, vgpu_handle_from_wire(exec), &wire), 0);
	assert_int_equal(wire, exec);
	assert_int_not_equal(vgpu_handle_wire(VGPU_HANDLE_GRAPH, name_of(0), &wire), 0);
	assert_int_not_equal(vgpu_handle_wire(VGPU_HANDLE_GRAPHEXEC, name_of(1), &wire), 0);
	assert_int_not_equal(vgpu_handle_wire(VGPU_HANDLE_GRAPHEXEC, NULL, &wire), 0);
	vgpu_handle_drop(VGPU_HANDLE_GRAPHEXEC, exec);
	assert_int_not_equal(vgpu_handle_wire(VGPU_HANDLE_GRAPHEXEC, name_of(0), &wire), 0);
	vgpu_graph_name_drop(name_of(0), exec);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(found_while_they_live),
		cmocka_unit_test(a_name_comes_again),
		cmocka_unit_test(names_stand_for_live_graphs_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
