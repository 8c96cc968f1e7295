/* SPDX-License-Identifier: MIT */
/*
 * A PTX interpreter on the CPU: parse a module once, bind its globals to memory, run launches of its entries.
 *
 * Ownership: the module owns everything that hangs off it (entries, globals, names) until ptx_free(). The caller owns
 * all device memory; the interpreter reaches it only through struct ptx_memory.
 * Threads: parsing and binding belong to one thread at a time. Once all globals are bound a module is read-only, and
 * any number of threads may call ptx_run() on it at once (for ranges of blocks of one grid, for instance); global
 * atomics are real atomics.
 * Errors: negative errno. Facts about PTX come from NVIDIA's "Parallel Thread Execution ISA" manual.
 */
#ifndef VGPU_PTX_H
#define VGPU_PTX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ptx_module;

/*
 * What was wrong with a module and where: line counts from 1, part too (0: in no one part, or there is only one); text
 * names the offending instruction or word.
 */
struct ptx_diag {
	int line;
	unsigned part;
	char text[256];
};

/*
 * Parses @len bytes of PTX text (which need not be NUL-terminated, and is not kept). 0, or -EINVAL malformed text,
 * -ENOTSUP an instruction or feature that the interpreter does not know, -ENOMEM. @diag may be NULL.
 */
int ptx_parse(const char *text, size_t len, struct ptx_module **out, struct ptx_diag *diag);

/* PTX text, not NUL-terminated. */
struct ptx_text {
	const char *text;
	size_t len;
};

/*
 * Links @count texts, at least one, into a module, as nvlink does: what is .visible, .extern, .weak or .common has one
 * meaning in all of them, the first definition of a .weak name counts, every other name belongs to its text alone. A
 * name that two texts define, or that none defines, is an error. Otherwise as ptx_parse().
 */
int ptx_link(const struct ptx_text *texts, size_t count, struct ptx_module **out, struct ptx_diag *diag);
/* What one of them alone has against being linked: names that it does not define may come from others. As ptx_parse(). */
int ptx_check(const struct ptx_text *text, struct ptx_diag *diag);
void ptx_free(struct ptx_module *m);

/* The architecture number: ".target sm_75" is 75. */
unsigned ptx_module_target(const struct ptx_module *m);

struct ptx_param {
	uint32_t offset, size, align; /* bytes, inside the launch's parameter block */
};

/* A kernel. All sizes are bytes. */
struct ptx_entry {
	const char *name;
	uint32_t num_params;
	const struct ptx_param *params;
	uint32_t params_size;   /* of the whole parameter block */
	uint32_t static_shared; /* of statically sized .shared variables that the kernel can reach */
	uint32_t local_size;    /* of .local memory for each thread, without callees */
	uint64_t const_size;    /* of all .const variables of the module */
	uint32_t max_threads;   /* from .maxntid or .reqntid, else 1024 */
	uint32_t reqntid[3];    /* all 0 when there is no .reqntid */
	uint32_t num_regs;      /* estimate of 32-bit registers, at most 255 */
	unsigned target, version; /* as ptx_module_target(); PTX ISA version times ten: ".version 9.0" is 90 */
};

size_t ptx_entry_count(const struct ptx_module *m);
const struct ptx_entry *ptx_entry_at(const struct ptx_module *m, size_t i);
const struct ptx_entry *ptx_entry_find(const struct ptx_module *m, const char *name);

enum ptx_space { PTX_SPACE_GLOBAL = 1, PTX_SPACE_CONST = 2 };

struct ptx_global {
	const char *name;
	uint64_t size;  /* bytes; never 0 */
	uint32_t align; /* a power of two */
	enum ptx_space space;
	bool managed;     /* the host reaches it, too */
	bool has_initial; /* false: the initial contents are zeros */
};

/*
 * Module variables in .global and .const. The owner gives memory to every one of them and binds its address, and
 * after all are bound writes the initial contents (they may hold addresses of other variables) to that memory.
 */
size_t ptx_global_count(const struct ptx_module *m);
const struct ptx_global *ptx_global_at(const struct ptx_module *m, size_t i);
const struct ptx_global *ptx_global_find(const struct ptx_module *m, const char *name);
int ptx_bind_global(struct ptx_module *m, size_t i, uint64_t address);
/* Writes all ->size bytes at host pointer @dst. -EINVAL while a variable whose address it needs is unbound. */
int ptx_write_initial(const struct ptx_module *m, size_t i, void *dst);

/* A stretch of valid device memory: addresses [start, start + size) lie at @host, contiguous, readable. */
struct ptx_range {
	uint64_t start, size;
	unsigned char *host;
	bool writable;
};

/*
 * Finds the whole valid stretch that contains @addr; false when there is none (the access becomes a fault). Ranges
 * are cached for the length of one ptx_run(), so memory given out must stay mapped until it returns (it may be freed
 * and reused by its owner meanwhile: that is the guest's error and touches the guest's data only). Called from every
 * thread that runs ptx_run().
 */
