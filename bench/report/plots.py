# SPDX-License-Identifier: MIT
"""Pictures of a set of benchmarks, each as PNG and SVG.

Nothing is drawn by the name of a benchmark: whatever has an argument that takes several values is drawn over it, and
whatever reports percentiles is drawn as a distribution. Needs python3-matplotlib.
"""
import re
from dataclasses import dataclass

import matplotlib

matplotlib.use("Agg")
matplotlib.rcParams["svg.hashsalt"] = "vgpu"        # the same figures give the same file
matplotlib.rcParams["svg.fonttype"] = "none"
# pylint: disable=wrong-import-position
from matplotlib import pyplot, ticker  # noqa: E402

import figures  # noqa: E402

KINDS = {           # the figure that is drawn, the first that a benchmark has
    "bytes_per_second": ("throughput", 1, "B/s"),
    "items_per_second": ("throughput", 1, "1/s"),
    "real_time_ns": ("time", 1e9, "s"),
}
SIZES = re.compile(r"bytes|size|argument")


@dataclass
class Plot:
    """A picture that was written, without its suffix."""
    stem: str
    title: str
    noun: str


def _kind(benchmark):
    return next((k for k in KINDS if benchmark.median(k)), None)


def _series_name(benchmark, axis):
    rest = [f"{k} {v}" for k, v in benchmark.arguments.items() if k != axis]
    return ", ".join([benchmark.family.partition("/")[2] or benchmark.family] + rest)


def series(benchmarks):
    """{(noun, axis, kind): {series: [(x, benchmark), ...]}}; only what has two points or more."""
    found = {}
    for b in benchmarks:
        kind = _kind(b)
        for axis, x in b.arguments.items():
            if kind and isinstance(x, int):
                lines = found.setdefault((b.noun, axis, kind), {})
                lines.setdefault(_series_name(b, axis), []).append((x, b))
    kept = {}
    for key, lines in found.items():
        lines = {name: sorted(points, key=lambda p: p[0]) for name, points in lines.items()
                 if len({x for x, _ in points}) > 1}
        if lines:
            kept[key] = lines
    return kept


def _axis_of(pyplot_axes, axis, values):
    wide = min(values) > 0 and max(values) >= 16 * min(values)
    if wide:
        pyplot_axes.set_xscale("log", base=2)
    ticks = sorted(set(values))
    if len(ticks) <= 12:
        pyplot_axes.set_xticks(ticks, [figures.size(v) if SIZES.match(axis) and wide else f"{v:,}" for v in ticks],
                               rotation=30 if wide else 0)
        pyplot_axes.minorticks_off()
    pyplot_axes.set_xlabel(axis)


def _save(figure, folder, stem):
    for suffix in ("png", "svg"):
        metadata = {"Date": None} if suffix == "svg" else {"Software": None}
        figure.savefig(folder / f"{stem}.{suffix}", dpi=110, bbox_inches="tight", metadata=metadata)
    pyplot.close(figure)


def _slug(*words):
    return re.sub(r"[^a-z0-9]+", "-", " ".join(words).lower()).strip("-")


def _draw_lines(key, lines, folder):
    noun, axis, kind = key
    what, scale, unit = KINDS[kind]
    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    everything = []
    for name, points in lines.items():
        xs = [x for x, _ in points]
        spread = [b.spread(kind) for _, b in points]
        line, = axes.plot(xs, [b.median(kind) / scale for _, b in points], marker="o", markersize=4, label=name)
        axes.fill_between(xs, [low / scale for low, _ in spread], [high / scale for _, high in spread], alpha=0.2,
                          color=line.get_color(), linewidth=0)
        everything += [b.median(kind) for _, b in points]
    _axis_of(axes, axis, [x for points in lines.values() for x, _ in points])
    if max(everything) >= 20 * min(everything):
        axes.set_yscale("log")
    else:
        axes.set_ylim(bottom=0)
    axes.yaxis.set_major_formatter(ticker.EngFormatter(unit=unit))
    title = f"{noun}: {what} over {axis}"
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    stem = _slug(noun, axis, kind.partition("_")[0])
    _save(figure, folder, stem)
    return Plot(stem, title, noun)


def _draw_latencies(noun, benchmarks, folder):
    figure, axes = pyplot.subplots(figsize=(8, 0.8 + 0.32 * len(benchmarks)))
    marks = {}
    for row, b in enumerate(benchmarks):
        points = [(percent, b.median(name) * (1e3 if name.endswith("_us") else 1) / 1e3)
                  for percent, name in b.percentiles().items()]
        axes.plot([points[0][1], points[-1][1]], [row, row], color="0.8", zorder=1)
        for percent, value in points:
            marks.setdefault(percent, []).append((value, row))
    for percent, points in marks.items():
        axes.scatter([v for v, _ in points], [r for _, r in points], s=24, label=f"p{percent:g}", zorder=2)
    axes.set_yticks(range(len(benchmarks)), [b.name.partition("/")[2] for b in benchmarks], fontsize=8)
    axes.invert_yaxis()
    axes.set_xscale("log")
    title = f"{noun}: latency"
    axes.set(title=title, xlabel="µs")
    axes.grid(alpha=0.3, axis="x")
    axes.legend(fontsize=8, loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    stem = _slug(noun, "latency")
    _save(figure, folder, stem)
    return Plot(stem, title, noun)


def draw(benchmarks, folder):
    """Write every picture into `folder`; a list of Plots."""
    folder.mkdir(parents=True, exist_ok=True)
    plots = [_draw_lines(key, lines, folder) for key, lines in series(benchmarks).items()]
    latencies = {}
    for b in benchmarks:
        if b.percentiles():
            latencies.setdefault(b.noun, []).append(b)
    return plots + [_draw_latencies(noun, found, folder) for noun, found in latencies.items()]
