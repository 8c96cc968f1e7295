# SPDX-License-Identifier: MIT
"""Checks that a parsed description makes sense, and completes it: bases, roles, wire layouts, the list of ops."""

import re

from .layout import layout, size_of
from .model import COMMAND_MAX, HEADER, REPLY_MAX, ApiError, Field, Op

ROLE_NEEDS_POINTER = {"in", "out", "inout", "new", "host", "string", "array_in", "array_out"}


def default_base(name):
    return re.sub(r"_v\d$", "", name)


def aligned(n):
    return (n + 7) & ~7


def check_param(api, call, p):
    """Role and type of one parameter of a remote call."""
    t = api.find(p.base)
    if p.role in ROLE_NEEDS_POINTER and not p.pointer and not (p.role == "host"):
        raise ApiError(p.where, f"parameter '{p.name}' is not a pointer")
    if not p.role:
        if p.pointer:
            raise ApiError(p.where, f"pointer '{p.name}' of '{call.name}' needs in, out, inout, new, host or string")
        p.role = "handle" if t and t.form == "handle" else "value"
    if p.role == "string":
        if p.base != "char" or not p.limit:
            raise ApiError(p.where, f"string '{p.name}' must be a char pointer with a 'max' above 0")
        return
    if p.role == "host":
        return
    if not t:
        raise ApiError(p.where, f"unknown type '{p.base}' of parameter '{p.name}'")
    if (p.role in ("handle", "new", "drop")) != (t.form == "handle"):
        raise ApiError(p.where, f"'{p.name}' of type '{t.name}' cannot be '{p.role.replace('array_', '')}'")
    if t.words and p.role != "out":
        raise ApiError(p.where, f"'{p.name}' of type '{t.name}' can only be 'out'")
    if p.role == "value" and t.form == "struct":
        raise ApiError(p.where, f"struct '{p.name}' is passed by value")
    if p.ctype.startswith("const ") and p.role in ("out", "inout", "new", "array_out"):
        raise ApiError(p.where, f"'{p.name}' is const and cannot be '{p.role.replace('array_', '')}'")


def check_count(api, call, p):
    target = next((q for q in call.params if q.name == p.count), None)
    if not target or target.role != "value":
        raise ApiError(p.where, f"number of elements of '{p.name}' must be a plain parameter, not '{p.count}'")
    if api.find(target.base).wire not in ("u32", "u64"):
        raise ApiError(p.where, f"number of elements of '{p.name}' is signed: '{target.ctype} {p.count}'")
    if not p.limit:
        raise ApiError(p.where, f"array '{p.name}' has a 'max' of 0")


def args_fields(api, call):
    """Members of the args struct of a remote call, in order of the parameters."""
    out = []
    for p in call.params:
        t = api.find(p.base)
        if p.role in ("handle", "new", "drop", "host"):
            out.append(Field("u64", p.name, p.where))
        elif p.role == "value":
            out.append(Field(t.wire, p.name, p.where))
        elif p.role in ("in", "inout"):
            out.append(Field(t.name if t.form == "struct" else t.wire, p.name, p.where))
            if p.optional:
                out.append(Field("u32", f"has_{p.name}", p.where))
        elif p.role == "string":
            out.append(Field("u32", f"{p.name}_size", p.where))
    return out


