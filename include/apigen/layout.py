# SPDX-License-Identifier: MIT
"""Layout of wire structs: natural alignment, explicit padding, size a multiple of 8."""

from .model import SCALARS, Field


def size_of(api, name):
    if name in SCALARS:
        return SCALARS[name][1]
    if name in api.records:
        return layout(api, api.records[name].fields, align_of(api, name))[1]
    return api.types[name].size


def align_of(api, name):
    if name in SCALARS:
        return SCALARS[name][1]
    if name in api.records:
        return max(align_of(api, f.type) for f in api.records[name].fields)
    return 8


def c_type(api, name):
    if name in SCALARS:
        return SCALARS[name][0]
    if name in api.records:
        return f"struct vgpu_rec_{name}"
    return name


def pad(number, size):
    return Field("u8", f"pad{number}", "", size, True)


def layout(api, fields, round_to=8):
    """([(field, offset)], size): the fields with padding between them made explicit."""
    out, at, pads = [], 0, 0
    for f in fields:
        gap = -at % align_of(api, f.type)
        if gap:
            out.append((pad(pads, gap), at))
            pads, at = pads + 1, at + gap
        out.append((f, at))
        at += size_of(api, f.type) * f.count
    gap = -at % round_to
    if gap:
        out.append((pad(pads, gap), at))
    return out, at + gap
