# SPDX-License-Identifier: MIT
"""A report directory: what lies in it, and how its pages come from the raw results.

    raw/NAME.json       what each program wrote, and about.json: machine, build, revision
    benchmarks.json     all of it in one file of the same form; what --compare reads
    benchmarks.csv      a line for each benchmark
    samples.csv         a line for each repetition and figure
    plots/              PNG and SVG
    report.md, report.html
"""
import csv
import json
import sys
from pathlib import Path

import figures
import machine
import results
import wanted
from document import Heading, Paragraph, Picture, Table, html, markdown

SHOWN_ELSEWHERE = {"real_time_ns", "cpu_time_ns", "items_per_second", "bytes_per_second"}


def load_about(directory):
    try:
        return json.loads((directory / "about.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise results.Unusable(f"{directory} is not a report: it has no readable about.json") from e


def write_csv(benchmarks, directory):
    names = sorted({figure for b in benchmarks for figure in b.figures})
    with open(directory / "benchmarks.csv", "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["benchmark", "program", "repetitions", "real_time_ns_min", "real_time_ns_max"] + names)
        for b in benchmarks:
            low, high = b.spread("real_time_ns") if b.repetitions else ("", "")
            medians = [b.median(name) for name in names]
            out.writerow([b.name, b.program, b.repetitions, low, high] + ["" if m is None else m for m in medians])
    with open(directory / "samples.csv", "w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(["benchmark", "repetition", "figure", "value"])
        for b in benchmarks:
            for figure, values in b.figures.items():
                out.writerows([b.name, i, figure, value] for i, value in enumerate(values))


def table(benchmarks):
    """One noun's benchmarks for people."""
    rows = []
    for b in benchmarks:
        if not b.repetitions:
            rows.append([f"`{b.name}`", b.error or "no result", "", ""])
            continue
        low, high = b.spread("real_time_ns")
        rates = [figures.figure(r, b.median(r)) for r in ("items_per_second", "bytes_per_second") if b.median(r)]
        others = [f"{name} {figures.figure(name, b.median(name))}" for name in b.figures if name not in SHOWN_ELSEWHERE]
        rows.append([f"`{b.name}`", f"{figures.duration(b.median('real_time_ns'))} ({figures.duration(low)} – "
                     f"{figures.duration(high)})", ", ".join(rates), ", ".join(others)])
    return Table(["benchmark", "time, median (least – most)", "rate", "other figures"], rows)


def by_noun(benchmarks):
    found = {}
    for b in benchmarks:
        found.setdefault(b.noun, []).append(b)
    return found


def how_measured(about, benchmarks):
    most = max((b.repetitions for b in benchmarks), default=0)
    flags = ", ".join(f"{k}={v}" for k, v in about["flags"].items() if v not in ("", [], "none"))
    m = about["machine"]
    busy = [Paragraph(f"**The machine was busy** (load {m['load_before']:.1f} on {m['cpus']} CPUs): these figures say what works, "
                      "not how fast it is.")] if m["load_before"] > m["cpus"] / 2 else []
    return [
        Paragraph(f"{machine.one_line(about)}; {about['device']} device, unix transport."),
        Paragraph(f"Revision {about['revision']}, measured {about['date']}, {most} repetitions, load before "
                  f"{about['machine']['load_before']:.2f}. {about['compiler']}; {flags}."),
    ] + busy


def blocks(about, benchmarks, plots, level, plots_at):
    """The body of a report. `level`: of its headings; `plots_at`: where the pictures lie as seen from the page."""
    page = how_measured(about, benchmarks)
    page += [Heading(level, "Wanted and measured"),
             Table(["what", "wanted", "measured", "met", "benchmark"], wanted.rows(benchmarks))]
    for noun, found in by_noun(benchmarks).items():
        page.append(Heading(level, noun))
        page += [Picture(f"{plots_at}/{p.stem}.svg", p.title) for p in plots if p.noun == noun]
        page.append(table(found))
    for failure in about.get("failures", []):
        page.append(Paragraph(f"Note: {failure}"))
    return page


def draw(benchmarks, folder):
    """The pictures; none on a machine without matplotlib, which says so."""
    try:
        import plots as drawing     # pylint: disable=import-outside-toplevel
    except ImportError as e:
        print(f"no pictures: {e}; ./dev bench --rewrite makes them on a machine with the packages of packages-report.txt",
              file=sys.stderr)
        return []
    return drawing.draw(benchmarks, folder)


def write(directory):
    """Everything in the directory anew from raw/ and about.json. The benchmarks and the plots."""
    directory = Path(directory)
    about = load_about(directory)
    merged = results.merge(directory / "raw")
    merged["context"]["vgpu"] = about
    (directory / "benchmarks.json").write_text(json.dumps(merged, indent=1) + "\n", encoding="utf-8")
    benchmarks = results.benchmarks(merged)
    write_csv(benchmarks, directory)
    plots = draw(benchmarks, directory / "plots")
    page = [Heading(1, "Benchmarks")] + blocks(about, benchmarks, plots, 2, "plots")
    (directory / "report.md").write_text(markdown(page), encoding="utf-8")
    (directory / "report.html").write_text(html("Benchmarks", page), encoding="utf-8")
    return about, benchmarks, plots
