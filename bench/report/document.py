# SPDX-License-Identifier: MIT
"""A document of headings, paragraphs, tables and pictures, and its two forms: Markdown and HTML."""
from dataclasses import dataclass
from html import escape


@dataclass
class Heading:
    level: int
    text: str


@dataclass
class Paragraph:
    text: str


@dataclass
class Table:
    header: list
    rows: list          # of lists of text


@dataclass
class Picture:
    path: str           # relative to the document
    text: str


def _markdown_row(cells):
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _markdown(block):
    if isinstance(block, Heading):
        return "#" * block.level + " " + block.text
    if isinstance(block, Paragraph):
        return block.text
    if isinstance(block, Picture):
        return f"![{block.text}]({block.path})"
    rule = "|" + " --- |" * len(block.header)
    return "\n".join([_markdown_row(block.header), rule] + [_markdown_row(row) for row in block.rows])


def markdown(blocks):
    return "\n\n".join(_markdown(b) for b in blocks) + "\n"


def _html(block):
    if isinstance(block, Heading):
        return f"<h{block.level}>{escape(block.text)}</h{block.level}>"
    if isinstance(block, Paragraph):
        return f"<p>{escape(block.text)}</p>"
    if isinstance(block, Picture):
        return f'<img src="{escape(block.path)}" alt="{escape(block.text)}">'
    head = "".join(f"<th>{escape(c)}</th>" for c in block.header)
    rows = "\n".join("<tr>" + "".join(f"<td>{escape(c)}</td>" for c in row) + "</tr>" for row in block.rows)
    return f"<table>\n<tr>{head}</tr>\n{rows}\n</table>"


STYLE = """body { font: 15px/1.5 sans-serif; max-width: 72em; margin: 2em auto; padding: 0 1em }
table { border-collapse: collapse } th, td { padding: .2em .8em; border-bottom: 1px solid #ccc; text-align: left }
td { font-variant-numeric: tabular-nums } img { max-width: 48em; display: block }"""


def html(title, blocks):
    body = "\n".join(_html(b) for b in blocks)
    return (f'<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
            f"<style>{STYLE}</style></head>\n<body>\n{body}\n</body></html>\n")
