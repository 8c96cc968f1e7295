# SPDX-License-Identifier: MIT
"""Words of a description: identifiers, numbers, strings and punctuation, each with its file and line."""

import re

from .model import ApiError

TOKEN = re.compile(r'\s*(?:(?P<skip>#.*)|(?P<str>"[^"]*")|(?P<num>0x[0-9a-fA-F]+|\d+)(?![A-Za-z_])'
                   r'|(?P<id>[A-Za-z_]\w*)|(?P<punct>[{}()\[\],*=@-]))')


class Token:
    __slots__ = ("kind", "text", "where")

    def __init__(self, kind, text, where):
        self.kind, self.text, self.where = kind, text, where

    def __repr__(self):
        return {"newline": "end of line", "end": "end of file"}.get(self.kind, f"'{self.text}'")


def tokens(path, text):
    """All tokens of a file; "newline" at the end of each line that holds something, "end" at last."""
    out = []
    line = 0
    for line, body in enumerate(text.split("\n"), 1):
        where, at, seen = f"{path}:{line}", 0, False
        body = body.rstrip()
        while at < len(body):
            m = TOKEN.match(body, at)
            if not m:
                raise ApiError(where, f"unexpected character {body[at:].lstrip()[:1]!r}")
            at = m.end()
            if m.lastgroup == "skip":
                break
            word = m.group(m.lastgroup)
            out.append(Token(m.lastgroup, word.strip('"') if m.lastgroup == "str" else word, where))
            seen = True
        if seen:
            out.append(Token("newline", "", where))
    out.append(Token("end", "", f"{path}:{max(line, 1)}"))
    return out
