# SPDX-License-Identifier: MIT
"""Results of Google Benchmark: JSON files in, benchmarks with all their repetitions out.

A benchmark is called NOUN/WHAT and then by its arguments: KEY:VALUE, or a bare number, whose key is "argument".
What Google Benchmark appends by itself (real_time, repeats:9) says how it was run, not what was measured.
"""
import json
import re
import statistics
from dataclasses import dataclass, field
from pathlib import Path

NS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}
HOW = re.compile(r"real_time|manual_time|process_time|(repeats|iterations|min_time|min_warmup_time):[0-9.]+")
# Keys of a run that are not figures.
BOOKKEEPING = {
    "name", "run_name", "run_type", "family_index", "per_family_instance_index", "repetitions", "repetition_index",
    "threads", "iterations", "real_time", "cpu_time", "time_unit", "label", "error_occurred", "error_message",
}
PERCENTILE = re.compile(r"p(50|9+(?:\.9+)?)(?:_(?:ns|us))?")


class Unusable(Exception):
    """A file or directory that is not what it should be; the text says which and why."""


@dataclass
class Benchmark:
    """One benchmark: where it came from, and for each figure one value of each repetition."""
    name: str
    program: str
    family: str
    arguments: dict
    figures: dict = field(default_factory=dict)
    error: str = ""

    @property
    def noun(self):
        return self.family.split("/")[0]

    def median(self, figure):
        """None if the figure was not measured."""
        values = self.figures.get(figure)
        return statistics.median(values) if values else None

    def spread(self, figure):
        values = self.figures[figure]
        return min(values), max(values)

    @property
    def repetitions(self):
        return len(self.figures.get("real_time_ns", []))

    def percentiles(self):
        """{50.0: figure name, ...} of the latencies that this benchmark reports."""
        found = {}
        for figure in self.figures:
            match = PERCENTILE.fullmatch(figure)
            if match:
                found[_percent(match.group(1))] = figure
        return dict(sorted(found.items()))


def _percent(digits):
    """p999 is 99.9."""
    if "." in digits or len(digits) <= 2:
        return float(digits)
    return float(digits[:2] + "." + digits[2:])


def _number(text):
    try:
        return int(text)
    except ValueError:
        return text


def parse_name(name):
    """(family, arguments, name without what Google Benchmark appends)."""
    parts = [p for p in name.split("/") if not HOW.fullmatch(p)]
    family, arguments = [], {}
    for part in parts:
        key, colon, value = part.partition(":")
        if colon:
            arguments[key] = _number(value)
        elif family and re.fullmatch(r"-?\d+", part):
            arguments["argument" + (str(len(arguments) + 1) if "argument" in arguments else "")] = int(part)
        else:
            family.append(part)
    return "/".join(family), arguments, "/".join(parts)


def load_json(path):
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as e:
        raise Unusable(f"{path}: {e.strerror}") from e
    except ValueError as e:
        raise Unusable(f"{path} is not JSON: {e}") from e
    if not isinstance(document, dict) or not isinstance(document.get("benchmarks"), list):
        raise Unusable(f"{path} is not a result of Google Benchmark: it has no list 'benchmarks'")
    return document


def merge(raw):
    """All documents of a folder as one of the same form; each run says which program it came from."""
    files = sorted(Path(raw).glob("*.json"))
    if not files:
        raise Unusable(f"{raw} holds no results")
    merged = {"context": {}, "benchmarks": []}
    for file in files:
        document = load_json(file)
        for key, value in document.get("context", {}).items():
            if key not in ("executable", "load_avg", "date"):
                merged["context"][key] = value
        for run in document["benchmarks"]:
            merged["benchmarks"].append({**run, "program": file.stem})
    return merged


def _add_run(benchmark, run):
    if run.get("error_occurred"):
        benchmark.error = run.get("error_message", "failed")
        return
    scale = NS[run.get("time_unit", "ns")]
    values = {"real_time_ns": run["real_time"] * scale, "cpu_time_ns": run["cpu_time"] * scale}
    values.update((k, v) for k, v in run.items()
                  if k not in BOOKKEEPING and isinstance(v, (int, float)) and not isinstance(v, bool))
    for figure, value in values.items():
        benchmark.figures.setdefault(figure, []).append(value)


def benchmarks(document):
    """The benchmarks of a merged document, in its order. Aggregates are computed again where they are needed."""
    found = {}
    for run in document["benchmarks"]:
        if run.get("run_type", "iteration") != "iteration":
            continue
        family, arguments, name = parse_name(run["name"])
        key = run.get("program", ""), name
        if key not in found:
            found[key] = Benchmark(name, key[0], family, arguments)
        _add_run(found[key], run)
    return list(found.values())