def ret_fields(api, call):
    out = []
    for p in call.params:
        if p.role in ("out", "inout"):
            t = api.find(p.base)
            if t.words:
                out.append(Field("u64", p.name, p.where, t.size // 8, True))
            else:
                out.append(Field(t.name if t.form == "struct" else t.wire, p.name, p.where))
    return out


def payload_max(api, call, arrays, strings):
    total = 0
    for p in call.params:
        if p.role == arrays:
            total += aligned(p.limit * size_of(api, element(api, p)))
        elif p.role == "string" and strings:
            total += aligned(p.limit)
    return total


def element(api, p):
    t = api.find(p.base)
    return t.name if t.form == "struct" else t.wire


def check_remote(api, call):
    if call.op < 0:
        raise ApiError(call.where, f"{call.cls} call '{call.name}' has no op")
    if call.capture == "never" and not any(p.base == "CUstream" and not p.pointer for p in call.params):
        raise ApiError(call.where, f"'{call.name}' has no stream that could be captured")
    if call.uses:
        raise ApiError(call.where, f"{call.cls} call '{call.name}' cannot use wires: it has its own op")
    for p in call.params:
        check_param(api, call, p)
    for p in call.params:
        if p.role in ("array_in", "array_out"):
            check_count(api, call, p)
    op = Op(call.name, call.where, call.op, call.cls == "sync", call.context)
    op.fields, op.ret = args_fields(api, call), ret_fields(api, call)
    op.payload = payload_max(api, call, "array_in", True)
    op.ret_payload = payload_max(api, call, "array_out", False)
    if call.cls == "async" and (op.ret or op.ret_payload):
        raise ApiError(call.where, f"async call '{call.name}' has an output: make it sync")
    news = [p for p in call.params if p.role in ("new", "drop")]
    if len(news) > 1:
        raise ApiError(news[1].where, f"'{call.name}' makes or destroys more than one object")
    return op


def check_special(api, call):
    if call.op >= 0:
        raise ApiError(call.where, f"{call.cls} call '{call.name}' has an op: its wires have ops")
    if call.hand or call.early or call.capture:
        raise ApiError(call.where, f"{call.cls} call '{call.name}' is hand-written anyway: 'hand', 'early' and 'capture' "
                       "are for async and sync")
    for p in call.params:
        if p.role or p.nonzero:
            raise ApiError(p.where, f"parameters of {call.cls} call '{call.name}' are not annotated")
    if call.cls == "local" and call.uses:
        raise ApiError(call.where, f"local call '{call.name}' cannot use wires: make it special")
    for wire in call.uses:
        if wire not in api.wires:
            raise ApiError(call.where, f"'{call.name}' uses unknown wire '{wire}'")


def check_alias(api, call):
    target = api.calls.get(call.alias)
    if not target or target.cls in ("alias", "unsupported"):
        raise ApiError(call.where, f"'{call.name}' is an alias of '{call.alias}', which is not described")
    if [p.ctype for p in call.params] != [p.ctype for p in target.params]:
        raise ApiError(call.where, f"parameters of '{call.name}' differ from those of '{call.alias}'")
    for p, q in zip(call.params, target.params):
        p.name = q.name


def check_call(api, call):
    call.base = call.base or default_base(call.name)
    if not call.cls:
        raise ApiError(call.where, f"'{call.name}' has no class")
    if not call.since:
        raise ApiError(call.where, f"'{call.name}' has no 'since'")
    names = [p.name for p in call.params if p.name]
    for n in names:
        if names.count(n) > 1:
            raise ApiError(call.where, f"'{call.name}' has two parameters '{n}'")
    if call.thread == "ptsz" and not any(p.base == "CUstream" or p.ctype == "const CUlaunchConfig *"
                                         or p.ctype == "CUDA_GRAPH_INSTANTIATE_PARAMS *" for p in call.params):
        raise ApiError(call.where, f"'{call.name}' has a ptsz form but no stream parameter")
    if call.cls == "unsupported" and not call.reason:
        raise ApiError(call.where, f"unsupported call '{call.name}' has no reason")
    if call.cls != "unsupported" and call.native:
        raise ApiError(call.where, f"'native' is for unsupported calls; '{call.name}' is described")


def check_lookup(api, call):
    call.base = call.base or default_base(call.name)
    if not call.since or not call.reason:
        raise ApiError(call.where, f"'{call.name}' has no {'reason' if call.since else 'since'}")
    if call.name in api.calls:
        raise ApiError(call.where, f"'{call.name}' is exported: '{call.name}' at {api.calls[call.name].where}")


def check_since(api):
    """Two symbols with one base need different versions, or cuGetProcAddress could not choose."""
    seen = {}
    for call in api.calls.values():
        key = (call.base, call.since)
        if key in seen:
            raise ApiError(call.where, f"'{call.name}' and '{seen[key]}' are both {call.base} since {call.since}")
        seen[key] = call.name


def check_op(api, op, by_code):
    if op.code == 0 or op.code >= 0xffff:
        raise ApiError(op.where, f"op {op.code:#06x} of '{op.name}' is reserved")
    if op.code in by_code:
        raise ApiError(op.where, f"op {op.code:#06x} of '{op.name}' is already used by '{by_code[op.code].name}'")
    by_code[op.code] = op
    if not op.sync and (op.ret or op.ret_payload):
        raise ApiError(op.where, f"async wire '{op.name}' has a reply: make it sync")
    args = layout(api, op.fields)[1]
    if HEADER + args + op.payload > COMMAND_MAX:
        raise ApiError(op.where, f"'{op.name}' can be {HEADER + args + op.payload} bytes long, "
                                 f"a command holds {COMMAND_MAX}")
    ret = layout(api, op.ret)[1]
    if ret + op.ret_payload > REPLY_MAX:
        raise ApiError(op.where, f"reply of '{op.name}' can be {ret + op.ret_payload} bytes long, "
                                 f"a slot holds {REPLY_MAX}")


def check(api):
    by_code = {}
    for wire in api.wires.values():
        check_op(api, wire, by_code)
    for call in list(api.calls.values()):
        check_call(api, call)
        if call.variant and call.variant in api.calls:
            raise ApiError(api.calls[call.variant].where, f"'{call.variant}' is already made by '{call.name}'")
        if call.remote:
            check_op(api, check_remote(api, call), by_code)
        elif call.cls in ("local", "special"):
            check_special(api, call)
    for call in api.calls.values():
        if call.cls == "alias":
            check_alias(api, call)
    for call in api.lookups.values():
        check_lookup(api, call)
    check_since(api)
    api.ops = [by_code[code] for code in sorted(by_code)]
