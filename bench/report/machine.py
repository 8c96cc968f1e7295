# SPDX-License-Identifier: MIT
"""What the reader of the figures has to know of the machine, the build and the revision."""
import datetime
import json
import os
import platform
import re
import subprocess
from pathlib import Path

PACKAGES = ("liburing-dev", "libjemalloc-dev", "libbenchmark-dev", "qemu-system-x86", "libc6")


def _read(path):
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _said(*command):
    """First line that a command prints, "" if there is no such command or it fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return (done.stdout.strip().splitlines() or [""])[0]


def _packages():
    found = {name: _said("dpkg-query", "-W", "-f", "${Version}", name) for name in PACKAGES}
    return {name: version for name, version in found.items() if version}


def _flags(build):
    """How meson was told to compile."""
    try:
        options = json.loads(_read(Path(build) / "meson-info/intro-buildoptions.json"))
    except ValueError:
        return {}
    wanted = ("buildtype", "optimization", "debug", "b_sanitize", "b_ndebug", "b_lto", "c_args")
    return {o["name"]: o["value"] for o in options if o["name"] in wanted}


def _compiler(build):
    try:
        first = json.loads(_read(Path(build) / "compile_commands.json"))[0]["command"].split()
    except (ValueError, LookupError):
        return ""
    return next((_said(word, "--version") for word in first if re.search(r"(gcc|clang|cc)(-\d+)?$", word)), "")


def about(build, revision, device):
    """A description that JSON can hold."""
    model = re.search(r"^model name\s*: (.*)$", _read("/proc/cpuinfo"), re.M)
    memory = re.search(r"^MemTotal:\s*(\d+)", _read("/proc/meminfo"), re.M)
    system = re.search(r'^PRETTY_NAME="(.*)"$', _read("/etc/os-release"), re.M)
    return {
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "revision": revision,
        "device": device,
        "machine": {
            "cpu": model.group(1) if model else platform.machine(),
            "cpus": os.cpu_count(),
            "memory_mib": int(memory.group(1)) // 1024 if memory else 0,
            "kernel": platform.release(),
            "system": system.group(1) if system else platform.system(),
            "hypervisor": " hypervisor" in _read("/proc/cpuinfo"),
            "load_before": os.getloadavg()[0],
        },
        "gpus": [line for line in _said("nvidia-smi", "-L").splitlines() if line],
        "vgpu": _said(str(Path(build) / "uring-mediator/vgpuctl"), "--version"),
        "compiler": _compiler(build),
        "flags": _flags(build),
        "packages": _packages(),
    }


def one_line(about_machine):
    m = about_machine["machine"]
    kind = "virtual machine" if m["hypervisor"] else "machine"
    return (f"{kind}, {m['cpus']} × {m['cpu']}, {m['memory_mib'] / 1024:.0f} GiB, {m['system']}, Linux {m['kernel']}"
            + "".join(f", {g}" for g in about_machine["gpus"]))
