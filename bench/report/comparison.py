# SPDX-License-Identifier: MIT
"""Two report directories against each other.

Google Benchmark's own compare.py (libbenchmark-tools) pairs the benchmarks and does a two-tailed Mann-Whitney U test on
their repetitions; what is said here is its p-value and the ratio of the medians.
"""
import json
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import figures
import machine
import report
import results

COMPARE = Path("/usr/share/benchmark/compare.py")
ENOUGH = 9          # repetitions from which on the test means something, as compare.py says
ALPHA = 0.01        # p-values below are a difference
MATTERS = 0.05      # and smaller differences than this share are not worth a word


def load(directory):
    """(about, merged file) of a directory that holds a report."""
    directory = Path(directory)
    if not directory.is_dir():
        raise results.Unusable(f"{directory} is not a directory")
    merged = directory / "benchmarks.json"
    if not merged.is_file():
        raise results.Unusable(f"{directory} is not a report: it has no benchmarks.json (./dev bench --report makes one)")
    results.load_json(merged)
    return report.load_about(directory), merged


def _compare(a, b):
    """What compare.py says, as JSON."""
    if not COMPARE.exists():
        raise results.Unusable(f"there is no {COMPARE}: install libbenchmark-tools")
    with tempfile.NamedTemporaryFile(suffix=".json") as dump:
        done = subprocess.run([sys.executable, str(COMPARE), "--no-color", f"--alpha={ALPHA}", "-d", dump.name,
                               "benchmarks", str(a), str(b)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise results.Unusable("compare.py: " + (done.stderr.strip().splitlines() or ["failed"])[-1])
        return json.loads(Path(dump.name).read_text(encoding="utf-8"))


def judge(entry):
    """(name, medians of both in ns, ratio, p, verdict) of one benchmark of compare.py's answer."""
    scale = results.NS[entry["time_unit"]]
    before = statistics.median(m["real_time"] for m in entry["measurements"]) * scale
    after = statistics.median(m["real_time_other"] for m in entry["measurements"]) * scale
    p = entry.get("utest", {}).get("time_pvalue")
    ratio = after / before if before else 1.0
    verdict = ""
    if p is not None and p < ALPHA and abs(ratio - 1) > MATTERS:
        verdict = "slower" if ratio > 1 else "faster"
    return results.parse_name(entry["name"])[2], before, after, ratio, p, verdict


def notes(about_a, about_b, entries):
    """What makes the comparison weaker than it looks."""
    said = []
    if machine.one_line(about_a) != machine.one_line(about_b):
        said.append("the machines differ:\n  " + machine.one_line(about_a) + "\n  " + machine.one_line(about_b))
    if about_a["flags"] != about_b["flags"]:
        said.append("they were built with different flags")
    if about_a["device"] != about_b["device"]:
        said.append(f"the devices differ: {about_a['device']}, {about_b['device']}")
    fewest = min((len(e["measurements"]) for e in entries), default=0)
    if fewest < ENOUGH:
        said.append(f"some benchmarks have {fewest} repetitions; the test needs {ENOUGH} to mean something")
    return said


def compare(first, second, out=sys.stdout):
    """Print the comparison. True if nothing is slower."""
    (about_a, a), (about_b, b) = load(first), load(second)
    entries = [e for e in _compare(a, b) if e.get("run_type") == "iteration" and e["measurements"]]
    if not entries:
        raise results.Unusable(f"{first} and {second} have no benchmark in common")
    order = [x.name for x in results.benchmarks(results.load_json(a))]
    judged = sorted((judge(e) for e in entries), key=lambda j: order.index(j[0]))
    print(f"A: {first}, revision {about_a['revision']}\nB: {second}, revision {about_b['revision']}\n", file=out)
    width = max(len(j[0]) for j in judged)
    print(f"{'benchmark':{width}} {'A':>10} {'B':>10} {'B/A':>7} {'p':>7}", file=out)
    for name, before, after, ratio, p, verdict in judged:
        print(f"{name:{width}} {figures.duration(before):>10} {figures.duration(after):>10} {ratio:7.3f} "
              f"{'-' if p is None else format(p, '.4f'):>7} {verdict}".rstrip(), file=out)
    count = {v: sum(j[5] == v for j in judged) for v in ("faster", "slower", "")}
    print(f"\n{len(judged)} benchmarks: {count['faster']} faster, {count['slower']} slower, {count['']} the same (median of "
          f"real time, more than {MATTERS:.0%} apart, Mann-Whitney U with p < {ALPHA}; about {ALPHA * len(judged):.1f} "
          "differ by chance)", file=out)
    for note in notes(about_a, about_b, entries):
        print("note: " + note, file=out)
    return not count["slower"]
