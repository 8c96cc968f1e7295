# SPDX-License-Identifier: MIT
"""tamper.py FROM TO: a recording (include/vgpu/record.h) whose first result claims another hash, with a right sum."""
import struct
import sys

FILE, HEADER, RESULT, END = 64, struct.Struct("<IHHQ"), 5, 6
MASK = (1 << 64) - 1

with open(sys.argv[1], "rb") as file:
    tape = bytearray(file.read())
at, tampered = FILE, False
while True:
    size, kind, _, _ = HEADER.unpack_from(tape, at)
    if kind == RESULT and not tampered:
        tape[at + size - 1] ^= 1
        tampered = True
    if kind == END:
        break
    at += (size + 7) & ~7
total = 0xcbf29ce484222325
for word, in struct.iter_unpack("<Q", tape[:at]):
    total = ((total ^ word) * 0x100000001b3) & MASK
    total ^= total >> 32
struct.pack_into("<Q", tape, at + HEADER.size + 16, total)
with open(sys.argv[2], "wb") as file:
    file.write(tape)
sys.exit(not tampered)
