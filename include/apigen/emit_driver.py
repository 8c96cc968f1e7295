# SPDX-License-Identifier: MIT
"""driver_table.h, driver_table.c: the table of functions that a backend fills, and what each is called natively."""

from .ctext import head, params


def slots(api):
    return sorted((c for c in api.calls.values() if c.cls not in ("alias", "unsupported") or c.native),
                  key=lambda c: c.name)


def driver_table_h(api):
    text = head("the driver as a table", "VGPU_GEN_DRIVER_TABLE_H", ["stddef.h", "vgpu/cuda_types.h"])
    text += "/* One pointer a function; NULL: the backend does not have it, answer CUDA_ERROR_NOT_SUPPORTED. */\n"
    text += "struct vgpu_driver {\n"
    for c in slots(api):
        text += f"\tCUresult (*{c.name})({params(c, names=bool(c.params and c.params[0].name))});\n"
    text += "};\n\n"
    text += ("/* How to find the function of a slot: cuGetProcAddress(base, since), or the exported symbol. */\n"
             "struct vgpu_driver_slot {\n\tconst char *symbol;\n\tconst char *base;\n\tint since;\n"
             "\tsize_t offset;\n};\n\n")
    text += f"#define VGPU_DRIVER_SLOTS {len(slots(api))}\n\n"
    return text + "extern const struct vgpu_driver_slot vgpu_driver_slots[VGPU_DRIVER_SLOTS];\n\n#endif\n"


def driver_table_c(api):
    text = head("where each slot of the driver table comes from", "", ["gen/driver_table.h"])
    text += "const struct vgpu_driver_slot vgpu_driver_slots[VGPU_DRIVER_SLOTS] = {\n"
    for c in slots(api):
        text += f'\t{{ "{c.name}", "{c.base}", {c.since}, offsetof(struct vgpu_driver, {c.name}) }},\n'
    return text + "};\n"
