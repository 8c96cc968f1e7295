# SPDX-License-Identifier: MIT
"""worker_dispatch.c, worker_hand.h: the worker's side: bounds checks, handles, the driver call, the reply.

A generated handler trusts nothing: the dispatcher has compared args_size and the payload's upper bound with the
table; the handler checks every length inside the payload and that nothing is left over.
"""

from .check import element
from .ctext import head
from .layout import layout, size_of


def kind(api, p):
    return "VGPU_HANDLE_" + api.find(p.base).kind.upper()


def declarations(api, call, op):
    out = ["const struct vgpu_driver *drv = vgpu_session_driver(s);"]
    if op.fields:
        out.append(f"const struct vgpu_args_{call.name} *a = rq->args;")
    if op.ret:
        out.append(f"struct vgpu_ret_{call.name} *o = rq->ret;")
    for p in call.params:
        t = api.find(p.base)
        if p.role in ("handle", "drop"):
            out.append(f"void *{p.name} = NULL;")
        elif p.role == "new":
            out.append(f"{t.name} {p.name} = {'0' if t.integer else 'NULL'};")
        elif p.role == "out":
            out.append(f"{t.name} {p.name} = {'{ 0 }' if t.form == 'struct' else '0'};")
        elif p.role in ("in", "inout"):
            out.append(f"{t.name} {p.name} = {'' if t.form == 'struct' else f'({t.name})'}a->{p.name};")
        elif p.role == "string":
            out.append(f"const char *{p.name};")
        elif p.role == "array_in":
            out.append(f"const {t.name} *{p.name};")
        elif p.role == "array_out":
            out.append(f"{t.name} *{p.name};")
    if any(p.role in ("string", "array_in") for p in call.params):
        out.append("uint32_t at = 0;")
    if op.ret_payload:
        out.append(f"uint32_t end = {'sizeof(*o)' if op.ret else '0'};")
    out.append("CUresult r;")
    return out


def unpack(api, call):
    out = []
    for p in call.params:
        t = api.find(p.base)
        if p.role in ("handle", "drop"):
            get = f"r = vgpu_session_lookup(s, {kind(api, p)}, a->{p.name}, &{p.name});"
            out += ([f"if (a->{p.name}) {{", f"\t{get}", "\tif (r)", "\t\treturn r;", "}"] if p.optional
                    else [get, "if (r)", "\treturn r;"])
        elif p.role == "new":
            out += [f"if (vgpu_handle_kind_of(a->{p.name}) != {kind(api, p)})", "\treturn VGPU_BROKEN;"]
        elif p.role == "string":
            out += [f"{p.name} = vgpu_take_string(rq, &at, a->{p.name}_size, {p.limit});", f"if (!{p.name})",
                    "\treturn VGPU_BROKEN;"]
        elif p.role.startswith("array"):
            cond = f"if (a->{p.count} > {p.limit + p.less}{f' || a->{p.count} < {p.less}' if p.less else ''})"
            if cond not in out:
                out += [cond, "\treturn VGPU_BROKEN;"]
            n = f"(a->{p.count} - {p.less})" if p.less else f"a->{p.count}"
            size = f"(uint32_t)({n} * {size_of(api, element(api, p))})"
            if p.role == "array_in":
                out += [f"{p.name} = vgpu_take(rq, &at, {size});", f"if (!{p.name})", "\treturn VGPU_BROKEN;"]
            else:
                out += [f"{p.name} = vgpu_room(rq, &end, {size});", f"if (!{p.name})", "\treturn VGPU_BROKEN;"]
        elif p.role in ("in", "inout"):
            out += [f"{p.name}.{member} = NULL;" for member in t.clear]
    if any(p.role in ("string", "array_in") for p in call.params):
        out += ["if (at != rq->payload_size)", "\treturn VGPU_BROKEN;"]
    else:
        out += ["if (rq->payload_size)", "\treturn VGPU_BROKEN;"]
    return out


def argument(api, p):
    t = api.find(p.base)
    if p.role in ("handle", "drop"):
        return f"({t.name})(uintptr_t){p.name}" if t.integer else p.name
    if p.role == "value":
        return f"({t.name})a->{p.name}" if t.form == "enum" else f"a->{p.name}"
    if p.role == "host":
        return f"({p.ctype})(uintptr_t)a->{p.name}"
    if p.role in ("in",) and p.optional:
        return f"a->has_{p.name} ? &{p.name} : NULL"
    if p.role in ("in", "out", "inout", "new"):
        return f"&{p.name}"
    if p.role == "array_in" and not p.ctype.startswith("const "):
        return f"({p.ctype})(uintptr_t){p.name}"    # the driver only reads it
    return p.name


