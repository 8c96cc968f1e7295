# SPDX-License-Identifier: MIT
"""python3 -m apigen --out DIR FILE.api...: writes the generated code into DIR, or with --only the files named;
a mistake in a description is one line "file:line: error: ...", and status 1."""

import argparse
import os
import sys

from . import (check, emit_api, emit_coverage, emit_driver, emit_names, emit_proc, emit_shim, emit_unsupported,
               emit_wire, emit_worker, model, parse)

FILES = {
    "cuda_api.h": emit_api.cuda_api_h,
    "cuda_names.h": emit_api.cuda_names_h,
    "shim_exports.map": emit_api.shim_exports_map,
    "wire.h": emit_wire.wire_h,
    "driver_table.h": emit_driver.driver_table_h,
    "driver_table.c": emit_driver.driver_table_c,
    "shim_calls.c": emit_shim.shim_calls_c,
    "shim_hand.h": emit_shim.shim_hand_h,
    "shim_unsupported.c": emit_unsupported.shim_unsupported_c,
    "proc_table.h": emit_proc.proc_table_h,
    "proc_table.c": emit_proc.proc_table_c,
    "worker_dispatch.c": emit_worker.worker_dispatch_c,
    "worker_hand.h": emit_worker.worker_hand_h,
    "op_names.h": emit_names.op_names_h,
    "op_names.c": emit_names.op_names_c,
    "errors.h": emit_names.errors_h,
    "errors.c": emit_names.errors_c,
    "api.dict": emit_names.api_dict,
    "coverage.md": emit_coverage.coverage_md,
}


def load(paths):
    api = model.Api()
    for path in paths:
        with open(path, encoding="utf-8") as f:
            parse.parse(path, f.read(), api)
    check.check(api)
    return api


def main():
    ap = argparse.ArgumentParser(prog="apigen", description=__doc__)
    ap.add_argument("--out", required=True, help="folder for the generated files")
    ap.add_argument("--only", choices=sorted(FILES), action="append", help="write only this file")
    ap.add_argument("files", nargs="+", metavar="FILE.api")
    opts = ap.parse_args()
    try:
        api = load(opts.files)
        for name in opts.only or (n for n in FILES if n != "coverage.md"):
            text = FILES[name](api)
            with open(os.path.join(opts.out, name), "w", encoding="utf-8") as f:
                f.write(text)
    except (model.ApiError, OSError) as err:
        print(err, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
