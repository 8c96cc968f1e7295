# SPDX-License-Identifier: MIT
# From a Chrome trace of copies and kernels in several streams: how much of the copies' time lies under kernels of other
# streams.  A copy's time contains its waiting for the copy engine.

def common($a; $b): [([$a.ts + $a.dur, $b.ts + $b.dur] | min) - ([$a.ts, $b.ts] | max), 0] | max;

[.[] | select(.cat == "device")] as $device
| [$device[] | select(.name == "launch")] as $kernels
| [$device[] | select(.name | startswith("memcpy"))] as $copies
| {
	kernels: ($kernels | length), copies: ($copies | length), streams: ($device | map(.tid) | unique | length),
	kernel_us: ($kernels | map(.dur) | add // 0), copy_us: ($copies | map(.dur) | add // 0),
	copy_under_kernels_us: ([$copies[] as $c | [$kernels[] | select(.tid != $c.tid) | common(.; $c)] | add // 0]
		| add // 0)
}
