"""Tables of what was measured.

    table.py DIRECTORY SCENARIO CHANGED-BYTES CLUSTER-BYTES SIDE=NAME ...

Reads SCENARIO.SIDE.times and .bytes; prints medians, their ratio to ours, and the goals. CHANGED-BYTES is 0 or the size of
exactly the changed pages, compressed.
"""
import os
import statistics
import sys


def column(path, number):
    with open(path) as file:
        return [float(line.split()[number]) for line in file if line.strip()]


def main():
    directory, scenario, changed = sys.argv[1], sys.argv[2], int(sys.argv[3])
    rows = []
    for side, name in (argument.split("=", 1) for argument in sys.argv[5:]):
        times = f"{directory}/{scenario}.{side}.times"
        if not os.path.exists(times):
            continue
        bytes_path = f"{directory}/{scenario}.{side}.bytes"
        stored = statistics.median(column(bytes_path, 0)) if os.path.exists(bytes_path) else None
        rows.append((side, name, [statistics.median(column(times, n)) for n in range(3)], stored))
    by_side = {row[0]: row for row in rows}
    ours = by_side.get("ours", rows[0])
    print("| | wall, s | CPU, s | peak, MiB | stored, MiB | ours to it: wall | CPU | bytes |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
    for side, name, (wall, cpu, peak), stored in rows:
        ratio = ["", "", ""] if side.startswith("ours") else ratios(ours, by_side[side])
        size = "" if stored is None else f"{stored / 1048576:.1f}"
        print(f"| {name} | {wall:.2f} | {cpu:.2f} | {peak:.0f} | {size} | {' | '.join(ratio)} |")
    goals(scenario, by_side, changed)


def ratios(ours, other):
    return [f"{ours[2][0] / other[2][0]:.2f}", f"{ours[2][1] / other[2][1]:.2f}" if other[2][1] else "",
            f"{ours[3] / other[3]:.2f}" if ours[3] and other[3] else ""]


# Of what, against whom, and at most how much: wall, CPU, bytes.
GOALS = {
    "full": [("ours", "pgbackrest", (0.6, 0.6, 1.05)), ("ours3", "pgbackrest", (0.9, 1.0, None)),
             ("ours", "pgbackrest1", (0.9, 1.0, None)), ("ours", "tar1", (1.15, None, None)),
             ("ours3", "tar3", (1.15, None, None))],
    "second": [("ours", "pgbackrest", (0.15, 0.2, 0.08))],
    "restore": [("ours", "pgbackrest", (0.8, None, None)), ("ours", "untar", (1.15, None, None))],
}


def goals(scenario, by_side, changed):
    lines = []
    for one, other, limits in GOALS.get(scenario, []):
        if one not in by_side or other not in by_side:
            continue
        for what, limit, text in zip(("wall", "CPU", "bytes"), limits, ratios(by_side[one], by_side[other])):
            if limit is not None and text:
                verdict = "met" if float(text) <= limit else "**missed**"
                lines.append(f"- {by_side[one][1]} to {by_side[other][1]}, {what}: {text}, at most {limit}: {verdict}")
    if changed and "ours" in by_side:
        ratio = by_side["ours"][3] / changed
        lines.append(f"- bytes to exactly the changed pages compressed ({changed / 1048576:.1f} MiB): {ratio:.2f}, "
                     f"at most 1.3: {'met' if ratio <= 1.3 else '**missed**'}")
    if scenario == "unchanged" and "ours" in by_side:
        rate = int(sys.argv[4]) / by_side["ours"][2][0] / 1e9
        lines.append(f"- backupd: {rate:.2f} GB/s, at least 2: {'met' if rate >= 2 else '**missed**'}")
    if lines:
        print("\n" + "\n".join(lines))


main()
