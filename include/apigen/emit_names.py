# SPDX-License-Identifier: MIT
"""op_names.[ch]: names of commands for logs. errors.[ch]: names and texts of results. api.dict: words for a fuzzer."""

from .ctext import head
from .layout import layout


def op_names_h(_api):
    text = head("names of commands", "VGPU_GEN_OP_NAMES_H", ["stdint.h"])
    return text + "/* Name of an op, or NULL if there is none. */\nconst char *vgpu_op_name(uint16_t op);\n\n#endif\n"


def op_names_c(api):
    text = head("names of commands", "", ["gen/op_names.h", "gen/wire.h"])
    text += "const char *vgpu_op_name(uint16_t op)\n{\n\tswitch (op) {\n"
    for op in api.ops:
        text += f'\tcase VGPU_OP_{op.name}:\n\t\treturn "{op.name}";\n'
    return text + "\t}\n\treturn NULL;\n}\n"


def errors_h(_api):
    text = head("names and texts of results", "VGPU_GEN_ERRORS_H", ["vgpu/cuda_types.h"])
    return text + ("/* As cuGetErrorName and cuGetErrorString answer, or NULL for a number that is no result. */\n"
                   "const char *vgpu_error_name(CUresult res);\nconst char *vgpu_error_text(CUresult res);\n\n#endif\n")


def errors_c(api):
    text = head("names and texts of results", "", ["gen/errors.h"])
    for what, pick in (("name", lambda e: e.name), ("text", lambda e: e.text)):
        text += f"const char *vgpu_error_{what}(CUresult res)\n{{\n\tswitch (res) {{\n"
        for e in api.errors.values():
            text += f'\tcase {e.name}:\n\t\treturn "{pick(e)}";\n'
        text += "\t}\n\treturn NULL;\n}\n\n"
    return text.rstrip("\n") + "\n"


def api_dict(api):
    """libFuzzer dictionary: op numbers and sizes of their args, little-endian."""
    text = "# Generated from include/api by include/apigen: ops and the sizes of their args\n"
    for op in api.ops:
        size = layout(api, op.fields)[1]
        text += f'{op.name}="\\x{op.code & 255:02x}\\x{op.code >> 8:02x}"\n'
        text += f'{op.name}_args="\\x{size & 255:02x}\\x{size >> 8 & 255:02x}\\x00\\x00"\n'
    return text
