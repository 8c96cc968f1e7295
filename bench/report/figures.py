# SPDX-License-Identifier: MIT
"""How figures are written for people: three digits and a unit."""

RATES = {"items_per_second": "/s", "bytes_per_second": "B/s"}


def digits(value):
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:.0f}"
    if abs(value) >= 10:
        return f"{value:.1f}"
    return f"{value:.3g}"


def scaled(value, unit, step=1000.0):
    """12300000, "/s" -> "12.3 M/s"."""
    prefixes = ["", "k", "M", "G", "T"]
    while abs(value) >= step * 0.9995 and len(prefixes) > 1:
        value /= step
        prefixes.pop(0)
    return f"{digits(value)} {prefixes[0]}{unit}".rstrip()


def duration(ns):
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= size:
            return f"{digits(ns / size)} {unit}"
    return f"{digits(ns)} ns"


def size(value):
    """Bytes as people name them: 65536 -> "64 KiB"."""
    for unit, one in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)):
        if value >= one and value % one == 0:
            return f"{value // one} {unit}"
    return f"{value} B"


def figure(name, value):
    """A figure of a benchmark by its name."""
    if name in RATES:
        return scaled(value, RATES[name])
    if name.endswith("_ns"):
        return duration(value)
    if name.endswith("_us"):
        return duration(value * 1e3)
    return digits(value)
