"""A table of what was measured, and how far the goals are met.

    table.py RESULTS STEP

Reads what measure.sh and the peers left in RESULTS; prints medians and what ours is to each other's.
"""
import json
import os
import statistics
import sys

RESULTS, STEP = sys.argv[1:3]
OURS = ("ours", "ours3")


def rows_of(name):
    path = os.path.join(RESULTS, name)
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return [line.split() for line in file]


def median(rows, column):
    return statistics.median(float(row[column]) for row in rows) if rows else None


class Side:
    def __init__(self, name, title):
        self.name, self.title = name, title
        times = rows_of(f"{STEP}.{name}.times")
        self.measured = bool(times)
        self.bytes_each = [float(row[0]) for row in rows_of(f"{STEP}.{name}.bytes")]
        self.span = [pick(float(row[0]) for row in times) for pick in (min, max)] if times else None
        self.values = {"wall": median(times, 0), "CPU": median(times, 1), "memory": median(times, 2),
                       "bytes": statistics.median(self.bytes_each) if self.bytes_each else None}

    def to(self, other, what):
        own, others = self.values[what], other.values[what]
        return own / others if own is not None and others else None


def load_sides():
    with open(os.path.join(RESULTS, "titles")) as file:
        sides = [Side(*line.rstrip("\n").split("\t")) for line in file]
    return {side.name: side for side in sides if side.measured}


def shown(value, digits=2):
    return "" if value is None else f"{value:.{digits}f}"


def print_table(rows, headings, texts=1):
    print("| " + " | ".join(headings) + " |")
    print("|" + " --- |" * texts + " ---: |" * (len(headings) - texts))
    for row in rows:
        print("| " + " | ".join(row) + " |")


def print_measurements(sides):
    stored = any(side.bytes_each for side in sides.values())
    rows = []
    for side in sides.values():
        values = side.values
        row = [side.title, shown(values["wall"]), "{:.2f}–{:.2f}".format(*side.span), shown(values["CPU"]),
               shown(values["memory"], 0)]
        ratios = [shown(None if side.name in OURS or "ours" not in sides else sides["ours"].to(side, what))
                  for what in ("wall", "CPU", "bytes")]
        if stored:
            mebibytes = values["bytes"] / 1048576 if values["bytes"] is not None else None
            row.append(shown(mebibytes, 1))
        rows.append(row + (ratios if stored else ratios[:2]))
    headings = ["", "wall, s", "from–to", "CPU, s", "peak, MiB"] + (["stored, MiB"] if stored else [])
    headings += ["ours to it: wall", "CPU"] + (["bytes"] if stored else [])
    print_table(rows, headings)


# One side, what it is held against, and how much of it at most.
GOALS = {
    "full": [
        ("ours", "pgbackrest", {"wall": 0.6, "CPU": 0.6, "bytes": 1.05}),
        ("ours", "pgbackrest1", {"wall": 0.9, "CPU": 1.0}),
        ("ours3", "pgbackrest", {"wall": 0.9, "CPU": 1.0}),
        ("ours", "tar1", {"wall": 1.15}),
        ("ours3", "tar3", {"wall": 1.15}),
    ],
    "second": [("ours", "pgbackrest", {"wall": 0.15, "CPU": 0.2, "bytes": 0.08})],
    "restore-first": [("ours", "pgbackrest", {"wall": 0.8}), ("ours", "untar", {"wall": 1.15})],
    "restore-later": [("ours", "pgbackrest", {"wall": 0.8}), ("ours", "untar", {"wall": 1.15})],
    "s3-backup": [("ours", "pgbackrest", {"wall": 0.8}), ("ours", "rclone", {"wall": 1.2})],
    "s3-restore": [("ours", "pgbackrest", {"wall": 0.8}), ("ours", "rclone", {"wall": 1.2})],
}


def goal(side, other, what, measured, limit, digits=2, at_least=False):
    met = measured >= limit if at_least else measured <= limit
    bound = "at least" if at_least else "at most"
    return [side, other, what, f"{measured:.{digits}f}", f"{bound} {limit}", "met" if met else "**missed**"]


def goals(sides):
    for name, other, limits in GOALS.get(STEP, []):
        if name in sides and other in sides:
            for what, limit in limits.items():
                yield goal(sides[name].title, sides[other].title, what, sides[name].to(sides[other], what), limit)
    ours = sides.get("ours")
    if not ours:
        return
    if STEP == "second":
        changed = [float(row[1]) for row in rows_of("changed")]
        ratio = statistics.median(own / least for own, least in zip(ours.bytes_each, changed))
        yield goal(ours.title, "exactly the changed pages, compressed", "bytes", ratio, 1.3)
    if STEP == "unchanged":
        pages = median(rows_of("unchanged.ours.facts"), 0)
        yield goal(ours.title, "", "GB/s", pages * 8192 / ours.values["wall"] / 1e9, 2, at_least=True)
    yield goal(ours.title, "", "peak, MiB", ours.values["memory"], 256, digits=0)


def print_facts():
    """What our backups say of themselves, beside what a comparison of the files says."""
    facts = rows_of(f"{STEP}.ours.facts")
    if STEP == "second" and facts:
        pages, least = median(rows_of("changed"), 0), median(rows_of("changed"), 1)
        print(f"{pages:.0f} pages of {median(facts, 0):.0f} differ ({pages / median(facts, 0):.1%}), "
              f"{least / 1048576:.1f} MiB compressed; backupd counts {median(facts, 1):.0f} pages changed:\n")


def print_kept(sides):
    """What a history takes in all, of those sides that keep each backup of it."""
    kept = []
    for side in sides.values():
        each = [float(row[0]) for step in ("first", "later") for row in rows_of(f"{step}.{side.name}.bytes")]
        kept.append((len(each), f"{side.title} {sum(each) / 1048576:.0f} MiB"))
    most = max(count for count, _ in kept)
    print(f"\nKept for all {most} backups: " + ", ".join(text for count, text in kept if count == most) + ".")


def print_phases():
    path = os.path.join(RESULTS, f"{STEP}.ours.runs")
    if not os.path.exists(path):
        return
    with open(path) as file:
        phases = json.load(file)[-1]["phases"]
    source = rows_of(f"{STEP}.ours.facts")[-1][2]
    print("\nbackupd's last run (" + source + "): "
          + ", ".join(f"{phase['name']} {phase['durationSeconds']:.2f} s" for phase in phases) + ".")


def main():
    sides = load_sides()
    print_facts()
    print_measurements(sides)
    lines = list(goals(sides))
    if lines:
        print()
        print_table(lines, ["goal", "to", "in", "measured", "limit", ""], texts=3)
    print_phases()
    if STEP == "restore-later":
        print_kept(sides)


main()
