# SPDX-License-Identifier: MIT
"""shim_calls.c, shim_hand.h: the guest's side of async and sync calls, and the per-thread forms of all calls.

A function body goes: inputs checked (nothing taken yet), handles translated, room reserved in the ring (this takes
the channel's lock), args and payload written, published; a sync call then waits and copies its outputs.
"""

from .check import element
from .ctext import arguments, head, params, prototype
from .layout import c_type, size_of


def kind(api, p):
    return "VGPU_HANDLE_" + api.find(p.base).kind.upper()


def app_value(api, p, expr):
    """An application's handle as the pointer that the handle functions take."""
    return f"(const void *)(uintptr_t){expr}" if api.find(p.base).integer else expr


def lends(call):
    """A stream that is named lends its context for the time of the call."""
    names = [p.name for p in call.params if p.base == "CUstream" and not p.pointer]
    return [f"VGPU_STREAM_LENDS({names[0]});"] if names and call.context else []


def ready_flags(call):
    return flags(call) + (" | VGPU_CALL_UNSAFE" if call.capture == "unsafe" else "")


def flags(call):
    names = (["VGPU_CALL_REPLY"] if call.cls == "sync" else []) + (["VGPU_CALL_CONTEXT"] if call.context else [])
    return " | ".join(names) or "0"


def null_checks(call):
    """Conditions under which the call is CUDA_ERROR_INVALID_VALUE before anything is sent."""
    out = []
    for p in call.params:
        array = p.role.startswith("array")
        if p.role in ("in", "out", "inout", "new", "string", "array_in", "array_out") and not p.optional:
            out.append(f"!{p.name}")
        elif p.nonzero:
            out.append(f"!{p.name}")
        elif array:
            out.append(f"({p.count} > {p.less} && !{p.name})")
        if array:
            over = f"{p.count} > {p.limit + p.less}"
            under = f" || {p.count} < {p.less}" if p.less else ""
            out.append(over + under)
    return list(dict.fromkeys(out))


def length(api, p):
    """Number of bytes of an array on the wire."""
    n = f"({p.count} - {p.less})" if p.less else p.count
    return f"(size_t){n} * {size_of(api, element(api, p))}"


def declarations(api, call, op):
    lines = ["struct vgpu_call c;"]
    if op.fields:
        lines.append(f"struct vgpu_args_{call.name} *a;")
    if op.ret or op.ret_payload:
        lines.append(f"const struct vgpu_ret_{call.name} *o;" if op.ret else "")
    for p in call.params:
        if p.role in ("handle", "new", "drop"):
            lines.append(f"uint64_t {p.name}_id = 0;")
        elif p.role == "string":
            lines.append(f"size_t {p.name}_size;")
        elif p.role in ("array_in", "array_out"):
            lines.append(f"size_t {p.name}_size;")
    if op.payload:
        lines.append("uint8_t *at;")
    lines.append("CUresult r;")
    return [line for line in lines if line]


def handles(api, call, streams):
    """Application handles to wire ids: either those of streams, or the others."""
    out = []
    for p in call.params:
        if p.role in ("handle", "drop") and (api.find(p.base).kind == "stream") == streams:
            get = f"r = vgpu_handle_wire({kind(api, p)}, {app_value(api, p, p.name)}, &{p.name}_id);"
            out += [f"if ({p.name}) {{", f"\t{get}", "\tif (r)", "\t\treturn r;", "}"] if p.optional else \
                   [get, "if (r)", "\treturn r;"]
    return out


def uncaptured(call):
    """No stream of a call that is no node of a graph may be captured."""
    out = []
    for p in call.params:
        if call.capture == "never" and p.base == "CUstream" and not p.pointer:
            out += [f"r = vgpu_capture_never({p.name});", "if (r)", "\treturn r;"]
    return out


