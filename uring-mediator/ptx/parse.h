/* SPDX-License-Identifier: MIT */
/*
 * State of one ptx_parse(), and what the parser's files offer each other. Every function that can fail returns 0 or a
 * negative errno and has described the error with parse_error(), which keeps the first one.
 */
#ifndef VGPU_PTX_PARSE_H
#define VGPU_PTX_PARSE_H

#include <errno.h>

#include "lex.h"
#include "module.h"

#define MODS_LIMIT 16
#define OPERANDS_LIMIT 8
#define LIST_LIMIT 255

enum sym_kind { SYM_REG, SYM_REGS, SYM_VAR, SYM_FUNC, SYM_LABEL, SYM_TABLE, SYM_PROTO };

struct proto {
	uint32_t nargs, nrets;
	uint32_t *args, *rets; /* sizes */
};

struct sym {
	struct sym *next;
	const char *name;
	size_t len;
	uint32_t hash;
	enum sym_kind kind;
	bool linked;         /* means the same in the other texts of a link */
	enum type type;      /* SYM_REG, SYM_REGS */
	uint32_t slot, count; /* of registers */
	union {
		struct var *var;
		struct func *func;
		int64_t index; /* SYM_LABEL */
		struct branch_table *table;
		struct proto *proto;
	};
};

struct scope {
	struct sym **buckets;
	size_t nbuckets, count;
	size_t first_fixup;
	uint32_t frame_top;
	bool pinned; /* its .local variables live on after it */
};

/* The words before a directive at module scope. */
struct linkage {
	bool is_extern, weak, linked;
};

/* A use of a label that may come later in its scope or in one around it. */
struct fixup {
	const char *name;
	size_t len;
	int line;
	int64_t *where; /* NULL: imm of instruction insn */
	size_t insn;
};

enum operand_kind {
	OPD_REG, OPD_INT, OPD_FLOAT, OPD_VAR, OPD_FUNC, OPD_SPECIAL, OPD_NAME, OPD_SINK, OPD_VECTOR, OPD_ADDRESS, OPD_LIST
};

struct operand {
	enum operand_kind kind;
	enum type type; /* OPD_REG: as declared */
	uint32_t slot;
	uint64_t value;       /* OPD_INT, OPD_FLOAT bits, OPD_SPECIAL number */
	bool single;          /* OPD_FLOAT */
	bool negated;         /* !p */
	struct var *var;      /* also of OPD_ADDRESS */
	struct func *func;
	int64_t offset;       /* of OPD_VAR and OPD_ADDRESS */
	bool has_base;        /* OPD_ADDRESS: slot and type hold the base register */
	const char *name;
	size_t len;
	struct operand *list; /* OPD_VECTOR, OPD_LIST; of OPD_ADDRESS the coordinates behind a handle */
	unsigned n;
	struct operand *pair; /* after '|' */
};

struct parser {
	struct lexer lx;
	unsigned part;       /* number of the text, 0 when there is only one */
	struct linkage linkage; /* of the directive at module scope that is being read */
	struct token tok, ahead;
	struct ptx_module *m;
	struct func *f;
	struct ptx_diag diag;
	struct scope scopes[PTX_SCOPE_LIMIT + 1]; /* [0] is the module's */
	unsigned depth;
	struct fixup *fixups;
	size_t nfixups, fixups_room;
	uint32_t frame_top;
	struct { uint64_t value; uint32_t slot; } *consts; /* of this function: a hash table, slot 0 is free */
	size_t nconsts, consts_room;
};

/* An instruction being decoded. */
struct decode {
	struct parser *p;
	int line;
	const char *text; /* the whole mnemonic */
	size_t text_len;
	const char *op;
	size_t op_len;
	struct { const char *text; size_t len; bool used; } mods[MODS_LIMIT];
	unsigned nmods;
	enum type type; /* the last type named, T_NONE without one */
	struct operand *ops[OPERANDS_LIMIT];
	unsigned nops;
	struct insn in;
};

int parse_error(struct parser *p, int line, int err, const char *fmt, ...) __attribute__((format(printf, 4, 5)));
int parse_nomem(struct parser *p);
void next_token(struct parser *p);
bool at_punct(const struct parser *p, char c);
bool at_word(const struct parser *p, const char *word);
int expect(struct parser *p, char c);
bool accept(struct parser *p, char c);
bool token_is(const struct token *t, const char *word);
int parse_uint(struct parser *p, uint64_t limit, const char *what, uint64_t *value);

