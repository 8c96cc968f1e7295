# SPDX-License-Identifier: MIT
# From the reports of bench_driver on the driver ($native) and through the mediator ($mediated), one for each round, to
# one comparison: $about is what is known of the machine, $trace is overlap.jq's. $native_together and $mediated_together are
# reports of several processes at once, in which a sample is the time of one operation of any of them.

# At most this many times the driver's own time; operations that are not named have no bound.
def bounds: {
	init: 0.10, launch_caller: 0.05, launch_sustained: 1.05, launch_sync: 1.00, d2h_8: 0.85, d2h_64k: 0.75,
	h2d_8_caller: 0.10, h2d_8_sustained: 0.60, event_record: 0.05, event_query: 0.05, pinned_h2d: 1.02,
	pinned_d2h: 1.02, pageable_h2d: 0.50, pageable_d2h: 0.50, alloc_free: 1.05, overlap: 1.05 };

def median: sort | if length % 2 == 1 then .[length / 2 | floor] else (.[length / 2 - 1] + .[length / 2]) / 2 end;

def side($reports; $name):
	[$reports[].results[] | select(.name == $name) | .samples[]]
	| {median: median, min: min, max: max, samples: .};

def operations($native; $mediated): [
	$native[0].results[] | {name, title, unit}
	| .native = side($native; .name) | .mediated = side($mediated; .name)
	| .ratio = (if .native.median > 0 then .mediated.median / .native.median else null end)
	| .wanted = bounds[.name]
	| .met = (if .wanted == null or .ratio == null then null else .ratio <= .wanted end)
];

$about + {
	trace: $trace,
	device: $native[0].device, cuda: $native[0].cuda, device_mediated: $mediated[0].device,
	large_bytes: $native[0].large_bytes, piece_bytes: $native[0].piece_bytes, pieces: $native[0].pieces,
	overlap_loops: $native[0].overlap_loops, repetitions: $native[0].repetitions, rounds: ($native | length),
	operations: operations($native; $mediated),
	together: [
		$native_together | group_by(.processes)[] | .[0].processes as $n
		| {processes: $n, operations: operations(.; [$mediated_together[] | select(.processes == $n)])}
	]
}