def measure(api, call):
    """Strings and arrays measured, an id for a new object taken."""
    out = []
    for p in call.params:
        if p.role == "string":
            out += [f"{p.name}_size = strnlen({p.name}, {p.limit}) + 1;", f"if ({p.name}_size > {p.limit})",
                    "\treturn CUDA_ERROR_INVALID_VALUE;"]
        elif p.role.startswith("array"):
            out.append(f"{p.name}_size = {length(api, p)};")
    for p in call.params:
        if p.role == "new":
            out += [f"r = vgpu_handle_new({kind(api, p)}, &{p.name}_id);", "if (r)", "\treturn r;"]
    return out


def fill(api, call, op):
    out = ["a = c.args;"] if op.fields else []
    for p in call.params:
        t = api.find(p.base)
        if p.role in ("handle", "new", "drop"):
            out.append(f"a->{p.name} = {p.name}_id;")
        elif p.role == "host":
            out.append(f"a->{p.name} = (uintptr_t){p.name};")
        elif p.role == "value":
            cast = f"({c_type(api, t.wire)})" if t.form == "enum" else ""
            out.append(f"a->{p.name} = {cast}{p.name};")
        elif p.role in ("in", "inout"):
            value = f"*{p.name}" if t.form != "enum" else f"(uint32_t)*{p.name}"
            if p.optional:
                out += [f"a->has_{p.name} = {p.name} != NULL;", f"if ({p.name})", f"\ta->{p.name} = {value};"]
            else:
                out.append(f"a->{p.name} = {value};")
        elif p.role == "string":
            out.append(f"a->{p.name}_size = (uint32_t){p.name}_size;")
    if op.payload:
        out.append("at = c.payload;")
        blobs = [p for p in call.params if p.role in ("string", "array_in")]
        for i, p in enumerate(blobs):
            if p.optional or p.role == "array_in":
                out += [f"if ({p.name}_size)", f"\tmemcpy(at, {p.name}, {p.name}_size);"]
            else:
                out.append(f"memcpy(at, {p.name}, {p.name}_size);")
            if i + 1 < len(blobs):
                out.append(f"at += vgpu_align8({p.name}_size);")
    return out


def outputs(api, call, op):
    """Copies from a good reply to the application."""
    out = []
    base = f"sizeof(struct vgpu_ret_{call.name})" if op.ret else "0"
    arrays = [p for p in call.params if p.role == "array_out"]
    total = " + ".join([base] + [f"vgpu_align8({p.name}_size)" for p in arrays])
    out += [f"if (c.ret_size != {total}) {{", "\tvgpu_call_end(&c);", "\treturn vgpu_call_broken();", "}"]
    if op.ret:
        out.append("o = c.ret;")
    for p in call.params:
        if p.role in ("out", "inout"):
            t = api.find(p.base)
            value = f"o->{p.name}" if t.form != "enum" else f"({t.name})o->{p.name}"
            if t.words:
                out.append(f"memcpy({p.name}, o->{p.name}, sizeof(o->{p.name}));")
                continue
            out += ([f"if ({p.name})", f"\t*{p.name} = {value};"] if p.optional else [f"*{p.name} = {value};"])
    done = [base]
    for p in arrays:
        out += [f"if ({p.name}_size)",
                f"\tmemcpy({p.name}, (const uint8_t *)c.ret + {' + '.join(done)}, {p.name}_size);"]
        done.append(f"vgpu_align8({p.name}_size)")
    return out


def finish(api, call, op):
    new = next((p for p in call.params if p.role == "new"), None)
    drop = next((p for p in call.params if p.role == "drop"), None)
    after = []
    if new:
        t = api.find(new.base)
        value = f"vgpu_handle_app({kind(api, new)}, {new.name}_id)"
        after.append(f"*{new.name} = {f'({t.name})(uintptr_t)' if t.integer else ''}{value};")
    if drop:
        after.append(f"vgpu_handle_drop({kind(api, drop)}, {drop.name}_id);")
    if call.cls == "async":
        return ["vgpu_call_submit(&c);"] + after + ["return CUDA_SUCCESS;"]
    out = ["vgpu_call_submit(&c);", "r = vgpu_call_wait(&c);", "if (r) {", "\tvgpu_call_end(&c);"]
    if new:
        out.append(f"\tvgpu_handle_drop({kind(api, new)}, {new.name}_id);")
    out += ["\treturn r;", "}"]
    if op.ret or op.ret_payload:
        out += outputs(api, call, op)
    return out + ["vgpu_call_end(&c);"] + after + ["return CUDA_SUCCESS;"]


