/* SPDX-License-Identifier: MIT */
#ifndef VGPU_PTX_LEX_H
#define VGPU_PTX_LEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum token_kind { TOK_END, TOK_WORD, TOK_INT, TOK_FLOAT, TOK_STRING, TOK_PUNCT, TOK_BAD };

/* A token points into the text. Words keep their dots: ".reg", "ld.global.u32", "%tid.x". */
struct token {
	enum token_kind kind;
	const char *text;
	size_t len;
	int line;
	uint64_t value; /* TOK_INT; the bits of TOK_FLOAT; the character of TOK_PUNCT */
	bool single;    /* TOK_FLOAT: value holds a float, else a double */
};

struct lexer {
	const char *at, *end;
	int line;
};

void lex_next(struct lexer *lx, struct token *tok);

#endif