def reply(api, call, op):
    out = []
    for p in call.params:
        t = api.find(p.base)
        if p.role in ("out", "inout"):
            cast = "(uint32_t)" if t.form == "enum" else ""
            out.append(f"memcpy(o->{p.name}, &{p.name}, sizeof(o->{p.name}));" if t.words
                       else f"o->{p.name} = {cast}{p.name};")
    if op.ret_payload:
        out.append("rq->ret_size = end;")
    elif op.ret:
        out.append("rq->ret_size = sizeof(*o);")
    return out


def handler(api, call, op):
    hand = "worker" in call.hand
    name = f"vgpu_default_{call.name}" if hand else f"handle_{call.name}"
    new = next((p for p in call.params if p.role == "new"), None)
    drop = next((p for p in call.params if p.role == "drop"), None)
    lines = declarations(api, call, op) + ["", f"if (!drv->{call.name})", "\treturn CUDA_ERROR_NOT_SUPPORTED;"]
    lines += unpack(api, call)
    lines.append(f"r = drv->{call.name}({', '.join(argument(api, p) for p in call.params)});")
    if op.ret or op.ret_payload or new or drop:
        lines += ["if (r)", "\treturn r;"]
        lines += reply(api, call, op)
        if drop:
            lines.append(f"vgpu_session_unbind(s, {kind(api, drop)}, a->{drop.name});")
        if new:
            t = api.find(new.base)
            obj = f"(void *)(uintptr_t){new.name}" if t.integer else new.name
            lines.append(f"return vgpu_session_bind(s, {kind(api, new)}, a->{new.name}, {obj});")
        else:
            lines.append("return CUDA_SUCCESS;")
    else:
        lines[-1] = "return" + lines[-1].removeprefix("r =")
        if not any(line.lstrip().startswith("r = ") for line in lines):
            lines.remove("CUresult r;")
    text = f"{'' if hand else 'static '}CUresult {name}(struct vgpu_session *s, struct vgpu_request *rq)\n{{\n"
    return text + "".join(f"\t{line}\n" if line else "\n" for line in lines) + "}\n\n"


def by_hand(api):
    """Ops whose handler is written by hand: wires, and calls that say so."""
    return [op for op in api.ops if op.name in api.wires or "worker" in api.calls[op.name].hand]


def worker_hand_h(api):
    text = head("what the hand-written part of the worker defines and may call", "VGPU_GEN_WORKER_HAND_H",
                ["worker/dispatch.h"])
    text += "/* Hand-written handlers. */\n"
    for op in by_hand(api):
        text += f"CUresult vgpu_handle_{op.name}(struct vgpu_session *s, struct vgpu_request *rq);\n"
    text += "\n/* Generated: unpack, call the driver, reply. For the hand-written handler of the same name. */\n"
    for op in by_hand(api):
        if op.name in api.calls:
            text += f"CUresult vgpu_default_{op.name}(struct vgpu_session *s, struct vgpu_request *rq);\n"
    return text + "\n#endif\n"


def table(api):
    hand = {op.name for op in by_hand(api)}
    text = "static const struct vgpu_op_info ops[] = {\n"
    for op in api.ops:
        fn = f"vgpu_handle_{op.name}" if op.name in hand else f"handle_{op.name}"
        args, ret = layout(api, op.fields)[1], layout(api, op.ret)[1] + op.ret_payload
        text += (f'\t{{ .fn = {fn}, .name = "{op.name}", .op = {op.code:#06x}, .sync = {int(op.sync)},\n'
                 f"\t  .args_size = {args}, .payload_max = {op.payload}, .ret_max = {ret} }},\n")
    text += "};\n\n/* Row of each op in the table above, plus one; 0: no such op. */\n"
    text += "static const uint16_t rows[VGPU_OP_LIMIT] = {\n"
    for i, op in enumerate(api.ops):
        text += f"\t[{op.code:#06x}] = {i + 1},\n"
    return text + ("};\n\nconst struct vgpu_op_info *vgpu_op_find(uint16_t op)\n{\n"
                   "\tif (op >= VGPU_OP_LIMIT || !rows[op])\n\t\treturn NULL;\n\treturn &ops[rows[op] - 1];\n}\n")


def worker_dispatch_c(api):
    text = head("the worker's side of calls", "",
                ["string.h", "gen/driver_table.h", "gen/wire.h", "gen/worker_hand.h", "worker/dispatch.h"])
    for op in api.ops:
        if op.name in api.calls:
            text += handler(api, api.calls[op.name], op)
    return text + table(api)
