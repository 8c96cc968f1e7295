# SPDX-License-Identifier: MIT
"""The figures that this project wants to reach without a GPU, and how each follows from the benchmarks.

Benchmarks are found by their name without what Google Benchmark appends. One that was not run is "not measured": the
table is complete all the same.
"""
import re
from dataclasses import dataclass

import figures


@dataclass
class Wanted:
    """A bound for a figure of one benchmark or, if `over` is given, for its ratio to the same figure of another."""
    text: str
    bound: str          # "≥ 2000000": a comparison and a number; "": none, for information
    benchmark: str      # regular expression for the whole name; the first match counts
    figure: str
    over: str = ""
    greatest: bool = False      # of all repetitions, instead of the median: the later ones find memory that is there already


WANTED = [
    Wanted("no-op commands executed in a second, one ring", "≥ 2000000", r"path/noop_throughput(/.*)?", "items_per_second"),
    Wanted("cost of a command to its caller", "≤ 100", r"path/noop_caller(/.*)?", "real_time_ns"),
    Wanted("doorbells for each thousand commands in a saturated stream", "≤ 2", r"path/noop_throughput(/.*)?",
           "doorbells_per_1000"),
    Wanted("calls a second, ring mode over register mode", "≥ 50", r"register/ring(/.*)?", "items_per_second",
           r"register/register(/.*)?"),
    Wanted("throughput of 8 sessions together, of one session's", "≥ 0.9", r"sessions/throughput/.*threads:8",
           "items_per_second", r"sessions/throughput/.*threads:1"),
    Wanted("memory of the supervisor for each idle session, KiB", "≤ 16", r"supervisor/memory(/.*)?", "kib_each",
           greatest=True),
    Wanted("processor time of the supervisor with 1,000 idle sessions, µs a second", "≤ 100",
           r"supervisor/processor/idle:1000", "cpu_us_a_second"),
    Wanted("a round trip beside 1,000 idle sessions, over one beside 1", "", r"supervisor/round_trip/idle:1000",
           "real_time_ns", r"supervisor/round_trip/idle:1"),
    Wanted("a launch with 1,000,000 live allocations, over one with 10", "", r"growth/launch/allocations:1000000", "p50_ns",
           r"growth/launch/allocations:10"),
    Wanted("cuMemAlloc and cuMemFree with 1,000,000 live allocations, over 10", "",
           r"growth/mem_alloc_free_1M/allocations:1000000", "p50_ns", r"growth/mem_alloc_free_1M/allocations:10"),
    Wanted("loading a module of 300 MiB that another process has sent, over one that none has", "≤ 0.5",
           r"code/known/kib:307200(/.*)?", "real_time_ns", r"code/first/kib:307200(/.*)?"),
    Wanted("pageable host to device, 128 MiB, of memcpy's speed", "≥ 0.6", r"copy/pageable_h2d/bytes:134217728",
           "bytes_per_second", r"copy/memcpy/bytes:134217728"),
]


def _find(benchmarks, pattern, figure):
    return next((b for b in benchmarks if re.fullmatch(pattern, b.name) and b.median(figure) is not None), None)


def _verdict(value, bound):
    if not bound:
        return ""
    comparison, limit = bound.split()
    return "yes" if (value >= float(limit) if comparison == "≥" else value <= float(limit)) else "**no**"


def _bound_text(wanted):
    if not wanted.bound:
        return ""
    comparison, limit = wanted.bound.split()
    return f"{comparison} {limit if wanted.over else figures.figure(wanted.figure, float(limit))}"


def row(wanted, benchmarks):
    """[text, wanted, measured, met, benchmark] for a table."""
    found = _find(benchmarks, wanted.benchmark, wanted.figure)
    other = _find(benchmarks, wanted.over, wanted.figure) if wanted.over else None
    if not found or (wanted.over and not other):
        return [wanted.text, _bound_text(wanted), "not measured", "", ""]
    value = found.spread(wanted.figure)[1] if wanted.greatest else found.median(wanted.figure)
    names = f"`{found.name}`"
    measured = figures.figure(wanted.figure, value)
    if other:
        base = other.median(wanted.figure)
        measured = f"{figures.digits(value / base)} ({measured} against {figures.figure(wanted.figure, base)})"
        value, names = value / base, f"{names}, `{other.name}`"
    return [wanted.text, _bound_text(wanted), measured, _verdict(value, wanted.bound), names]


def rows(benchmarks):
    return [row(w, benchmarks) for w in WANTED]
