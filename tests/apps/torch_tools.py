# SPDX-License-Identifier: MIT
"""What looks at the device: properties, memory statistics, running out of memory, the profiler."""
from torch_app import torch
from app import check, finish, result

device = torch.cuda.get_device_properties(0)
for name in ("name", "major", "minor", "multi_processor_count", "total_memory", "warp_size", "max_threads_per_multi_processor"):
    if hasattr(device, name):
        result(name, getattr(device, name))
result("capability", list(torch.cuda.get_device_capability()))
result("devices", torch.cuda.device_count())

before = torch.cuda.memory_allocated()
block = torch.empty(64 << 20, dtype=torch.uint8, device="cuda")
result("allocated", torch.cuda.memory_allocated() - before)
result("peak", torch.cuda.max_memory_allocated())
check("the summary has something to say", "Allocated memory" in torch.cuda.memory_summary())
free, total = torch.cuda.mem_get_info()
check("free memory", 0 < free < total)
del block
torch.cuda.empty_cache()

try:
    torch.empty(2 * device.total_memory, dtype=torch.uint8, device="cuda")
    check("twice the device's memory was allocated", False)
except torch.cuda.OutOfMemoryError:
    pass
check("work goes on after running out of memory", torch.ones(10, device="cuda").sum().item() == 10)

a = torch.randn(256, 256, device="cuda")
activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
with torch.profiler.profile(activities=activities) as profile:
    for _ in range(3):
        a = (a @ a).relu()
    torch.cuda.synchronize()
check("the profiler saw a product", any(row.key == "aten::mm" for row in profile.key_averages()))
finish()
