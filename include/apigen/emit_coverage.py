# SPDX-License-Identifier: MIT
"""coverage.md: what each function does here."""

from collections import Counter

MEANING = {
    "local": "answered in the guest",
    "async": "sent, not waited for",
    "sync": "sent and answered",
    "special": "sent by hand-written code",
    "alias": "second name of another function",
    "unsupported": "returns CUDA_ERROR_NOT_SUPPORTED",
}


def note(call):
    if call.cls == "unsupported":
        return call.reason
    if call.cls == "alias":
        return f"same as {call.alias}"
    if call.uses:
        return "commands: " + ", ".join(call.uses)
    return ""


def coverage_md(api):
    calls = sorted(api.calls.values(), key=lambda c: c.name)
    count = Counter()
    for c in calls:
        count[c.cls] += 2 if c.variant else 1
    text = "# Coverage of the CUDA driver API\n\nMade from `include/api` by the build.\n\n"
    text += f"{sum(count.values())} exported names:\n\n| class | names | meaning |\n| --- | --- | --- |\n"
    for cls, meaning in MEANING.items():
        text += f"| {cls} | {count[cls]} | {meaning} |\n"
    text += ("\nA function described here may still be missing from a backend: then it returns "
             "`CUDA_ERROR_NOT_SUPPORTED` too.\n\n"
             "| function | class | since | per-thread form | note |\n| --- | --- | --- | --- | --- |\n")
    for c in calls:
        text += f"| {c.name} | {c.cls} | {c.since} | {f'{c.variant} {c.thread_since}' if c.variant else ''} | {note(c)} |\n"
    text += "\nFound by `cuGetProcAddress` only, and not supported:\n\n| function | since | note |\n| --- | --- | --- |\n"
    for c in sorted(api.lookups.values(), key=lambda c: c.name):
        text += f"| {c.name} | {c.since} | {c.reason} |\n"
    return text
