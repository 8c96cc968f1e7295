# SPDX-License-Identifier: MIT
"""What the real description comes to: the exported names, the answers of cuGetProcAddress, the numbers of commands.

usage: names.py SOURCE_ROOT GENERATED_DIR      UPDATE=1 rewrites tests/data/ops.txt
"""

import os
import re
import sys


def read(*path):
    with open(os.path.join(*path), encoding="utf-8") as f:
        return f.read()


def exports(root, gen):
    """Version script and prototypes hold exactly the names that the native library exports."""
    want = set(read(root, "tests/data/driver-api-symbols.txt").split())
    have = {"shim_exports.map": re.findall(r"^\t(cu\w+);", read(gen, "shim_exports.map"), re.M),
            "cuda_api.h": re.findall(r"^CUresult (cu\w+)\(", read(gen, "cuda_api.h"), re.M)}
    for name, symbols in have.items():
        for s in sorted(want ^ set(symbols)):
            yield f"{name}: {s} is {'missing' if s in want else 'too much'}"
        if len(symbols) != len(set(symbols)):
            yield f"{name}: a name twice"
    if len(want) != 637:
        yield f"driver-api-symbols.txt holds {len(want)} names"


def proc_addresses(root, gen):
    """Each look-up that real runtimes were seen to make finds what the native driver found."""
    table = [(n, int(v), int(t)) for n, v, t in
             re.findall(r'\{ "(\w+)", (\d+), (\d),', read(gen, "proc_table.c"))]
    if table != sorted(table):
        yield "proc_table.c is not sorted"
    rows = [line.split("\t") for line in read(root, "tests/data/proc-addresses.tsv").splitlines()[1:]]
    for name, version, flags, found in rows:
        hits = [t for n, v, t in table if n == name and v <= int(version)]
        ok = 1 in hits if flags == "2" else 0 in hits
        if ok != (found == "yes"):
            yield f"cuGetProcAddress({name}, {version}, {flags}): native found it: {found}"


def ops(root, gen):
    """Numbers of commands are never changed or used again: a new command is a new line in the list."""
    path = os.path.join(root, "tests/data/ops.txt")
    have = "".join(f"0x{int(n, 16):04x} {name}\n" for name, n in
                   re.findall(r"VGPU_OP_(\w+) = (0x\w+),", read(gen, "wire.h")))
    if os.environ.get("UPDATE"):
        with open(path, "w", encoding="utf-8") as f:
            f.write(have)
    for line in sorted(set(have.splitlines()) ^ set(read(path).splitlines())):
        yield f"tests/data/ops.txt: {line} (a new command? run this test with UPDATE=1)"


def main():
    root, gen = sys.argv[1:]
    wrong = [*exports(root, gen), *proc_addresses(root, gen), *ops(root, gen)]
    print("\n".join(wrong) or "names, look-ups and numbers are as they should be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
