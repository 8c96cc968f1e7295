# SPDX-License-Identifier: MIT
"""wire.h: numbers of the commands, and the structs that travel in commands and replies."""

from .ctext import head, struct
from .layout import align_of


def wire_h(api):
    text = head("commands on the ring", "VGPU_GEN_WIRE_H", ["stddef.h", "stdint.h", "vgpu/cuda_types.h"])
    text += "enum vgpu_op {\n"
    for op in api.ops:
        text += f"\tVGPU_OP_{op.name} = {op.code:#06x},\n"
    text += f"\tVGPU_OP_LIMIT = {api.ops[-1].code + 1:#06x}\n}};\n\n"
    for rec in api.records.values():
        widest = max((f.type for f in rec.fields), key=lambda t: align_of(api, t))
        text += struct(api, f"vgpu_rec_{rec.name}", rec.fields, align_of(api, widest))
    for op in api.ops:
        text += f"/* {op.name}: {'answered' if op.sync else 'not answered'}"
        if op.payload:
            text += f", payload up to {op.payload} bytes"
        if op.ret_payload:
            text += f", up to {op.ret_payload} bytes after the reply struct"
        text += " */\n"
        if op.payload:
            text += f"#define VGPU_PAYLOAD_MAX_{op.name} {op.payload}u\n"
        if op.ret_payload:
            text += f"#define VGPU_RET_PAYLOAD_MAX_{op.name} {op.ret_payload}u\n"
        text += struct(api, f"vgpu_args_{op.name}", op.fields)
        text += struct(api, f"vgpu_ret_{op.name}", op.ret)
    return text + "#endif\n"
