# SPDX-License-Identifier: MIT
"""shim_unsupported.c: exported functions that only say that they are not there, and aliases."""

from .ctext import arguments, head, prototype


def body(symbol):
    return f'{{\n\treturn vgpu_unsupported("{symbol}");\n}}\n\n'


def unused(call):
    """Parameter list of types only: C2x allows leaving names out of a definition, C11 does not."""
    if not call.params:
        return "void"
    return ", ".join(f"{p.ctype}{'' if p.ctype.endswith('*') else ' '}p{i}" for i, p in enumerate(call.params))


def shim_unsupported_c(api):
    text = head("functions that are not supported, and second names", "", ["gen/cuda_api.h", "gen/proc_table.h", "shim/call.h"])
    text += '#pragma GCC diagnostic ignored "-Wunused-parameter"\n\n'
    for c in sorted(api.calls.values(), key=lambda c: c.name):
        if c.cls == "unsupported":
            for symbol in filter(None, (c.name, c.variant)):
                text += f"CUresult {symbol}({unused(c)})\n" + body(symbol)
        elif c.cls == "alias":
            text += prototype(c) + f"\n{{\n\treturn {c.alias}({arguments(c)});\n}}\n\n"
            if c.variant:
                target = api.calls[c.alias].variant
                text += prototype(c, c.variant) + f"\n{{\n\treturn {target}({arguments(c)});\n}}\n\n"
    for name in sorted(api.lookups):
        text += f"CUresult vgpu_lookup_{name}(void)\n" + body(name)
    return text.rstrip("\n") + "\n"
