# SPDX-License-Identifier: MIT
"""Reports of one program (app.py), natively and mediated: results must be equal, times are shown side by side.

With several reports of a side a time is the median, with least and most. Exit status: 0 if all results are equal, 1 if
not, 2 wrong usage; times never fail, they are marked.
"""
import argparse
import json
import statistics
import sys


def load(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        sys.exit(f"{path}: no report: {error}")


def different(first, reports):
    """Names of results that are not the same in all reports, with what the first and another one say."""
    for report in reports:
        ours, theirs = first["results"], report["results"]
        for name in sorted(ours.keys() | theirs.keys()):
            if name not in ours or name not in theirs or ours[name] != theirs[name]:
                yield name, ours.get(name), theirs.get(name)


def spread(values):
    middle = f"{statistics.median(values):.4g}"
    return middle if len(values) == 1 else f"{middle} ({min(values):.4g}-{max(values):.4g})"


def times(native, mediated):
    """For each time that both sides have: name, native, mediated, ratio of the medians, what is wanted or None."""
    for name in native[0]["ms"]:
        base, ours = ([report["ms"][name] for report in side if name in report["ms"]] for side in (native, mediated))
        if base and ours:
            ratio = statistics.median(ours) / statistics.median(base)
            yield name, spread(base), spread(ours), ratio, native[0]["wanted"].get(name)


def text_row(name, base, ours, ratio, wanted):
    verdict = "" if wanted is None else f"  wanted {wanted:.2f}  {'met' if ratio <= wanted else 'MISSED'}"
    return f"    {name:<30} {base:>24} ms {ours:>24} ms  {ratio:6.3f}{verdict}"


def markdown_row(name, base, ours, ratio, wanted):
    return f"| {name} | {base} | {ours} | {ratio:.3f} | {'' if wanted is None else f'≤ {wanted:g}'} |"


def main():
    parser = argparse.ArgumentParser(prog="compare.py", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--native", nargs="+", required=True, metavar="REPORT")
    parser.add_argument("--mediated", nargs="+", required=True, metavar="REPORT")
    parser.add_argument("--markdown", action="store_true", help="rows for docs/PERFORMANCE.md")
    arguments = parser.parse_args()
    native, mediated = ([load(path) for path in side] for side in (arguments.native, arguments.mediated))
    for row in times(native, mediated):
        print((markdown_row if arguments.markdown else text_row)(*row))
    failed = False
    for name, ours, theirs in different(native[0], native[1:] + mediated):
        print(f"    DIFFERENT: {name}: native {ours}, another run {theirs}")
        failed = True
    return failed


if __name__ == "__main__":
    sys.exit(main())
