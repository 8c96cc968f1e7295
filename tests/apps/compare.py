# SPDX-License-Identifier: MIT
"""compare.py NATIVE MEDIATED: two reports of one program (app.py). Prints the times side by side.

Exit status: 0 if all results are equal, 1 if not; times never fail, they are marked.
"""
import json
import sys


def load(path):
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError) as error:
        sys.exit(f"{path}: no report: {error}")


def different(native, mediated):
    """Names of results that are not the same on both sides."""
    return sorted(name for name in native.keys() | mediated.keys()
                  if name not in native or name not in mediated or native[name] != mediated[name])


def times(native, mediated):
    for name, base in native["ms"].items():
        if name not in mediated["ms"]:
            continue
        ratio = mediated["ms"][name] / base
        wanted = native["wanted"].get(name)
        verdict = "" if wanted is None else f"  wanted {wanted:.2f}  {'met' if ratio <= wanted else 'MISSED'}"
        yield f"    {name:<34} {base:>11.4f} ms {mediated['ms'][name]:>11.4f} ms  {ratio:6.3f}{verdict}"


def main():
    if len(sys.argv) != 3:
        print("usage: compare.py NATIVE MEDIATED", file=sys.stderr)
        return 2
    native, mediated = load(sys.argv[1]), load(sys.argv[2])
    for line in times(native, mediated):
        print(line)
    names = different(native["results"], mediated["results"])
    for name in names:
        print(f"    DIFFERENT: {name}: native {native['results'].get(name)}, mediated {mediated['results'].get(name)}")
    return 1 if names else 0


if __name__ == "__main__":
    sys.exit(main())
