/* SPDX-License-Identifier: MIT */
/*
 * Splits PTX text into tokens, one at a time. Owns nothing; the text need not end in NUL. Lexical rules: PTX ISA,
 * chapter "Syntax".
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "lex.h"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$';
}

static void skip_line(struct lexer *lx)
{
	const char *nl = memchr(lx->at, '\n', (size_t)(lx->end - lx->at));

	lx->at = nl ? nl : lx->end;
}

static void skip_comment(struct lexer *lx)
{
	for (lx->at += 2; lx->at < lx->end; lx->at++) {
		if (*lx->at == '\n')
			lx->line++;
		if (*lx->at == '*' && lx->end - lx->at > 1 && lx->at[1] == '/') {
			lx->at += 2;
			return;
		}
	}
}

static void skip_space(struct lexer *lx)
{
	while (lx->at < lx->end) {
		char c = *lx->at, next = lx->end - lx->at > 1 ? lx->at[1] : 0;

		if (c == '\n')
			lx->line++;
		else if (c == '/' && next == '/') {
			skip_line(lx);
			continue;
		} else if (c == '/' && next == '*') {
			skip_comment(lx);
			continue;
		} else if (c != ' ' && c != '\t' && c != '\r' && c != '\f' && c != '\v')
			return;
		lx->at++;
	}
}

/*
 * Dots belong to a word when another word character follows, and so does "::" (ld.global.L2::128B). A word that begins
 * with a dot ends at the next one: ".reg.b32" is two.
 */
static void lex_word(struct lexer *lx, struct token *tok)
{
	bool directive = *lx->at++ == '.';

	tok->kind = TOK_WORD;
	while (lx->at < lx->end) {
		ptrdiff_t left = lx->end - lx->at;

		if (is_word(*lx->at))
			lx->at++;
		else if (!directive && *lx->at == '.' && left > 1 && is_word(lx->at[1]))
			lx->at += 2;
		else if (left > 2 && lx->at[0] == ':' && lx->at[1] == ':' && is_word(lx->at[2]))
			lx->at += 3;
		else
			break;
	}
}

static int digit_value(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return 99;
}

/* Digits up to the first that is none of the base; false when there are none or the value leaves 64 bits. */
static bool digits(struct lexer *lx, int base, uint64_t *value)
{
	const char *start = lx->at;

	*value = 0;
	for (; lx->at < lx->end && digit_value(*lx->at) < base; lx->at++)
		if (__builtin_mul_overflow(*value, (uint64_t)base, value) ||
		    __builtin_add_overflow(*value, (uint64_t)digit_value(*lx->at), value))
			return false;
	return lx->at > start;
}

/* 0fXXXXXXXX and 0dXXXXXXXXXXXXXXXX: exact bits. */
static bool float_bits(struct lexer *lx, struct token *tok, unsigned count)
{
	const char *start = lx->at += 2;
	uint64_t bits;

	if (!digits(lx, 16, &bits) || lx->at - start != (ptrdiff_t)count)
		return false;
	tok->kind = TOK_FLOAT;
	tok->value = bits;
	tok->single = count == 8;
	return true;
}

static bool decimal_float(struct lexer *lx, struct token *tok)
{
	const char *p = tok->text;
	char buf[64], *stop;
	size_t n = 0;
	double d;

	while (p < lx->end && n < sizeof(buf) - 1 &&
	       (is_digit(*p) || *p == '.' || *p == 'e' || *p == 'E' ||
		((*p == '+' || *p == '-') && n && (buf[n - 1] == 'e' || buf[n - 1] == 'E'))))
		buf[n++] = *p++;
	buf[n] = 0;
	d = strtod(buf, &stop);
	if (*stop || n == sizeof(buf) - 1)
		return false;
	lx->at = p;
	tok->kind = TOK_FLOAT;
	memcpy(&tok->value, &d, sizeof(d));
	return true;
}

static bool lex_number(struct lexer *lx, struct token *tok)
{
	char next = lx->end - lx->at > 1 ? lx->at[1] : 0;
	const char *p = lx->at;
	bool ok;

	tok->kind = TOK_INT;
	if (*lx->at == '0' && (next == 'f' || next == 'F'))
		return float_bits(lx, tok, 8);
	if (*lx->at == '0' && (next == 'd' || next == 'D'))
		return float_bits(lx, tok, 16);
	if (*lx->at == '0' && (next == 'x' || next == 'X')) {
		lx->at += 2;
		ok = digits(lx, 16, &tok->value);
	} else if (*lx->at == '0' && (next == 'b' || next == 'B')) {
		lx->at += 2;
		ok = digits(lx, 2, &tok->value);
	} else {
		while (p < lx->end && is_digit(*p))
			p++;
		if (p < lx->end && (*p == '.' || *p == 'e' || *p == 'E'))
			return decimal_float(lx, tok);
		ok = digits(lx, *lx->at == '0' && is_digit(next) ? 8 : 10, &tok->value);
	}
	if (ok && lx->at < lx->end && *lx->at == 'U')
		lx->at++;
	return ok && (lx->at == lx->end || !is_word(*lx->at));
}

static void lex_string(struct lexer *lx, struct token *tok)
{
	tok->kind = TOK_BAD;
	for (lx->at++; lx->at < lx->end && *lx->at != '\n'; lx->at++) {
		if (*lx->at == '\\' && lx->end - lx->at > 1 && lx->at[1] != '\n') {
			lx->at++;
		} else if (*lx->at == '"') {
			lx->at++;
			tok->kind = TOK_STRING;
			break;
		}
	}
}

void lex_next(struct lexer *lx, struct token *tok)
{
	char c;

	skip_space(lx);
	*tok = (struct token){.kind = TOK_END, .text = lx->at, .line = lx->line};
	if (lx->at == lx->end)
		return;
	c = *lx->at;
	if (is_digit(c)) {
		if (!lex_number(lx, tok)) {
			tok->kind = TOK_BAD;
			while (lx->at < lx->end && is_word(*lx->at))
				lx->at++;
		}
	} else if (is_word(c) || c == '.' || c == '%') {
		lex_word(lx, tok);
	} else if (c == '"') {
		lex_string(lx, tok);
	} else {
		tok->kind = TOK_PUNCT;
		tok->value = (unsigned char)c;
		lx->at++;
	}
	tok->len = (size_t)(lx->at - tok->text);
}
