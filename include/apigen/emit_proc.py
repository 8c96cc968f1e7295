# SPDX-License-Identifier: MIT
"""proc_table.h, proc_table.c: what cuGetProcAddress finds by name, version and kind of default stream."""

from .ctext import head


def entries(api):
    out = []
    for c in api.calls.values():
        out.append((c.base, c.since, 0, c.name))
        if c.variant:
            out.append((c.base, c.thread_since, 1, c.variant))
    for c in api.lookups.values():
        out.append((c.base, c.since, 0, f"vgpu_lookup_{c.name}"))
        if c.thread:
            out.append((c.base, c.thread_since, 1, f"vgpu_lookup_{c.name}"))
    return sorted(out)


def proc_table_h(api):
    text = head("table for cuGetProcAddress", "VGPU_GEN_PROC_TABLE_H", ["vgpu/cuda_types.h"])
    text += ("/*\n * Sorted by name, then version. Of the rows with the wanted name and per_thread, the one with the highest\n"
             " * `since` that is not above the requested version is meant; a per-thread request falls back on rows with\n"
             " * per_thread 0 where the name has no other.\n */\n")
    text += ("struct vgpu_proc {\n\tconst char *name;\n\tint since;\n\tint per_thread;\n\tvoid (*fn)(void);\n};\n\n"
             f"#define VGPU_PROCS {len(entries(api))}\n\nextern const struct vgpu_proc vgpu_procs[VGPU_PROCS];\n\n")
    text += "/* Found by cuGetProcAddress, never exported: whatever the arguments, not supported. */\n"
    for c in sorted(api.lookups):
        text += f"CUresult vgpu_lookup_{c}(void);\n"
    return text + "\n#endif\n"


def proc_table_c(api):
    text = head("table for cuGetProcAddress", "", ["gen/cuda_api.h", "gen/proc_table.h"])
    text += "const struct vgpu_proc vgpu_procs[VGPU_PROCS] = {\n"
    for base, since, per_thread, symbol in entries(api):
        text += f'\t{{ "{base}", {since}, {per_thread}, (void (*)(void)){symbol} }},\n'
    return text + "};\n"
