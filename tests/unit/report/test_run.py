# SPDX-License-Identifier: MIT
"""Programs are run and followed: progress by line off a terminal, half a result is thrown away, failures are named."""
import io
import json
import tempfile
import unittest
from pathlib import Path

import run

PROGRAM = """#!/bin/sh
for a; do case $a in
--benchmark_list_tests=true) printf 'a/x\\na/y\\n'; exit ;;
--benchmark_out=*) out=${a#*=} ;;
esac; done
echo 'a/x   1 ns'
printf '%s' '@RESULT@' >"$out"
echo "last words of $MARK" >&2
exit @STATUS@
"""


class Running(unittest.TestCase):
    def setUp(self):
        self.dir = Path(self.enterContext(tempfile.TemporaryDirectory()))
        self.said = io.StringIO()

    def run_one(self, status, result):
        program = self.dir / "bench_a"
        program.write_text(PROGRAM.replace("@RESULT@", result).replace("@STATUS@", str(status)))
        program.chmod(0o755)
        runner = run.Runner(run.Progress(1, self.said), [], {"MARK": "mine"})
        return runner.run([str(program)], self.dir / "out.json")

    def test_success(self):
        self.assertEqual(self.run_one(0, '{"benchmarks": []}'), "")
        self.assertEqual(json.loads((self.dir / "out.json").read_text()), {"benchmarks": []})
        self.assertEqual(self.said.getvalue(), "[1/1] bench_a: 2 benchmarks, 0:00\n[1/1] bench_a: done, 0:00\n")

    def test_failure_with_a_whole_result(self):
        self.assertEqual(self.run_one(1, '{"benchmarks": []}'), "bench_a: failed with status 1: last words of mine")
        self.assertTrue((self.dir / "out.json").exists())

    def test_failure_with_half_a_result(self):
        self.run_one(3, '{"benchmarks": [')
        self.assertFalse((self.dir / "out.json").exists())

    def test_skipped(self):
        self.assertTrue(self.run_one(77, "").startswith("bench_a: skipped"))


class OnATerminal(unittest.TestCase):
    def test_one_line_that_changes(self):
        out = io.StringIO()
        out.isatty = lambda: True
        progress = run.Progress(1, out)
        progress.program_begins("bench_a", 1)
        progress.benchmark_done("a/x")
        progress.program_done("done")
        self.assertEqual(out.getvalue().count("\n"), 1)
        self.assertIn("1 of 1, a/x", out.getvalue())


if __name__ == "__main__":
    unittest.main()
