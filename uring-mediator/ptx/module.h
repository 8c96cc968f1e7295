/* SPDX-License-Identifier: MIT */
/*
 * What the parser builds and the executor reads. A module is made of functions; a function is an array of decoded
 * instructions whose operands are slots: indices into the thread's current frame of 64-bit registers. Constants lie
 * in slots too (a frame starts as a copy of the function's template), so that no handler asks what kind of operand it
 * has. Slot 0 takes results that nobody wants.
 *
 * Values narrower than 64 bits: every reader truncates to the width that it needs, so the bits above are free.
 */
#ifndef VGPU_PTX_MODULE_H
#define VGPU_PTX_MODULE_H

#include "ptx.h"

#define PTX_ARENA_LIMIT (2ull << 30)
#define PTX_TEXT_LIMIT (256ull << 20)
#define PTX_SLOTS_LIMIT (1u << 20)   /* registers and constants of one function */
#define PTX_FRAME_LIMIT (512u << 10) /* bytes of .local and .param in one function */
#define PTX_SHARED_LIMIT (1u << 20)  /* bytes of .shared of one kernel */
#define PTX_PARAMS_LIMIT 32764u      /* bytes of kernel parameters */
#define PTX_SCOPE_LIMIT 64
#define PTX_STACK_LIMIT (512u << 10) /* bytes of local memory of one thread */
#define PTX_DEPTH_LIMIT 8192         /* calls in progress in one thread */

/* Generic addresses of windows: above user space, so that they never are global memory. */
#define PTX_WINDOW_SHARED 0xf00000000000ull
#define PTX_WINDOW_LOCAL  0xf10000000000ull
#define PTX_WINDOW_PARAM  0xf20000000000ull
#define PTX_WINDOW_CODE   0xf30000000000ull
#define PTX_CODE_STRIDE 16 /* function i has the address PTX_WINDOW_CODE + (i + 1) * 16 */

enum type {
	T_NONE, T_B8, T_B16, T_B32, T_B64, T_U8, T_U16, T_U32, T_U64, T_S8, T_S16, T_S32, T_S64,
	T_F16, T_BF16, T_F16X2, T_BF16X2, T_TF32, T_F32, T_F64, T_PRED, T_COUNT
};

enum space {
	SP_GENERIC, SP_GLOBAL, SP_CONST, SP_SHARED, SP_LOCAL,
	SP_PARAM,  /* kernel parameters, in the launch's block */
	SP_FRAME,  /* a function's own variables: offset known and checked when parsed */
	SP_REG
};

enum rounding { RND_NONE, RND_RN, RND_RZ, RND_RM, RND_RP, RND_RNA, RND_RNI, RND_RZI, RND_RMI, RND_RPI };

struct thread;
struct insn;
typedef int (*ptx_op)(struct thread *t, const struct insn *in);

/* What a handler answers. */
enum { OP_NEXT, OP_BLOCKED, OP_EXITED, OP_FAULT };

struct branch_table {
	uint32_t count;
	int64_t *index; /* of instructions */
};

struct argument {
	bool in_frame; /* else a slot */
	uint32_t slot, offset, size;
};

struct call_site {
	const struct func *callee; /* NULL: by address in slot */
	uint32_t slot;
	uint32_t nargs, nrets;
	struct argument *args, *rets;
};

struct insn {
	ptx_op fn;
	uint32_t guard; /* slot * 2 + 1 when negated; 0 none */
	uint32_t d, a, b, c, e, p; /* slots; p is a second result or a predicate */
	uint8_t type, type2, size, space;
	uint8_t rnd, sub, sub2, n; /* sub, sub2: meaning private to the family */
	bool ftz, sat, neg, flag;
	int line;
	uint64_t mask; /* of an address base */
	int64_t imm;
	union {
		const struct insn *target;
		const struct call_site *call;
		const struct branch_table *table;
		const uint32_t *slots;
		const struct matrix *matrix;
	};
};

struct var {
	const char *name;
	enum space space;
	enum type type;
	uint64_t size;
	uint32_t align, offset;
	uint32_t slot;     /* SP_REG formals */
	uint32_t global;   /* index, of SP_GLOBAL and SP_CONST */
	bool is_extern;
	bool dynamic; /* .extern .shared: lies behind the kernel's static shared memory */
	const struct func *owner;      /* of .shared inside a function; NULL at module scope */
	const struct func *cache_func; /* the function in whose slot cache_slot the address lies */
	uint32_t cache_slot;
	int line;
};

struct func_ref {
	struct func_ref *next;
	const struct func *func;
};

/* A slot that takes the address of a .shared variable, known when the whole module has been read. */
struct shared_ref {
	struct shared_ref *next;
	const struct var *var;
	uint32_t slot;
};

struct func {
	struct func *next;
	const char *name;
	bool is_entry, defined, uses_indirect;
	bool shadow; /* a .weak definition after the one that counts */
	uint32_t number; /* in the module */
	struct var *params, *rets;
	uint32_t nparams, nrets;
	struct insn *code;
	size_t ncode, code_room;
	uint64_t *init; /* template of a frame: nslots values */
	uint32_t nslots, slots_room;
	uint32_t nregs32; /* declared registers in 32-bit units */
	uint32_t frame_size;
	uint32_t shared_size; /* bytes of its own .shared variables */
	uint32_t shared_base; /* where they begin */
	struct func_ref *calls;
	struct shared_ref *shared;
	uint32_t mark; /* of the last walk over callees */
	int line;
	struct ptx_entry entry;
};

/* A slot of a function's template that takes the address of a global. */
struct reloc {
	struct reloc *next;
	struct func *func;
	uint32_t slot;
};

/* Bytes of an initial value that take an address. */
struct init_reloc {
	struct init_reloc *next;
	uint64_t offset;
	uint32_t width; /* bytes */
	uint32_t shift; /* bits to shift the address right */
	const struct var *var;
	const struct func *func;
	uint64_t addend;
};

struct global {
	struct ptx_global info;
	uint64_t address;
	bool bound, defined;
	unsigned char *init;
	uint64_t init_len;
	struct reloc *relocs;
	struct init_reloc *init_relocs;
};

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks;
	size_t used, room, total;
};

struct ptx_module {
	struct arena arena;
	unsigned version, target;
	struct func *first, **last;
	struct func **funcs; /* by number */
	uint32_t nfuncs;
	struct func **entries;
	uint32_t nentries;
	uint64_t const_size;
	struct global *globals;
	size_t nglobals, globals_room;
	uint32_t shared_size; /* .shared outside kernels: laid out once, before each kernel's own */
};

void *arena_alloc(struct arena *a, size_t size);
char *arena_name(struct arena *a, const char *text, size_t len);
void arena_free(struct arena *a);

unsigned type_size(enum type t);
bool type_is_signed(enum type t);
bool type_is_float(enum type t); /* f32 and f64 */
bool type_is_half(enum type t);  /* f16, bf16 and their pairs */
enum type type_from_name(const char *s, size_t len);

#endif
