/* SPDX-License-Identifier: MIT */
/* Writer and reader of our own cubins, see cubin.h. */
#include <elf.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cubin.h"
#include "elf_file.h"

#define SHT_PTX (SHT_LOUSER + 0x505458u)

static size_t round_up(size_t n)
{
	return (n + 7) & ~(size_t)7;
}

bool soft_cubin_make(const struct soft_code *code, void **image, size_t *size)
{
	Elf64_Ehdr h = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
		.e_type = ET_EXEC, .e_machine = EM_CUDA, .e_version = EV_CURRENT, .e_shoff = sizeof(h),
		.e_ehsize = sizeof(h), .e_shentsize = sizeof(Elf64_Shdr), .e_shnum = (Elf64_Half)(code->count + 1),
	};
	size_t at = sizeof(h) + h.e_shnum * sizeof(Elf64_Shdr), i;
	Elf64_Shdr *section;
	char *to;

	*size = at;
	for (i = 0; i < code->count; i++)
		*size += round_up(code->texts[i].len + 1);
	to = calloc(1, *size);
	if (!to)
		return false;
	memcpy(to, &h, sizeof(h));
	section = (Elf64_Shdr *)(to + sizeof(h)); /* the first one is the one that ELF leaves empty */
	for (i = 0; i < code->count; i++) {
		section[i + 1] = (Elf64_Shdr){ .sh_type = SHT_PTX, .sh_offset = at, .sh_size = code->texts[i].len,
					       .sh_addralign = 1 };
		memcpy(to + at, code->texts[i].text, code->texts[i].len);
		at += round_up(code->texts[i].len + 1);
	}
	*image = to;
	return true;
}

static int read_text(void *ctx, const struct elf_section *s)
{
	return s->type == SHT_PTX ? soft_code_add(ctx, s->data, s->size) : 0;
}

int soft_cubin_read(const void *image, size_t limit, struct soft_code *code)
{
	return elf_each_section(image, limit, read_text, code);
}