/* symbols.c */
int scope_push(struct parser *p);
int scope_pop(struct parser *p);
void scope_drop_all(struct parser *p);
void scope_hide_unlinked(struct parser *p); /* the names of one text, from the next one */
int sym_add(struct parser *p, const struct token *name, enum sym_kind kind, struct sym **out);
struct sym *sym_find(struct parser *p, const char *name, size_t len);
struct sym *sym_find_here(struct parser *p, const char *name, size_t len);
int fixup_add(struct parser *p, const struct operand *label, int line, int64_t *where);

/* variables.c */
int parse_variable(struct parser *p, enum space space, bool is_extern);
int parse_formals(struct parser *p, bool entry, struct var **list, uint32_t *count, bool declare);
int parse_type_word(struct parser *p, enum type *type);
int parse_initial(struct parser *p, struct global *g, enum type type, const uint64_t *dims, unsigned ndims);

/* function.c */
int parse_function(struct parser *p, bool entry, bool is_extern);
int parse_label_data(struct parser *p, const struct token *name);

/* instruction.c */
int parse_instruction(struct parser *p);

/* decode.c: what the families use to turn operands into slots */
int decode_fail(struct decode *d, int err, const char *what);
bool mod_take(struct decode *d, const char *name);
enum type mod_take_type(struct decode *d);
enum rounding mod_take_rounding(struct decode *d);
int mod_take_any(struct decode *d, const char *const *names); /* index in a NULL-ended list, or -1 */
int need_operands(struct decode *d, unsigned least, unsigned most);
int src_of(struct decode *d, const struct operand *o, enum type t, uint32_t *slot);
int src(struct decode *d, unsigned i, enum type t, uint32_t *slot);
int src_wide(struct decode *d, const struct operand *o, enum type t, uint32_t *slot); /* register may be wider */
int src_pred(struct decode *d, unsigned i, uint32_t *slot, bool *negated);
int dst_of(struct decode *d, const struct operand *o, enum type t, uint32_t *slot);
int dst(struct decode *d, unsigned i, enum type t, uint32_t *slot);
int dst_wide(struct decode *d, const struct operand *o, enum type t, uint32_t *slot, unsigned *size);
int constant(struct parser *p, uint64_t value, uint32_t *slot);
int slot_new(struct parser *p, uint32_t count, uint32_t *first);
int template_finish(struct parser *p); /* makes the current function's template as long as its frame */
int emit(struct parser *p, const struct insn *in);
/* The rest of an instruction of the form "d, a{, b{, c}}": takes that many sources, of these types, and emits it. */
int emit_plain(struct decode *d, unsigned sources, enum type td, enum type ta, enum type tb, enum type tc);
/* The same where result and sources are of one type. */
int emit_alike(struct decode *d, unsigned sources, enum type t);
int address(struct decode *d, const struct operand *o, enum space space, unsigned size, unsigned align);
int slots_of_list(struct decode *d, const struct operand *o, enum type t, bool result, const uint32_t **slots);
/* [handle, {coordinates}]: the handle's slot into in.a; as many coordinates of 32 bits as the caller wants. */
int handle_of(struct decode *d, const struct operand *o, unsigned coordinates);
int immediate(struct decode *d, unsigned i, uint64_t limit, uint64_t *value);

/* Each family: a table of names that it decodes. classes says which types; the first match of name and class wins. */
enum { CLASS_INT = 1, CLASS_FLOAT = 2, CLASS_HALF = 4, CLASS_PRED = 8, CLASS_NONE = 16, CLASS_ANY = 31 };

struct op_def {
	const char *name;
	unsigned classes;
	int (*decode)(struct decode *d);
	int sub; /* handed on in d->in.sub */
};

extern const struct op_def ops_int[], ops_carry[], ops_bits[], ops_float[], ops_approx[], ops_half[], ops_compare[],
	ops_convert[], ops_memory[], ops_move[], ops_atomic[], ops_control[], ops_warp[], ops_barrier[], ops_texture[], ops_surface[],
	ops_mbarrier[], ops_video[], ops_matrix[];

/* special.c */
int special_find(const char *name, size_t len); /* number or -1 */
int emit_special(struct parser *p, int line, unsigned number, uint32_t slot);
int special_shared_base(struct parser *p, int line, uint32_t slot);
int special_frame_address(struct parser *p, int line, uint64_t offset, uint32_t slot);

/* call.c, the two ends */
int decode_call(struct decode *d);
bool builtin_known(const char *name);

#endif