def function(api, call, op, name):
    ready = [f"r = vgpu_call_ready({ready_flags(call)});", "if (r)", "\treturn r;"]
    checks = null_checks(call)
    if checks:
        checks = [f"if ({' || '.join(checks)})", "\treturn CUDA_ERROR_INVALID_VALUE;"]
    checks += handles(api, call, streams=False)
    lines = lends(call) + declarations(api, call, op) + [""] + (checks + ready if call.early else ready + checks)
    lines += handles(api, call, streams=True) + uncaptured(call) + measure(api, call)
    size = "sizeof(*a)" if op.fields else "0"
    blobs = [f"vgpu_align8({p.name}_size)" for p in call.params if p.role in ("string", "array_in")]
    payload = f"(uint32_t)({' + '.join(blobs)})" if blobs else "0"
    new = next((p for p in call.params if p.role == "new"), None)
    lines += [f"r = vgpu_call_begin(&c, VGPU_OP_{call.name}, {size}, {payload}, {flags(call)});"]
    if new:
        lines += ["if (r) {", f"\tvgpu_handle_drop({kind(api, new)}, {new.name}_id);", "\treturn r;", "}"]
    else:
        lines += ["if (r)", "\treturn r;"]
    lines += fill(api, call, op) + finish(api, call, op)
    text = prototype(call, name) + "\n{\n"
    return text + "".join(f"\t{line}\n" if line else "\n" for line in lines) + "}\n\n"


def stream_form(call):
    """The _ptsz form: NULL means the calling thread's default stream there."""
    for p in call.params:
        if p.base == "CUstream" and not p.pointer:
            args = arguments(call).split(", ")
            args[call.params.index(p)] = f"{p.name} ? {p.name} : CU_STREAM_PER_THREAD"
            return f"return {call.name}({', '.join(args)});"
    return ""


def hand_stream(call):
    """Calls whose two forms are one hand-written function that is told the default stream."""
    return call.thread and not stream_form(call) and call.cls != "unsupported" and call.cls != "alias"


def variant(call):
    if hand_stream(call):
        args = arguments(call)
        text = ""
        for symbol, stream in ((call.name, "CU_STREAM_LEGACY"), (call.variant, "CU_STREAM_PER_THREAD")):
            text += prototype(call, symbol) + f"\n{{\n\treturn vgpu_on_{call.name}({stream}, {args});\n}}\n\n"
        return text
    return prototype(call, call.variant) + f"\n{{\n\t{stream_form(call)}\n}}\n\n"


def shim_calls_c(api):
    ops = {op.name: op for op in api.ops}
    text = head("the guest's side of calls", "",
                ["string.h", "gen/cuda_api.h", "gen/shim_hand.h", "gen/wire.h", "shim/call.h", "shim/capture.h",
                 "shim/stream.h"])
    for c in sorted(api.calls.values(), key=lambda c: c.name):
        if c.remote:
            name = f"vgpu_remote_{c.name}" if "shim" in c.hand else c.name
            text += function(api, c, ops[c.name], name)
        if c.variant and c.cls not in ("unsupported", "alias"):
            text += variant(c)
    return text.rstrip("\n") + "\n"


def shim_hand_h(api):
    text = head("what the hand-written part of the shim defines and may call", "VGPU_GEN_SHIM_HAND_H",
                ["vgpu/cuda_types.h"])
    calls = sorted(api.calls.values(), key=lambda c: c.name)
    text += "/* Send the call and wait: for the hand-written function of the same name. */\n"
    for c in calls:
        if c.remote and "shim" in c.hand:
            text += prototype(c, f"vgpu_remote_{c.name}") + ";\n"
    text += "\n/* Hand-written; the generated forms pass the default stream that applies. */\n"
    for c in calls:
        if hand_stream(c):
            text += f"CUresult vgpu_on_{c.name}(CUstream default_stream, {params(c)});\n"
    return text + "\n#endif\n"
