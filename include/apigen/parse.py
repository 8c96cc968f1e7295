# SPDX-License-Identifier: MIT
"""Parser of descriptions: fills an Api from the text of the .api files. docs/api-description.md is the reference."""

from .lex import tokens
from .model import (CLASSES, HANDLE_KINDS, SCALARS, ApiError, Call, CType, ErrorText, Field, Op, Param, Record)

C_WORDS = {"unsigned", "signed", "int", "char", "short", "long", "float", "double", "void", "const", "size_t"}


class Parser:
    """One file. State besides the token position: the op range of the file and the current default reason."""

    def __init__(self, path, text, api):
        self.toks = tokens(path, text)
        self.at = 0
        self.api = api
        self.range = None
        self.reason = ""

    # -- tokens --

    def peek(self):
        return self.toks[self.at]

    def take(self):
        tok = self.toks[self.at]
        if tok.kind != "end":
            self.at += 1
        return tok

    def is_next(self, text):
        return self.peek().text == text and self.peek().kind in ("punct", "id")

    def accept(self, text):
        if self.is_next(text):
            return self.take()
        return None

    def expect(self, text):
        tok = self.take()
        if tok.text != text or tok.kind == "str":
            raise ApiError(tok.where, f"expected '{text}', found {tok!r}")
        return tok

    def expect_kind(self, kind, what):
        tok = self.take()
        if tok.kind != kind:
            raise ApiError(tok.where, f"expected {what}, found {tok!r}")
        return tok

    def ident(self, what):
        return self.expect_kind("id", what)

    def number(self, what):
        return int(self.expect_kind("num", what).text, 0)

    def string(self, what):
        return self.expect_kind("str", f"{what} in double quotes").text

    def end_line(self):
        tok = self.peek()
        if tok.kind == "newline":
            self.take()
        elif tok.kind != "end" and tok.text != "}":
            raise ApiError(tok.where, f"unexpected {tok!r} at the end of the entry")

    def skip_lines(self):
        while self.peek().kind == "newline":
            self.take()

    # -- entries --

    def file(self):
        while True:
            self.skip_lines()
            tok = self.take()
            if tok.kind == "end":
                return
            entry = getattr(self, f"entry_{tok.text}", None) if tok.kind == "id" else None
            if not entry:
                raise ApiError(tok.where, f"unknown entry {tok!r}")
            entry(tok)
            self.end_line()

    def entry_ops(self, tok):
        first = self.number("the first op of the file")
        self.expect("-")
        self.range = (first, self.number("the last op of the file"))
        if self.range[0] > self.range[1]:
            raise ApiError(tok.where, "empty op range")

    def entry_reason(self, _tok):
        self.reason = self.string("reason")

    def entry_error(self, tok):
        name = self.ident("name of a result").text
        self.unique(self.api.errors, name, tok.where, "error")
        self.api.errors[name] = ErrorText(name, self.string("text"), tok.where)

    def type_name(self):
        words = [self.ident("type").text]
        while words[-1] in C_WORDS and self.peek().kind == "id" and self.peek().text in C_WORDS:
            words.append(self.take().text)
        return " ".join(words)

    def add_type(self, ctype):
        self.unique(self.api.types, ctype.name, ctype.where, "type")
        self.api.types[ctype.name] = ctype

    def name_list(self, tok, **kw):
        while True:
            self.add_type(CType(self.type_name(), where=tok.where, **kw))
            if not self.accept(","):
                return

    def entry_scalar(self, tok):
        wire = self.ident("wire type")
        if wire.text not in SCALARS:
            raise ApiError(wire.where, f"unknown wire type '{wire.text}' (one of {', '.join(SCALARS)})")
        self.expect("=")
        self.name_list(tok, form="scalar", wire=wire.text)

    def entry_enum(self, tok):
        self.name_list(tok, form="enum", wire="u32")

    def entry_handle(self, tok):
        kind = self.ident("kind of handle")
        if kind.text not in HANDLE_KINDS:
            raise ApiError(kind.where, f"unknown kind of handle '{kind.text}'")
        self.expect("=")
        name = self.type_name()
        self.add_type(CType(name, "handle", tok.where, kind=kind.text, integer=bool(self.accept("integer"))))

    def entry_struct(self, tok):
        name = self.type_name()
        size = self.number("size in bytes")
        words = bool(self.accept("words"))
        clear = []
        while self.accept("clear"):
            clear.append(self.ident("member").text)
        if not size or (words and size % 8):
            raise ApiError(tok.where, f"struct '{name}' has a size of {size}")
        self.add_type(CType(name, "struct", tok.where, size=size, clear=tuple(clear), words=words))

    def field(self):
        kind = self.ident("wire type or record")
        name = self.ident("name of the field")
        if kind.text not in SCALARS and kind.text not in self.api.records:
            raise ApiError(kind.where, f"unknown wire type or record '{kind.text}'")
        out = Field(kind.text, name.text, name.where)
        if self.accept("["):
            out.count, out.array = self.number("number of elements"), True
            self.expect("]")
            if not out.count:
                raise ApiError(name.where, f"field '{name.text}' has no elements")
        return out

    def body(self):
        """Lines of { ... }: yields the first word of each; the caller consumes the rest of the line."""
        open_tok = self.expect("{")
        while True:
            self.skip_lines()
            if self.accept("}"):
                return
            tok = self.take()
            if tok.kind == "end":
                raise ApiError(open_tok.where, "'{' is never closed")
            if tok.kind != "id":
                raise ApiError(tok.where, f"expected an attribute, found {tok!r}")
            yield tok
            self.end_line()

    def unique(self, table, name, where, what):
        if name in table:
            raise ApiError(where, f"{what} '{name}' is already described at {table[name].where}")

    def add_field(self, fields, where_list):
        new = self.field()
        for old in where_list:
            if old.name == new.name:
                raise ApiError(new.where, f"field '{new.name}' is already described at {old.where}")
        fields.append(new)

    def entry_record(self, tok):
        rec = Record(self.ident("name of the record").text, tok.where)
        self.unique(self.api.records, rec.name, tok.where, "record")
        for word in self.body():
            if word.text != "field":
                raise ApiError(word.where, f"unknown attribute '{word.text}' of a record")
            self.add_field(rec.fields, rec.fields)
        self.api.records[rec.name] = rec

    def entry_wire(self, tok):
        wire = Op(self.ident("name of the wire").text, tok.where, code=-1)
        self.unique(self.api.wires, wire.name, tok.where, "wire")
        cls = ""
        for word in self.body():
            if word.text == "op":
                wire.code = self.op_number(word)
            elif word.text == "class":
                cls = self.ident("class").text
                if cls not in ("async", "sync"):
                    raise ApiError(word.where, f"class of a wire is async or sync, not '{cls}'")
            elif word.text == "field":
                self.add_field(wire.fields, wire.fields)
            elif word.text == "ret":
                self.add_field(wire.ret, wire.ret)
            elif word.text == "payload":
                self.expect("max")
                wire.payload = self.number("bytes")
            elif word.text == "ret_payload":
                self.expect("max")
                wire.ret_payload = self.number("bytes")
            else:
                raise ApiError(word.where, f"unknown attribute '{word.text}' of a wire")
        if wire.code < 0:
            raise ApiError(tok.where, f"wire '{wire.name}' has no op")
        if not cls:
            raise ApiError(tok.where, f"wire '{wire.name}' has no class")
        wire.sync = cls == "sync"
        self.api.wires[wire.name] = wire

    def op_number(self, word):
        code = self.number("number of the op")
        if self.range and not self.range[0] <= code <= self.range[1]:
            raise ApiError(word.where, f"op {code:#06x} is outside this file's range "
                                       f"{self.range[0]:#06x} - {self.range[1]:#06x}")
        return code

    # -- calls --

    def params(self, named):
        self.expect("(")
        out = []
        self.skip_lines()
        if self.accept(")"):
            return out
        while True:
            out.append(self.param(named))
            self.skip_lines()
            if self.accept(")"):
                return out
            self.expect(",")
            self.skip_lines()

    def param(self, named):
        words = []
        while self.peek().kind == "id" or self.is_next("*"):
            words.append(self.take())
        if not words:
            tok = self.peek()
            raise ApiError(tok.where, f"expected a parameter, found {tok!r}")
        name = ""
        if named:
            last = words[-1]
            if len(words) < 2 or last.text == "*" or last.text in C_WORDS:
                raise ApiError(last.where, "parameter has no name")
            name = words.pop().text
        text = ""
        for w in words:
            text += "*" if w.text == "*" else (" " if text else "") + w.text
        text = text.replace("*", " *", 1).replace("  *", " *")
        return Param(text, name, words[0].where)

    def start_call(self, tok, named):
        name = self.ident("name of the function")
        for table in (self.api.calls,):
            self.unique(table, name.text, tok.where, "call")
        call = Call(name.text, tok.where, params=self.params(named))
        self.api.calls[call.name] = call
        return call

    def common(self, call, word):
        """Attributes that lines and bodies share. True if `word` was one."""
        if word.text == "since":
            call.since = self.number("version")
        elif word.text == "base":
            call.base = self.ident("name").text
        elif word.text in ("ptsz", "ptds"):
            call.thread, call.thread_since = word.text, self.number("version")
        elif word.text == "reason":
            call.reason = self.string("reason")
        elif word.text == "native":
            call.native = True
        else:
            return False
        return True

    def entry_unsupported(self, tok):
        call = self.start_call(tok, named=False)
        call.cls, call.reason = "unsupported", self.reason
        self.line_attributes(call)

    def entry_alias(self, tok):
        call = self.start_call(tok, named=False)
        self.expect("of")
        call.cls, call.alias = "alias", self.ident("name of the function").text
        self.line_attributes(call)

    def entry_lookup(self, tok):
        call = Call(self.ident("name of the function").text, tok.where, "lookup", reason=self.reason)
        self.unique(self.api.calls, call.name, tok.where, "call")
        self.unique(self.api.lookups, call.name, tok.where, "lookup")
        self.api.lookups[call.name] = call
        self.line_attributes(call)

    def entry_local(self, tok):
        call = self.start_call(tok, named=True)
        call.cls = "local"
        self.line_attributes(call)

    def line_attributes(self, call):
        while self.peek().kind == "id":
            word = self.take()
            if not self.common(call, word):
                raise ApiError(word.where, f"unknown attribute '{word.text}'")

    def entry_call(self, tok):
        call = self.start_call(tok, named=True)
        seen = set()
        for word in self.body():
            repeatable = word.text in ("uses", "hand") or f"attr_{word.text}" in PARAM_ATTRS
            if word.text in seen and not repeatable:
                raise ApiError(word.where, f"'{word.text}' is given twice")
            seen.add(word.text)
            attr = getattr(self, f"attr_{word.text}", None)
            if attr:
                attr(call, word)
            elif not self.common(call, word):
                raise ApiError(word.where, f"unknown attribute '{word.text}' of a call")

    def attr_class(self, call, word):
        call.cls = self.ident("class").text
        if call.cls not in CLASSES or call.cls == "unsupported":
            raise ApiError(word.where, f"unknown class '{call.cls}' (one of local, async, sync, special)")

    def attr_op(self, call, word):
        call.op = self.op_number(word)

    def attr_context(self, call, word):
        value = self.ident("'required' or 'none'").text
        if value not in ("required", "none"):
            raise ApiError(word.where, "context is 'required' or 'none'")
        call.context = value == "required"

    def attr_early(self, call, _word):
        call.early = True

    def attr_capture(self, call, word):
        call.capture = self.ident("'unsafe' or 'never'").text
        if call.capture not in ("unsafe", "never"):
            raise ApiError(word.where, "capture is 'unsafe' or 'never'")

    def attr_hand(self, call, word):
        side = self.ident("'shim' or 'worker'").text
        if side not in ("shim", "worker"):
            raise ApiError(word.where, "hand is 'shim' or 'worker'")
        call.hand.add(side)

    def attr_uses(self, call, _word):
        call.uses.append(self.ident("name of a wire").text)

    def param_of(self, call):
        tok = self.ident("name of a parameter")
        for p in call.params:
            if p.name == tok.text:
                if p.role:
                    raise ApiError(tok.where, f"parameter '{tok.text}' is annotated twice")
                p.where = tok.where
                return p
        raise ApiError(tok.where, f"'{call.name}' has no parameter '{tok.text}'")

    def direction(self, call, word, plain, array):
        p = self.param_of(call)
        p.role = plain
        if self.accept("["):
            if not array:
                raise ApiError(word.where, f"'{word.text}' cannot be an array")
            p.role, p.count = array, self.ident("parameter with the number of elements").text
            if self.accept("-"):
                p.less = self.number("number")
            self.expect("]")
            if not self.accept("max"):
                raise ApiError(word.where, f"array '{p.name}' has no 'max'")
            p.limit = self.number("number of elements")
        p.optional = bool(self.accept("optional"))

    def attr_in(self, call, word):
        self.direction(call, word, "in", "array_in")

    def attr_out(self, call, word):
        self.direction(call, word, "out", "array_out")

    def attr_inout(self, call, word):
        self.direction(call, word, "inout", "")

    def attr_new(self, call, word):
        self.direction(call, word, "new", "")

    def attr_drop(self, call, word):
        self.direction(call, word, "drop", "")

    def attr_host(self, call, word):
        self.direction(call, word, "host", "")

    def attr_optional(self, call, _word):
        p = self.param_of(call)
        p.role, p.optional = "handle", True

    def attr_nonzero(self, call, _word):
        tok = self.ident("name of a parameter")
        p = next((q for q in call.params if q.name == tok.text), None)
        if not p or p.pointer:
            raise ApiError(tok.where, f"'{call.name}' has no number '{tok.text}'")
        p.nonzero = True

    def attr_string(self, call, word):
        p = self.param_of(call)
        if not self.accept("max"):
            raise ApiError(word.where, f"string '{p.name}' has no 'max'")
        p.role, p.limit = "string", self.number("bytes")


PARAM_ATTRS = {f"attr_{n}" for n in ("in", "out", "inout", "new", "drop", "host", "optional", "string", "nonzero")}


def parse(path, text, api):
    Parser(path, text, api).file()
