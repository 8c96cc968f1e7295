/* SPDX-License-Identifier: MIT */
/*
 * Functions for the slots of an export table that nobody was seen to use. Each slot has its own, since a slot is called
 * with whatever its caller believes it to be: only the function's address can say which slot of which table it was.
 *
 * EXPORT_SLOTS(name) makes them for the slots 0 to 99 of the table `name`, and name_unused[], which names them by slot.
 */
#ifndef VGPU_SHIM_EXPORT_SLOTS_H
#define VGPU_SHIM_EXPORT_SLOTS_H

#include "call.h"

typedef CUresult (*vgpu_slot)(void);

#define VGPU_SLOT_FUNCTION(table, slot) \
	static CUresult table##_slot_##slot(void) \
	{ \
		return vgpu_unsupported("slot " #slot " of the export table \"" #table "\""); \
	}
#define VGPU_SLOT_NAME(table, slot) table##_slot_##slot,

/* `what` for ten slots, whose number begins with `ten` or with nothing; for all hundred. */
#define VGPU_TEN_SLOTS(what, table, ten) \
	what(table, ten##0) what(table, ten##1) what(table, ten##2) what(table, ten##3) what(table, ten##4) \
	what(table, ten##5) what(table, ten##6) what(table, ten##7) what(table, ten##8) what(table, ten##9)
#define VGPU_ALL_SLOTS(what, table) \
	VGPU_TEN_SLOTS(what, table, ) VGPU_TEN_SLOTS(what, table, 1) VGPU_TEN_SLOTS(what, table, 2) \
	VGPU_TEN_SLOTS(what, table, 3) VGPU_TEN_SLOTS(what, table, 4) VGPU_TEN_SLOTS(what, table, 5) \
	VGPU_TEN_SLOTS(what, table, 6) VGPU_TEN_SLOTS(what, table, 7) VGPU_TEN_SLOTS(what, table, 8) \
	VGPU_TEN_SLOTS(what, table, 9)

#define EXPORT_SLOTS(table) \
	VGPU_ALL_SLOTS(VGPU_SLOT_FUNCTION, table) \
	static const vgpu_slot table##_unused[] = { VGPU_ALL_SLOTS(VGPU_SLOT_NAME, table) };

#endif
