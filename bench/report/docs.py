# SPDX-License-Identifier: MIT
"""The sections of docs/PERFORMANCE.md that are measured, not written: between two comments with a name."""
import json
import shutil
from pathlib import Path

import figures
import report
import results
from document import Paragraph, Table, markdown


def replace(text, name, body):
    """`text` with what stands between the comments of section `name` replaced."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    before, found, rest = text.partition(begin)
    _, found_end, after = rest.partition(end)
    if not found or not found_end:
        raise results.Unusable(f"there is no section between '{begin}' and '{end}'")
    return f"{before}{begin}\n{body.strip()}\n{end}{after}"


def _rewrite(page, name, body):
    page = Path(page)
    page.write_text(replace(page.read_text(encoding="utf-8"), name, body), encoding="utf-8")


def update_benchmarks(page, about, benchmarks, plots, plots_from):
    """The section of this machine. Its pictures go into a folder with the name of the page."""
    folder = Path(page).with_suffix("")
    folder = folder.with_name(folder.name.lower())
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for plot in plots:
        shutil.copy(plots_from / f"{plot.stem}.svg", folder)
    _rewrite(page, "benchmarks", markdown(report.blocks(about, benchmarks, plots, 3, folder.name)))


def _side(figure):
    return " ".join([figures.duration(figure["median"] * 1e3),
                     f"({figures.duration(figure['min'] * 1e3)} – {figures.duration(figure['max'] * 1e3)})"])


def gpu_blocks(document):
    """A page of what `./dev bench --gpu` found."""
    m = document["machine"]
    met = {True: "yes", False: "**no**", None: ""}
    rows = [[o["title"], _side(o["native"]), _side(o["mediated"]), f"{o['ratio']:.3f}",
             f"≤ {o['wanted']}" if o.get("wanted") else "", met[o.get("met")]] for o in document["operations"]]
    return [
        Paragraph(f"{document['device']}, driver {document['driver']}, {m['cpus']} × {m['cpu']}, Linux {m['kernel']}, "
                  f"{document['transport']} transport. Revision {document.get('revision', 'not recorded')}, measured "
                  f"{document['date']}; median (least – most) of {document['rounds']} rounds of "
                  f"{document['repetitions']} repetitions on each side, in turns."),
        Table(["operation", "native", "mediated", "ratio", "wanted", "met"], rows),
    ]


def update_gpu(page, result):
    try:
        document = json.loads(Path(result).read_text(encoding="utf-8"))
        body = markdown(gpu_blocks(document))
    except (OSError, ValueError, LookupError, TypeError) as e:
        raise results.Unusable(f"{result} is not a result of ./dev bench --gpu: {e!r}") from e
    _rewrite(page, "gpu", body)
