# SPDX-License-Identifier: MIT
"""Two reports: what counts as a difference, what weakens a comparison, and what is refused."""
import json
import tempfile
import unittest
from pathlib import Path

import comparison
import results

ABOUT = {"revision": "1", "flags": {}, "device": "soft",
         "machine": {"hypervisor": False, "cpus": 2, "cpu": "a CPU", "memory_mib": 1024, "system": "Debian", "kernel": "6"},
         "gpus": []}


def entry(before, after, p, unit="us"):
    return {"name": "a/b/real_time", "time_unit": unit, "run_type": "iteration", "utest": {"time_pvalue": p},
            "measurements": [{"real_time": before, "real_time_other": after}] * 9}


class Verdicts(unittest.TestCase):
    def test_both_size_and_confidence_count(self):
        for after, p, verdict in ((2.0, 0.001, "slower"), (0.5, 0.001, "faster"), (2.0, 0.2, ""), (1.01, 0.001, ""),
                                  (2.0, None, "")):
            self.assertEqual(comparison.judge(entry(1.0, after, p))[5], verdict)

    def test_units_and_name(self):
        self.assertEqual(comparison.judge(entry(1.0, 2.0, 0.5))[:4], ("a/b", 1000.0, 2000.0, 2.0))


class Notes(unittest.TestCase):
    def test_nothing_to_say(self):
        self.assertEqual(comparison.notes(ABOUT, ABOUT, [entry(1, 1, 1)]), [])

    def test_what_differs(self):
        other = {**ABOUT, "device": "cuda", "flags": {"buildtype": "debug"}, "machine": {**ABOUT["machine"], "cpus": 16}}
        few = {**entry(1, 1, 1), "measurements": [{}] * 3}
        self.assertEqual(len(comparison.notes(ABOUT, other, [few])), 4)


class Directories(unittest.TestCase):
    def test_odd_ones_are_refused(self):
        top = Path(self.enterContext(tempfile.TemporaryDirectory()))
        for text in (None, "{", '{"benchmarks": []}'):
            if text is not None:
                (top / "benchmarks.json").write_text(text)
            with self.assertRaises(results.Unusable, msg=text):
                comparison.load(top)    # the last lacks about.json
        with self.assertRaises(results.Unusable):
            comparison.load(top / "none")
        (top / "about.json").write_text(json.dumps(ABOUT))
        self.assertEqual(comparison.load(top)[0], ABOUT)


if __name__ == "__main__":
    unittest.main()
