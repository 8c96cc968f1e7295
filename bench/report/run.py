# SPDX-License-Identifier: MIT
"""Runs benchmark programs one after another, and says how far they are.

On a terminal that is one line that changes; elsewhere a line when a program begins and one when it has ended.
"""
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from results import Unusable, load_json

LIMIT = 3600        # seconds for one program
SKIPPED = 77


class Progress:
    """Where we are. Writes to `out` (stderr)."""

    def __init__(self, programs, out=sys.stderr):
        self.out, self.total = out, programs
        self.live = out.isatty()
        self.began = time.monotonic()
        self.index = self.done = self.of = 0
        self.program = ""

    def _elapsed(self):
        minutes, seconds = divmod(int(time.monotonic() - self.began), 60)
        return f"{minutes}:{seconds:02d}"

    def _show(self, text, end):
        lead = "\r\033[K" if self.live else ""
        print(f"{lead}[{self.index}/{self.total}] {self.program}: {text}, {self._elapsed()}", end=end, file=self.out,
              flush=True)

    def program_begins(self, program, benchmarks):
        self.index, self.program, self.done, self.of = self.index + 1, program, 0, benchmarks
        self._show(f"{benchmarks} benchmarks", "" if self.live else "\n")

    def benchmark_done(self, name):
        self.done += 1
        if self.live:
            self._show(f"{self.done} of {self.of}, {name}"[:100], "")

    def program_done(self, verdict):
        self._show(verdict, "\n")


def _discard_if_cut(out):
    """A program that died leaves the beginning of a file; one of whose benchmarks failed leaves a whole one."""
    try:
        load_json(out)
    except Unusable:
        Path(out).unlink(missing_ok=True)


class Runner:
    """How programs are run: with which options of Google Benchmark, and what is added to the environment."""

    def __init__(self, progress, options, environment):
        self.progress, self.options = progress, options
        self.environment = {**os.environ, **environment}

    def _names(self, program):
        listing = subprocess.run([*program, *self.options, "--benchmark_list_tests=true"], stdout=subprocess.PIPE,
                                 stderr=subprocess.DEVNULL, env=self.environment, timeout=LIMIT, text=True, check=False)
        return set(listing.stdout.split("\n")) - {""}

    def _follow(self, child, names):
        """Google Benchmark prints a benchmark's lines when its last repetition has ended."""
        for line in child.stdout:
            name = line.split(" ", 1)[0].rstrip("\n")
            if name in names:
                names.discard(name)
                self.progress.benchmark_done(name)
        return child.wait()

    def _measure(self, program, out, names):
        """(exit status, last line of stderr)."""
        with tempfile.TemporaryFile("w+") as errors:
            child = subprocess.Popen([*program, *self.options, f"--benchmark_out={out}", "--benchmark_out_format=json"],
                                     stdout=subprocess.PIPE, stderr=errors, env=self.environment, text=True)
            watchdog = threading.Timer(LIMIT, child.kill)
            watchdog.start()
            try:
                status = self._follow(child, names)
            finally:
                watchdog.cancel()
                child.kill()
                child.communicate()
            errors.seek(0)
            return status, (errors.read().strip().splitlines() or [""])[-1]

    def run(self, program, out):
        """`program` is an argument list. Leaves its JSON at `out`. Returns "" or what went wrong."""
        name = Path(program[0]).name
        names = self._names(program)
        self.progress.program_begins(name, len(names))
        status, said = self._measure(program, out, names)
        if not status:
            self.progress.program_done("done")
            return ""
        _discard_if_cut(out)
        verdict = "skipped" if status == SKIPPED else f"failed with status {status}"
        self.progress.program_done(verdict)
        return f"{name}: {verdict}" + (f": {said}" if said else "")
