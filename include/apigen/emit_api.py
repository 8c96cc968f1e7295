# SPDX-License-Identifier: MIT
"""cuda_api.h: prototypes of every exported name. shim_exports.map: the version script with the same names."""

from .ctext import exported, head, prototype


def cuda_api_h(api):
    text = head("prototypes of the driver API", "VGPU_GEN_CUDA_API_H", ["vgpu/cuda_types.h"])
    text += "#pragma GCC visibility push(default)\n"
    for symbol, call in exported(api):
        text += prototype(call, symbol, names=False) + ";\n"
    return text + "#pragma GCC visibility pop\n\n#endif\n"


def shim_exports_map(api):
    text = "/* Generated from include/api by include/apigen: what libcuda.so.1 exports */\n{\nglobal:\n"
    for symbol, _ in exported(api):
        text += f"\t{symbol};\n"
    return text + "local:\n\t*;\n};\n"
