# SPDX-License-Identifier: MIT
"""Our types and prototypes of the driver API agree with the cuda.h of an installed toolkit: every constant, every
size, every offset of a member, every prototype. Skipped (77) without a toolkit of the version that we describe.

usage: toolkit.py INCLUDE_DIR GENERATED_INCLUDE_DIR CC...
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

HEADERS = ("cuda_result.h", "cuda_attributes.h", "cuda_enums.h", "cuda_handles.h", "cuda_structs.h",
           "cuda_graph_structs.h", "cuda_types.h")
PLACES = [os.path.join(os.environ[v], "include") for v in ("CUDA_HOME", "CUDA_PATH") if os.environ.get(v)] + \
         ["/usr/local/cuda/include", "/usr/include"]


def toolkit():
    return next((p for p in PLACES if os.path.exists(os.path.join(p, "cuda.h"))), None)


def version(header):
    with open(header, encoding="utf-8") as f:
        return re.search(r"^#define CUDA_VERSION (\d+)", f.read(), re.M).group(1)


def members(lines):
    """Dotted names of the members of one struct body; consumes `lines` to the closing one. Returns (names, tail)."""
    out = []
    while True:
        line = lines.pop(0)
        if re.match(r"\s*(struct|union)( \w+)? \{$", line):
            inner, tail = members(lines)
            name = tail.removeprefix("} ").rstrip(";").strip("} ")
            out += ([name] if name else []) + [f"{name}.{i}" if name else i for i in inner]
        elif line.strip().startswith("}"):
            return out, line.strip()
        else:
            out.append(re.search(r"(\w+)(\[\d+\])*;", line).group(1))


def facts(include):
    """C expressions with an integer value, one for each fact of our headers."""
    out = []
    for name in HEADERS:
        with open(os.path.join(include, "vgpu", name), encoding="utf-8") as f:
            lines = f.read().split("\n")
        while lines:
            line = lines.pop(0)
            if m := re.match(r"\t(\w+) = ", line):
                out.append(m[1])
            elif m := re.match(r"#define (CU\w+) \S", line):
                out.append(m[1])
            elif m := re.match(r"typedef [^{(]*?(\w+);", line):
                out.append(f"sizeof({m[1]})")
            elif re.match(r"typedef (struct|union) \w+ \{$", line):
                inner, tail = members(lines)
                name = tail.removeprefix("} ").rstrip(";")
                out += [f"sizeof({name})", f"_Alignof({name})"] + [f"offsetof({name}, {i})" for i in inner]
    return out


def values(cc, folder, exprs, prologue, include):
    """The value of each expression, as the headers named in prologue have it."""
    src, exe = os.path.join(folder, "facts.c"), os.path.join(folder, "facts")
    with open(src, "w", encoding="utf-8") as f:
        f.write(prologue + "#include <stddef.h>\n#include <stdio.h>\nint main(void)\n{\n")
        f.writelines(f'\tprintf("%lld\\n", (long long)({e}));\n' for e in exprs)
        f.write("\treturn 0;\n}\n")
    subprocess.run([*cc, "-w", "-std=gnu11", f"-I{include}", src, "-o", exe], check=True)
    return subprocess.run([exe], check=True, capture_output=True, text=True).stdout.split()


def prototypes(cc, folder, cuda, include, generated):
    """What the compiler says to our prototypes after cuda.h; empty if they agree."""
    src = os.path.join(folder, "protos.c")
    with open(os.path.join(generated, "gen", "cuda_api.h"), encoding="utf-8") as f:
        names = re.findall(r"^CUresult (\w+)\(", f.read(), re.M)
    with open(src, "w", encoding="utf-8") as f:
        f.write("#define __CUDA_API_VERSION_INTERNAL\n#include <cuda.h>\n#include <cudaProfiler.h>\n")
        f.writelines(f"extern __typeof__({n}) {n};\n" for n in names)
        f.write("#define VGPU_CUDA_TYPES_H\n#include <gen/cuda_api.h>\n")
    done = subprocess.run([*cc, "-w", "-std=gnu11", f"-I{cuda}", f"-I{generated}", f"-I{include}", "-fsyntax-only", src],
                          capture_output=True, text=True, check=False)
    return done.stderr if done.returncode else ""


def differences(cc, cuda, include, generated):
    with tempfile.TemporaryDirectory() as folder:
        exprs = facts(include)
        ours = values(cc, folder, exprs, "#include <vgpu/cuda_types.h>\n", include)
        theirs = values(cc, folder, exprs, 
                        "#define __CUDA_API_VERSION_INTERNAL\n#include <cuda.h>\n#include <cudaProfiler.h>\n", cuda)
        out = [f"{e}: ours {a}, cuda.h {b}" for e, a, b in zip(exprs, ours, theirs) if a != b]
        wrong = prototypes(cc, folder, cuda, include, generated)
        return len(exprs), out + ([wrong] if wrong else [])


def spoiled(cc, cuda, include, generated):
    """Names of spoiled copies of our headers that were not noticed: this test can fail."""
    tries = (("include/vgpu/cuda_result.h", "CUDA_ERROR_NOT_READY = 600", "CUDA_ERROR_NOT_READY = 601"),
             ("include/vgpu/cuda_structs.h", "\tunsigned int sharedMemBytes;\n\tCUstream hStream;",
              "\tCUstream hStream;\n\tunsigned int sharedMemBytes;"),
             ("generated/gen/cuda_api.h", "cuMemAlloc_v2(CUdeviceptr *, size_t)", "cuMemAlloc_v2(CUdeviceptr *, int)"))
    out = []
    for name, good, bad in tries:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copytree(os.path.join(include, "vgpu"), os.path.join(folder, "include/vgpu"))
            os.makedirs(os.path.join(folder, "generated/gen"))
            shutil.copy(os.path.join(generated, "gen/cuda_api.h"), os.path.join(folder, "generated/gen"))
            path = os.path.join(folder, name)
            with open(path, encoding="utf-8") as f:
                text = f.read()
            with open(path, "w", encoding="utf-8") as f:
                f.write(text.replace(good, bad))
            changed = good in text
            if not changed or not differences(cc, cuda, os.path.join(folder, "include"),
                                              os.path.join(folder, "generated"))[1]:
                out.append(f"not noticed: {bad!r} in {name}")
    return out


def main():
    include, generated, cc = sys.argv[1], sys.argv[2], sys.argv[3:]
    cuda = toolkit()
    if not cuda:
        print("skipped: no cuda.h in", " ".join(PLACES))
        return 77
    want, have = version(os.path.join(include, "vgpu/cuda_types.h")), version(os.path.join(cuda, "cuda.h"))
    if want != have:
        print(f"skipped: {cuda}/cuda.h is of version {have}, the description of {want}")
        return 77
    count, wrong = differences(cc, cuda, include, generated)
    wrong += spoiled(cc, cuda, include, generated)
    print("\n".join(wrong) or f"{count} facts and all prototypes agree with {cuda}/cuda.h {have}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
