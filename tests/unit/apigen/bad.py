# SPDX-License-Identifier: MIT
"""Bad descriptions: each is refused with one line that names the right file, the right line and the mistake."""

import os
import re
import subprocess
import sys
import tempfile

TYPES = """scalar u64 = size_t, CUdeviceptr
scalar u32 = unsigned int
scalar i32 = int
handle stream = CUstream
handle event = CUevent
struct CUmemAccessDesc 12
struct CUtensorMap 128 words
wire w { op 0x10
	class async
}
"""
AT = TYPES.count("\n")      # the text of a case begins on line AT + 1


def call(*body, proto="cuFoo(CUdeviceptr *p, size_t n)", cls="sync", op="0x20", since="1"):
    lines = [f"call {proto} {{"] + ([f"class {cls}"] if cls else []) + ([f"op {op}"] if op else [])
    lines += ([f"since {since}"] if since else []) + list(body) + ["}"]
    return "\n".join(lines) + "\n"


# (what, text, line counted from the start of the text, message)
CASES = (
    ("strange character", "local cuFoo() since 1 ;\n", 1, "unexpected character ';'"),
    ("unknown entry", "\nfunction cuFoo()\n", 2, "unknown entry 'function'"),
    ("unclosed body", "wire x {\nop 0x11\n", 1, "'{' is never closed"),
    ("unclosed parameters", "local cuFoo(int a\n", 2, "expected ',', found end of file"),
    ("nameless parameter", "local cuFoo(unsigned int) since 1\n", 1, "parameter has no name"),
    ("unknown attribute of a line", "local cuFoo() since 1 cheap\n", 1, "unknown attribute 'cheap'"),
    ("unknown attribute of a call", call("out p", "colour n"), 6, "unknown attribute 'colour' of a call"),
    ("unknown attribute of a wire", "wire x {\nop 0x11\nsize 4\n}\n", 3, "unknown attribute 'size' of a wire"),
    ("attribute twice", call("out p", "since 2"), 6, "'since' is given twice"),
    ("unknown class", call(cls="later"), 2, "unknown class 'later' (one of local, async, sync, special)"),
    ("no class", call("out p", cls=""), 1, "'cuFoo' has no class"),
    ("no op", call("out p", op=""), 1, "sync call 'cuFoo' has no op"),
    ("no since", call("out p", since=""), 1, "'cuFoo' has no 'since'"),
    ("op used twice", call("out p", op="0x10"), 1, "op 0x0010 of 'cuFoo' is already used by 'w'"),
    ("op 0", call("out p", op="0"), 1, "op 0x0000 of 'cuFoo' is reserved"),
    ("op outside the range", "ops 0x100 - 0x1ff\n" + call("out p"), 4, "op 0x0020 is outside this file's range 0x0100 - 0x01ff"),
    ("call twice", "local cuFoo() since 1\nlocal cuFoo() since 2\n", 2, "call 'cuFoo' is already described at {file}:{1}"),
    ("same name and version", "local cuFoo() since 1\nlocal cuFoo_v2() since 1\n", 2, "'cuFoo_v2' and 'cuFoo' are both cuFoo since 1"),
    ("per-thread form described", "local cuFoo(CUstream s) since 1 ptsz 2\nlocal cuFoo_ptsz(CUstream s) since 3\n", 2, "'cuFoo_ptsz' is already made by 'cuFoo'"),
    ("ptsz without stream", "local cuFoo(int a) since 1 ptsz 2\n", 1, "'cuFoo' has a ptsz form but no stream parameter"),
    ("pointer without direction", call(), 1, "pointer 'p' of 'cuFoo' needs in, out, inout, new, host or string"),
    ("unknown rule of captures", call("out p", "capture always"), 6, "capture is 'unsafe' or 'never'"),
    ("no stream to capture", call("out p", "capture never"), 1, "'cuFoo' has no stream that could be captured"),
    ("no such parameter", call("out q"), 5, "'cuFoo' has no parameter 'q'"),
    ("annotated twice", call("out p", "in p"), 6, "parameter 'p' is annotated twice"),
    ("out is no pointer", call("out p", "out n"), 6, "parameter 'n' is not a pointer"),
    ("unknown type", call(proto="cuFoo(CUwhat x)"), 1, "unknown type 'CUwhat' of parameter 'x'"),
    ("output of an async call", call("out p", cls="async"), 1, "async call 'cuFoo' has an output: make it sync"),
    ("const output", call("out p", proto="cuFoo(const int *p)"), 5, "'p' is const and cannot be 'out'"),
    ("handle as output", call("out e", proto="cuFoo(CUevent *e)"), 5, "'e' of type 'CUevent' cannot be 'out'"),
    ("number as new object", call("new p"), 5, "'p' of type 'CUdeviceptr' cannot be 'new'"),
    ("two new objects", call("new a", "new b", proto="cuFoo(CUevent *a, CUevent *b)"), 6, "'cuFoo' makes or destroys more than one object"),
    ("array without max", call("in p[n]"), 5, "array 'p' has no 'max'"),
    ("array of unknown length", call("in p[m] max 4"), 5, "number of elements of 'p' must be a plain parameter, not 'm'"),
    ("pointer as nonzero number", call("out p", "nonzero p"), 6, "'cuFoo' has no number 'p'"),
    ("signed length", call("in p[n] max 4", proto="cuFoo(CUdeviceptr *p, int n)"), 5, "number of elements of 'p' is signed: 'int n'"),
    ("reply too long", call("out p[n] max 1000"), 1, "reply of 'cuFoo' can be 8000 bytes long, a slot holds 4080"),
    ("command too long", call("in p[n] max 20000"), 1, "'cuFoo' can be 160048 bytes long, a command holds 131072"),
    ("string without max", call("string s", proto="cuFoo(const char *s)"), 5, "string 's' has no 'max'"),
    ("string of numbers", call("string p max 4"), 5, "string 'p' must be a char pointer with a 'max' above 0"),
    ("wire type", "wire x {\nop 0x11\nfield size_t n\n}\n", 3, "unknown wire type or record 'size_t'"),
    ("wire field twice", "wire x {\nfield u8 a\nfield u8 a\n}\n", 3, "field 'a' is already described at {file}:{2}"),
    ("async wire with reply", "wire x {\nop 0x11\nclass async\nret u8 a\n}\n", 1, "async wire 'x' has a reply: make it sync"),
    ("wire without class", "wire x {\nop 0x11\n}\n", 1, "wire 'x' has no class"),
    ("unknown wire", call("uses x", cls="special", op=""), 1, "'cuFoo' uses unknown wire 'x'"),
    ("special with op", call(cls="special"), 1, "special call 'cuFoo' has an op: its wires have ops"),
    ("unsupported without reason", "unsupported cuFoo() since 1\n", 1, "unsupported call 'cuFoo' has no reason"),
    ("alias of nothing", "alias cuFoo() of cuBar since 1\n", 1, "'cuFoo' is an alias of 'cuBar', which is not described"),
    ("alias with other parameters", "local cuBar(int a) since 1\nalias cuFoo() of cuBar since 1\n", 2, "parameters of 'cuFoo' differ from those of 'cuBar'"),
    ("lookup that is exported", "local cuFoo() since 1\nlookup cuFoo since 1 reason \"no\"\n", 2, "call 'cuFoo' is already described at {file}:{1}"),
    ("unknown handle kind", "handle socket = CUsocket\n", 1, "unknown kind of handle 'socket'"),
    ("type twice", "scalar u32 = size_t\n", 1, "type 'size_t' is already described at {file}:{-9}"),
)


def expected(path, line, message):
    """Fills {file}:{N}, where N counts as `line` does."""
    message = re.sub(r"\{file\}:\{(-?\d+)\}", lambda m: f"{path}:{AT + int(m[1])}", message)
    return f"{path}:{AT + line}: error: {message}"


def main():
    root = sys.argv[1]
    env = dict(os.environ, PYTHONPATH=os.path.join(root, "include"), PYTHONDONTWRITEBYTECODE="1")
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "case.api")
        for what, text, line, message in CASES:
            with open(path, "w", encoding="utf-8") as f:
                f.write(TYPES + text)
            done = subprocess.run([sys.executable, "-m", "apigen", "--out", folder, path], env=env, text=True,
                                  capture_output=True, check=False)
            want = expected(path, line, message)
            if done.returncode != 1 or done.stderr.strip() != want:
                print(f"{what}: wanted\n  {want}\ngot status {done.returncode}\n  {done.stderr.strip()}")
                bad += 1
    print(f"{len(CASES) - bad} of {len(CASES)} bad descriptions refused as they should")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
