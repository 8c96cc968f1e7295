# SPDX-License-Identifier: MIT
"""A measured section of a page is replaced, and nothing else; documents come out as Markdown and as HTML."""
import json
import tempfile
import unittest
from pathlib import Path

import docs
import results
from document import Heading, Paragraph, Picture, Table, html, markdown

PAGE = "before\n<!-- gpu: begin -->\nold\n<!-- gpu: end -->\nafter\n"


def gpu_result():
    side = {"median": 3.5, "min": 3.0, "max": 4.0}
    return {"device": "A GPU", "driver": "580", "transport": "unix", "date": "today", "rounds": 3, "repetitions": 7,
            "machine": {"cpu": "a CPU", "cpus": 2, "kernel": "6.1"},
            "operations": [{"title": "launch", "native": side, "mediated": side, "ratio": 1.0, "wanted": 1.05, "met": True},
                           {"title": "copy", "native": side, "mediated": side, "ratio": 1.0, "wanted": None, "met": None}]}


class Sections(unittest.TestCase):
    def test_replaces_one_section(self):
        self.assertEqual(docs.replace(PAGE, "gpu", "new\n"), PAGE.replace("old", "new"))

    def test_a_missing_section(self):
        for page in ("", PAGE.replace("<!-- gpu: end -->", ""), PAGE.replace("gpu", "other")):
            with self.assertRaises(results.Unusable):
                docs.replace(page, "gpu", "new")


class Gpu(unittest.TestCase):
    def setUp(self):
        self.dir = Path(self.enterContext(tempfile.TemporaryDirectory()))
        (self.dir / "page.md").write_text(PAGE)

    def test_writes_the_table(self):
        (self.dir / "r.json").write_text(json.dumps(gpu_result()))
        docs.update_gpu(self.dir / "page.md", self.dir / "r.json")
        page = (self.dir / "page.md").read_text()
        self.assertIn("| launch | 3.5 µs (3 µs – 4 µs) | 3.5 µs (3 µs – 4 µs) | 1.000 | ≤ 1.05 | yes |", page)
        self.assertIn("Revision not recorded", page)

    def test_refuses_something_else(self):
        for text in ("{", "[]", '{"device": "A GPU"}'):
            (self.dir / "r.json").write_text(text)
            with self.assertRaises(results.Unusable):
                docs.update_gpu(self.dir / "page.md", self.dir / "r.json")
            self.assertEqual((self.dir / "page.md").read_text(), PAGE)


class Documents(unittest.TestCase):
    blocks = [Heading(2, "h<"), Paragraph("p"), Table(["a", "b"], [["1|2", "<3>"]]), Picture("x.svg", "x")]

    def test_markdown(self):
        self.assertEqual(markdown(self.blocks), "## h<\n\np\n\n| a | b |\n| --- | --- |\n| 1\\|2 | <3> |\n\n![x](x.svg)\n")

    def test_html(self):
        page = html("t", self.blocks)
        self.assertIn("<h2>h&lt;</h2>", page)
        self.assertIn("<td>&lt;3&gt;</td>", page)


if __name__ == "__main__":
    unittest.main()