struct ptx_memory {
	bool (*find)(void *ctx, uint64_t addr, struct ptx_range *range);
	void *ctx;
};

/*
 * Memory for malloc and free in kernels. alloc: an address that ptx_memory finds, aligned to 16, or 0; free: false when
 * alloc has not given out that address. Called from every thread that runs ptx_run(). Both may be NULL: there is none.
 */
struct ptx_heap {
	uint64_t (*alloc)(void *ctx, uint64_t size);
	bool (*free)(void *ctx, uint64_t address);
	void *ctx;
};

enum ptx_address_mode { PTX_ADDRESS_WRAP, PTX_ADDRESS_CLAMP, PTX_ADDRESS_MIRROR, PTX_ADDRESS_BORDER };
enum ptx_channel { PTX_CHANNEL_UNSIGNED, PTX_CHANNEL_SIGNED, PTX_CHANNEL_FLOAT };

/* One level of a texture: elements, rows, slices (or layers) at @host, strides in bytes; extents are never 0. */
struct ptx_level {
	unsigned char *host;
	uint32_t width, height, depth;
	uint64_t pitch, slice;
};

#define PTX_LEVELS 17

/* What a texture object or a surface object means. A surface has one level, and no rules how it is sampled. */
struct ptx_texture {
	struct ptx_level level[PTX_LEVELS];
	uint32_t levels;
	uint8_t channels, bits;   /* of an element: 1, 2 or 4; 8, 16 or 32 each */
	enum ptx_channel channel;
	bool layered;             /* the depth is a number of layers */
	bool cube;                /* the depth is faces of cubes, six for each layer */
	bool linear_memory;       /* a buffer: an element outside of it is 0 */
	bool normalized;          /* coordinates run from 0 to 1 */
	bool filter, mip_filter;  /* between elements, between levels */
	bool as_float;            /* integer channels of 8 or 16 bits are read as 0..1, or -1..1 */
	enum ptx_address_mode address[3];
	float border[4], lod_bias, lod_min, lod_max;
};

/* Finds the object behind a handle; false when there is none (the access becomes a fault). As for struct ptx_memory. */
struct ptx_textures {
	bool (*find)(void *ctx, uint64_t handle, bool surface, struct ptx_texture *texture);
	void *ctx;
};

enum ptx_fault_kind {
	PTX_FAULT_NONE,
	PTX_FAULT_ILLEGAL_ADDRESS,
	PTX_FAULT_MISALIGNED,
	PTX_FAULT_TRAP,                /* trap or brkpt */
	PTX_FAULT_ASSERT,              /* device assert(); text is its message */
	PTX_FAULT_ILLEGAL_INSTRUCTION, /* an operand value that the ISA forbids, a bad indirect call */
	PTX_FAULT_STACK_OVERFLOW,
	PTX_FAULT_DEADLOCK,            /* every thread of the block waits for another */
	PTX_FAULT_CANCELLED,           /* launch->cancel was set */
};

struct ptx_fault {
	enum ptx_fault_kind kind;
	uint64_t address; /* of ILLEGAL_ADDRESS and MISALIGNED */
	uint32_t block[3], thread[3];
	int line; /* in the PTX text; 0 when unknown */
	char text[256];
};

struct ptx_launch {
	const struct ptx_module *module;
	const struct ptx_entry *entry;
	uint32_t grid[3], block[3];
	uint32_t dynamic_shared; /* bytes */
	const void *params;      /* entry->params_size bytes, laid out by entry->params */
	size_t params_size;
	struct ptx_memory mem;
	struct ptx_textures textures; /* find may be NULL: there are none */
	struct ptx_heap heap;
	const atomic_bool *cancel; /* may be NULL; polled every few thousand instructions */
	/*
	 * Output of device printf, one call for each, and the message of a device assert that failed; from the thread
	 * that runs ptx_run(). May be NULL.
	 */
	void (*print)(void *ctx, const char *text, size_t len);
	void (*print_assert)(void *ctx, const char *text, size_t len);
	void *print_ctx;
	/* cudaGraphSetConditional(); false: there is no such handle. May be NULL: then there is none. */
	bool (*set_condition)(uint64_t handle, uint32_t value);
	/*
	 * The blocks to run, by linear number (x fastest): [first_block, first_block + num_blocks). num_blocks 0 runs
	 * all blocks. They run one after another in rising order, or, when @cooperative, all at once interleaved (then
	 * they must be the whole grid for a grid-wide barrier to work).
	 */
	uint64_t first_block, num_blocks;
	bool cooperative;
	uint64_t grid_id; /* %gridid */
	uint32_t sm_id;   /* %smid */
	uint64_t *executed; /* may be NULL; counts executed instructions */
};

/*
 * Runs the blocks on the calling thread. 0; -EFAULT a fault, described in @fault; -ECANCELED (fault->kind says so
 * too); -EINVAL a launch that does not fit its entry (dimensions, parameters, shared memory); -ENOMEM.
 */
int ptx_run(const struct ptx_launch *launch, struct ptx_fault *fault);

#endif
