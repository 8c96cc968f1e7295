# SPDX-License-Identifier: MIT
"""The report of ./dev bench: run programs, write a report, compare two, bring docs/PERFORMANCE.md up to date.

Exit status: 0 done; 1 something failed; 2 wrong usage; 3 compared, and something is slower.
"""
import argparse
import json
import sys
from pathlib import Path

import comparison
import docs
import machine
import report
import results
import run


def _fresh(directory):
    """An old report may be replaced; anything else of that name is somebody's."""
    if directory.exists() and not directory.is_dir():
        raise results.Unusable(f"{directory} is not a directory")
    if directory.exists() and any(directory.iterdir()) and not (directory / "about.json").exists():
        raise results.Unusable(f"{directory} is not empty and not a report: name another directory")
    raw = directory / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for old in raw.glob("*.json"):
        old.unlink()
    return raw


def _write_about(directory, about):
    (directory / "about.json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")


def command_run(options):
    out = Path(options.out)
    raw = _fresh(out)
    about = machine.about(options.build, options.revision, options.device)
    about["options"] = options.options
    _write_about(out, about)    # a run that is interrupted leaves what --rewrite needs
    environment = {"LD_LIBRARY_PATH": options.library_path} if options.library_path else {}
    runner = run.Runner(run.Progress(len(options.program)), options.options, environment)
    failures = []
    for program in options.program:
        words = program.rstrip("\t").split("\t")
        failures.append(runner.run(words, raw / (Path(words[0]).name + ".json")))
    about["failures"] = [f for f in failures if f]
    _write_about(out, about)
    found = report.write(out)
    if options.update_docs:
        docs.update_benchmarks(options.update_docs, *found, out / "plots")
    for failure in about["failures"]:
        print(failure, file=sys.stderr)
    return 1 if any("failed" in f for f in about["failures"]) else 0


def command_write(options):
    found = report.write(options.directory)
    if options.update_docs:
        docs.update_benchmarks(options.update_docs, *found, Path(options.directory) / "plots")
    return 0


def command_compare(options):
    return 0 if comparison.compare(options.first, options.second) else 3


def command_gpu(options):
    docs.update_gpu(options.update_docs, options.result)
    return 0


def parse(arguments):
    parser = argparse.ArgumentParser(prog="report", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    p = commands.add_parser("run", help="run programs and write a report")
    p.add_argument("--out", required=True)
    p.add_argument("--build", required=True)
    p.add_argument("--revision", default="unknown")
    p.add_argument("--device", default="auto")
    p.add_argument("--library-path", help="LD_LIBRARY_PATH of the programs")
    p.add_argument("--update-docs", metavar="PAGE")
    p.add_argument("--program", action="append", required=True, help="a program, then its arguments, tabs between them")
    p.add_argument("options", nargs="*", help="for each program")
    p.set_defaults(do=command_run)
    p = commands.add_parser("write", help="write the report of a directory again from its raw results")
    p.add_argument("--update-docs", metavar="PAGE")
    p.add_argument("directory")
    p.set_defaults(do=command_write)
    p = commands.add_parser("compare", help="compare two reports")
    p.add_argument("first")
    p.add_argument("second")
    p.set_defaults(do=command_compare)
    p = commands.add_parser("gpu", help="bring a page up to date with a result of ./dev bench --gpu")
    p.add_argument("--update-docs", metavar="PAGE", required=True)
    p.add_argument("result")
    p.set_defaults(do=command_gpu)
    return parser.parse_args(arguments)


def main(arguments):
    options = parse(arguments)
    try:
        return options.do(options)
    except results.Unusable as e:
        print(f"error: {e}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted; --rewrite makes a report of what was measured", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
