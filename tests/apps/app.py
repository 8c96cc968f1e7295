# SPDX-License-Identifier: MIT
"""What the programs of this folder share.

A program computes the same thing wherever it runs. It hands over results, of which two runs must agree bit for bit,
and times, which two runs compare; at its end all of it is written as one JSON object into the file that APP_OUT names
(standard output without it). A framework that is not installed skips the program: exit status 77.
"""
import hashlib
import importlib
import json
import os
import statistics
import sys
import time

SKIPPED = 77

_report = {"results": {}, "ms": {}, "wanted": {}}


def need(*names):
    """The modules of these names; without one of them the program is skipped."""
    modules = []
    for name in names:
        try:
            modules.append(importlib.import_module(name))
        except ImportError as error:
            skip(f"no {name}: {error}")
    return modules[0] if len(modules) == 1 else modules


def skip(why):
    print(f"skipped: {why}")
    sys.exit(SKIPPED)


def result(name, value):
    """Something that must be equal in two runs: numbers and texts as they are, anything with bytes by its digest."""
    if hasattr(value, "tobytes"):
        value = f"{value.dtype}{list(value.shape)} {hashlib.sha256(value.tobytes()).hexdigest()}"
    elif isinstance(value, (bytes, bytearray)):
        value = hashlib.sha256(value).hexdigest()
    elif isinstance(value, float):
        value = value.hex()
    _report["results"][name] = value


def check(what, true):
    """What holds in any run; a program that finds it false has failed."""
    if not true:
        sys.exit(f"FAILED: {what}")


def took(name, milliseconds, wanted=None):
    """A time, and the ratio mediated : native that is wanted at most."""
    _report["ms"][name] = milliseconds
    if wanted is not None:
        _report["wanted"][name] = wanted


def timed(name, run, sync, times=20, repetitions=5, wanted=None):
    """Median over repetitions of the time of one run(); sync() waits for the device."""
    for _ in range(3):
        run()
    sync()
    samples = []
    for _ in range(repetitions):
        start = time.perf_counter()
        for _ in range(times):
            run()
        sync()
        samples.append((time.perf_counter() - start) / times * 1e3)
    took(name, statistics.median(samples), wanted)


def finish():
    text = json.dumps(_report, indent=1, sort_keys=True)
    path = os.environ.get("APP_OUT")
    if not path:
        print(text)
        return
    with open(path, "w", encoding="utf-8") as file:
        file.write(text + "\n")
