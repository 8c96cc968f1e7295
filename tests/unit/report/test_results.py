# SPDX-License-Identifier: MIT
"""Results of Google Benchmark are read as they are: names, units, repetitions, errors, figures; what is no result is refused."""
import json
import tempfile
import unittest
from pathlib import Path

import figures
import results
import wanted


def entry(name, time, **more):
    return {"name": name, "run_name": name, "run_type": "iteration", "repetitions": 2, "repetition_index": 0, "threads": 1,
            "iterations": 10, "real_time": time, "cpu_time": time, "time_unit": "ns", **more}


class Names(unittest.TestCase):
    def test_arguments_have_keys(self):
        self.assertEqual(results.parse_name("copy/h2d/bytes:4096/real_time/threads:2"),
                         ("copy/h2d", {"bytes": 4096, "threads": 2}, "copy/h2d/bytes:4096/threads:2"))

    def test_bare_numbers(self):
        self.assertEqual(results.parse_name("ranges/find/10/real_time"), ("ranges/find", {"argument": 10}, "ranges/find/10"))

    def test_how_it_was_run_is_no_argument(self):
        self.assertEqual(results.parse_name("copy/memcpy/64/iterations:100/repeats:9/manual_time")[2], "copy/memcpy/64")

    def test_a_word_is_a_value(self):
        self.assertEqual(results.parse_name("socket/messages/with:epoll")[1], {"with": "epoll"})


class Files(unittest.TestCase):
    def setUp(self):
        self.dir = Path(self.enterContext(tempfile.TemporaryDirectory()))

    def test_refuses_what_is_no_result(self):
        for text in ("", "{", "[]", "{}", '{"benchmarks": 3}'):
            (self.dir / "x.json").write_text(text)
            with self.assertRaises(results.Unusable, msg=text):
                results.load_json(self.dir / "x.json")
        with self.assertRaises(results.Unusable):
            results.load_json(self.dir / "none.json")
        with self.assertRaises(results.Unusable):
            results.merge(self.dir / "none")

    def test_merges_programs(self):
        for program in "ab":
            document = {"context": {"num_cpus": 2, "executable": program}, "benchmarks": [entry(program + "/x", 1.0)]}
            (self.dir / f"bench_{program}.json").write_text(json.dumps(document))
        merged = results.merge(self.dir)
        self.assertEqual(merged["context"], {"num_cpus": 2})
        self.assertEqual([b.program for b in results.benchmarks(merged)], ["bench_a", "bench_b"])


class Benchmarks(unittest.TestCase):
    def test_repetitions_and_units(self):
        runs = [entry("a/b", t, time_unit="us", p50_ns=7.0, p999_ns=9.0, doorbells=t) for t in (3.0, 1.0, 2.0)]
        runs.append({**entry("a/b_median", 2.0), "run_type": "aggregate"})
        b, = results.benchmarks({"benchmarks": runs})
        self.assertEqual((b.repetitions, b.median("real_time_ns"), b.spread("real_time_ns")), (3, 2000.0, (1000.0, 3000.0)))
        self.assertEqual(b.percentiles(), {50.0: "p50_ns", 99.9: "p999_ns"})
        self.assertEqual(b.median("doorbells"), 2.0)

    def test_an_error_is_kept(self):
        b, = results.benchmarks({"benchmarks": [entry("a/b", 0, error_occurred=True, error_message="no device")]})
        self.assertEqual((b.error, b.repetitions, b.median("real_time_ns")), ("no device", 0, None))


class Wanted(unittest.TestCase):
    def rows(self, *runs):
        found = results.benchmarks({"benchmarks": list(runs)})
        return [wanted.row(w, found) for w in (
            wanted.Wanted("rate", "≥ 100", "a/x", "items_per_second"),
            wanted.Wanted("ratio", "≤ 0.5", r"b/x/n:\d+", "real_time_ns", "b/base"))]

    def test_not_measured(self):
        self.assertEqual([r[2] for r in self.rows(entry("b/base", 3.0))], ["not measured"] * 2)

    def test_met_and_missed(self):
        rows = self.rows(entry("a/x", 1.0, items_per_second=100.0), entry("b/x/n:2", 3.0), entry("b/base", 4.0))
        self.assertEqual([r[3] for r in rows], ["yes", "**no**"])
        self.assertTrue(rows[1][2].startswith("0.75 "))


class Figures(unittest.TestCase):
    def test_units(self):
        self.assertEqual(figures.figure("items_per_second", 12.34e6), "12.3 M/s")
        self.assertEqual(figures.figure("bytes_per_second", 999.9e6), "1 GB/s")
        self.assertEqual([figures.duration(n) for n in (0, 1.234, 1500, 2e6, 3e9)],
                         ["0 ns", "1.23 ns", "1.5 µs", "2 ms", "3 s"])
        self.assertEqual([figures.size(n) for n in (8, 65536, 3 << 20, 1 << 30)], ["8 B", "64 KiB", "3 MiB", "1 GiB"])


if __name__ == "__main__":
    unittest.main()
