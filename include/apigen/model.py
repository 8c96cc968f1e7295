# SPDX-License-Identifier: MIT
"""What a description says, after parsing. Plain data: parse.py fills it, check.py completes it, emit_*.py read it."""

from dataclasses import dataclass, field

CLASSES = ("local", "async", "sync", "special", "unsupported")

# Wire scalars: name in the description -> (C type, bytes).
SCALARS = {
    "u8": ("uint8_t", 1),
    "u16": ("uint16_t", 2),
    "u32": ("uint32_t", 4),
    "u64": ("uint64_t", 8),
    "i32": ("int32_t", 4),
    "i64": ("int64_t", 8),
    "f32": ("float", 4),
}

# Kinds of enum vgpu_handle_kind in include/vgpu/handle.h.
HANDLE_KINDS = (
    "context", "module", "function", "library", "kernel", "stream", "event", "mempool", "memgeneric",
    "graph", "graphnode", "graphexec", "array", "mipmap", "texobject", "surfobject", "linkstate", "userobject", "texref",
)

REPLY_MAX = 4080        # VGPU_REPLY_DATA of include/vgpu/shm.h
COMMAND_MAX = 131072    # VGPU_CMD_MAX of include/vgpu/ring.h
HEADER = 40             # sizeof(struct vgpu_cmd) and a stamp


class ApiError(Exception):
    """A mistake in a description; `where` is "file:line"."""

    def __init__(self, where, text):
        super().__init__(f"{where}: error: {text}")


@dataclass
class CType:
    """A C type that the description knows. form: scalar, enum, handle or struct."""
    name: str
    form: str
    where: str
    wire: str = ""          # scalar: key of SCALARS
    kind: str = ""          # handle: one of HANDLE_KINDS
    integer: bool = False   # handle: the C type is an integer, not a pointer
    size: int = 0           # struct: sizeof
    clear: tuple = ()       # struct: pointer members that the worker sets to NULL
    words: bool = False     # struct: travels as an array of u64, since its alignment is above 8


@dataclass
class Param:
    """One parameter of a call. role is set by the annotations, or by check.py for plain values."""
    ctype: str              # "const CUmemAllocationProp *"
    name: str
    where: str
    role: str = ""          # value handle host in out inout new drop string array_in array_out
    optional: bool = False
    nonzero: bool = False   # 0 is refused before anything is sent
    count: str = ""         # arrays: parameter that holds the number of elements
    less: int = 0           # arrays: number of elements is count - less
    limit: int = 0          # arrays: most elements; strings: most bytes with the NUL

    @property
    def base(self):
        """The type without const and one level of pointer."""
        t = self.ctype.removeprefix("const ").strip()
        return t[:-1].strip() if t.endswith("*") else t

    @property
    def pointer(self):
        return self.ctype.endswith("*")


@dataclass
class Field:
    """A member of a wire struct or record: scalar or record, or an array of them."""
    type: str
    name: str
    where: str
    count: int = 1
    array: bool = False


@dataclass
class Record:
    name: str
    where: str
    fields: list = field(default_factory=list)


@dataclass
class Op:
    """A command on the ring: what a call needs, or a named wire of special calls."""
    name: str
    where: str
    code: int = 0
    sync: bool = False
    context: bool = False
    fields: list = field(default_factory=list)      # args, as Field
    ret: list = field(default_factory=list)         # reply, as Field
    payload: int = 0                                # most payload bytes
    ret_payload: int = 0                            # most reply bytes after the ret struct


@dataclass
class Call:
    """One exported function."""
    name: str
    where: str
    cls: str = ""
    params: list = field(default_factory=list)
    op: int = -1
    base: str = ""
    since: int = 0
    thread: str = ""            # "ptsz" or "ptds": a per-thread default stream form is exported too
    thread_since: int = 0
    context: bool = True
    early: bool = False         # arguments are looked at before initialisation and context
    capture: str = ""           # "unsafe" or "never"
    hand: set = field(default_factory=set)          # {"shim", "worker"}
    uses: list = field(default_factory=list)        # wires of a special call
    alias: str = ""             # same function as this symbol
    reason: str = ""
    native: bool = False        # the worker needs it from the driver although guests cannot call it

    @property
    def remote(self):
        return self.cls in ("async", "sync")

    @property
    def variant(self):
        return f"{self.name}_{self.thread}" if self.thread else ""


@dataclass
class ErrorText:
    name: str
    text: str
    where: str


@dataclass
class Api:
    types: dict = field(default_factory=dict)
    records: dict = field(default_factory=dict)
    wires: dict = field(default_factory=dict)
    calls: dict = field(default_factory=dict)
    errors: dict = field(default_factory=dict)
    lookups: dict = field(default_factory=dict)     # Call: found by cuGetProcAddress only, never exported
    ops: list = field(default_factory=list)         # all Op, by code; filled by check.py

    def find(self, base):
        return self.types.get(base)
