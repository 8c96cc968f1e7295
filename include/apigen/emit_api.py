# SPDX-License-Identifier: MIT
"""cuda_api.h: prototypes of every exported name. shim_exports.map: the version script with the same names.
cuda_names.h: plain names, mapped to symbols as a toolkit's header does."""

from .ctext import exported, head, prototype
from .emit_proc import entries

# Where a toolkit's header gives the plain name another meaning than the newest ABI (cuda.h of CUDA 13.0).
HEADER_NAMES = {
    "cuCtxGetDevice": None,
    "cuCtxSynchronize": None,
    "cuStreamGetCtx": None,
    "cuGraphInstantiate": "cuGraphInstantiateWithFlags",
}


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


def cuda_names_h(api):
    newest = {}
    for base, since, per_thread, symbol in entries(api):
        if not per_thread and symbol in api.calls and since >= newest.get(base, (0, ""))[0]:
            newest[base] = (since, symbol)
    names = {base: HEADER_NAMES.get(base, symbol) for base, (_, symbol) in newest.items()}
    text = head("plain names of the driver API, as programs write them", "VGPU_GEN_CUDA_NAMES_H", [])
    for base, symbol in sorted(names.items()):
        if symbol and symbol != base:
            text += f"#define {base} {symbol}\n"
    return text + "\n#endif\n"
