# SPDX-License-Identifier: MIT
"""Pieces of C text that several emitters share."""

from .layout import c_type, layout

BANNER = "/* SPDX-License-Identifier: MIT */\n/* Generated from include/api by include/apigen: {what} */\n"


def head(what, guard="", includes=()):
    text = BANNER.format(what=what)
    if guard:
        text += f"#ifndef {guard}\n#define {guard}\n"
    text += "\n"
    for inc in includes:
        text += f"#include <{inc}>\n"
    return text + ("\n" if includes else "")


def declare(ctype, name):
    if not name:
        return ctype
    return ctype + name if ctype.endswith("*") else f"{ctype} {name}"


def params(call, names=True):
    if not call.params:
        return "void"
    return ", ".join(declare(p.ctype, p.name if names else "") for p in call.params)


def prototype(call, name=None, names=True):
    return f"CUresult {name or call.name}({params(call, names)})"


def arguments(call):
    return ", ".join(p.name for p in call.params)


def struct(api, tag, fields, round_to=8):
    """Definition of a wire struct with asserts on its size and offsets; nothing if it has no members."""
    placed, size = layout(api, fields, round_to)
    if not placed:
        return ""
    text = f"struct {tag} {{\n"
    for f, _ in placed:
        text += f"\t{c_type(api, f.type)} {f.name}{f'[{f.count}]' if f.array else ''};\n"
    text += "};\n\n"
    text += f'_Static_assert(sizeof(struct {tag}) == {size}, "wire layout");\n'
    for f, at in placed:
        if not f.name.startswith("pad"):
            text += f'_Static_assert(offsetof(struct {tag}, {f.name}) == {at}, "wire layout");\n'
    return text + "\n"


def exported(api):
    """(symbol, call) of each exported name, sorted: per-thread forms included."""
    out = [(c.name, c) for c in api.calls.values()]
    out += [(c.variant, c) for c in api.calls.values() if c.variant]
    return sorted(out, key=lambda e: e[0])
