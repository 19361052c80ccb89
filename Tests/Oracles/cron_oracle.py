"""What an independent implementation says when cron expressions are due.

Prints a line for each case: expression, zone, instant, and the first due instant after it ("none" where there is none),
separated by tabs, instants in seconds since 1970.

    cron_oracle.py SEED COUNT
"""
import random
import sys
from datetime import datetime, timezone
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, CroniterError, croniter

ZONES = ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/St_Johns"]
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
DAYS = "sun mon tue wed thu fri sat".split()


def values(rng, low, high, names=None):
    def one(value):
        return rng.choice(names)[:3] if names and rng.random() < 0.2 else str(value)

    def part():
        form = rng.random()
        if form < 0.5:
            return one(rng.randint(low, high))
        first = rng.randint(low, high - 1)
        last = rng.randint(first + 1, high)
        if form < 0.8:
            return f"{first}-{last}"
        return f"{first}-{last}/{rng.randint(1, max(1, (last - first)))}"

    return ",".join(part() for _ in range(rng.choice([1, 1, 1, 2, 3])))


def field(rng, low, high, star, names=None):
    form = rng.random()
    if form < star:
        return "*"
    if form < star + 0.15:
        return f"*/{rng.randint(1, high)}"
    return values(rng, low, high, names)


def expression(rng):
    """The same expression as we write it and as croniter does."""
    minute = field(rng, 0, 59, 0.2)
    hour = field(rng, 0, 23, 0.3)
    month = field(rng, 1, 12, 0.6, MONTHS)
    day, weekday = field(rng, 1, 31, 0.4), field(rng, 0, 7, 0.4, DAYS)
    ours, theirs = [minute, hour, day, month, weekday], [minute, hour, day, month, weekday]
    special = rng.random()
    # Beside a weekday with a place croniter demands the day of the month, too; we take either, as Vixie's cron does for
    # every other weekday. So these two are never restricted together here.
    if special < 0.06:
        ours[2] = theirs[2] = rng.choice(["L", f"L,{rng.randint(1, 28)}"])
    elif special < 0.12:
        name = rng.randint(0, 6)
        ours[4], theirs[4] = f"{name}L", f"L{name}"
        ours[2] = theirs[2] = "*"
    elif special < 0.18:
        ours[4] = theirs[4] = f"{rng.randint(0, 6)}#{rng.randint(1, 5)}"
        ours[2] = theirs[2] = "*"
    elif special < 0.2:
        ours[2] = theirs[2] = "?"
    return " ".join(ours), " ".join(theirs)


def main():
    rng = random.Random(int(sys.argv[1]))
    left = int(sys.argv[2])
    while left > 0:
        ours, theirs = expression(rng)
        zone = rng.choice(ZONES)
        # Leap years and others, 2000 and the years before 2100 among them.
        start = rng.randint(946684800, 4102444800 - 400 * 86400 * 30)
        if rng.random() < 0.3:
            # Near a change of the clock in spring or autumn.
            year = rng.randint(2008, 2036)
            month, day = rng.choice([(3, 8), (3, 29), (4, 4), (10, 3), (10, 25), (11, 1)])
            start = int(datetime(year, month, day, tzinfo=timezone.utc).timestamp()) + rng.randint(-172800, 172800)
        begin = datetime.fromtimestamp(start, ZoneInfo(zone))
        try:
            due = str(int(croniter(theirs, begin, ret_type=float, implement_cron_bug=True).get_next(float)))
        except CroniterBadDateError:
            due = "none"
        except CroniterError:
            continue
        print(ours, zone, start, due, sep="\t")
        left -= 1


main()
