"""Runs a command and says what it took: wall seconds, CPU seconds, peak memory in MiB.

    measure.py RESULT-FILE POSTMASTER-PID HELPER-PID COMMAND ...

CPU counts the command with its children, the server (the postmaster, its children, and those that ended), and a process
that works for the command beside it, such as a daemon; a pid of 0 stands for none. Peak memory is that of the command's
and the helper's processes together, looked at 20 times a second, or of their largest where that is more.
"""
import os
import resource
import subprocess
import sys
import threading
import time

TICK = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


def fields(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()


def family_cpu(pid):
    """CPU of a process, of the children that it has waited for, and of those that live."""
    if not pid:
        return 0.0
    total = sum(map(int, fields(pid)[11:15]))
    for child in filter(str.isdigit, os.listdir("/proc")):
        try:
            stat = fields(child)
        except OSError:
            continue
        if stat[1] == str(pid):
            total += sum(map(int, stat[11:15]))
    return total / TICK


def children(pid):
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as file:
            yield from map(int, file.read().split())


def tree_memory(pid):
    """Resident bytes of a process and all below it; of one that is just ending, none."""
    try:
        with open(f"/proc/{pid}/statm") as file:
            total = int(file.read().split()[1]) * PAGE
        return total + sum(map(tree_memory, children(pid)))
    except OSError:
        return 0


def high_water(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith("VmHWM:"))


def run(command, helper):
    """The command's exit status and the most memory that was seen."""
    peak, ended = 0, threading.Event()
    process = subprocess.Popen(command, stdout=sys.stderr)

    def sample():
        nonlocal peak
        while not ended.wait(0.05):
            peak = max(peak, tree_memory(process.pid) + (tree_memory(helper) if helper else 0))

    sampler = threading.Thread(target=sample)
    sampler.start()
    code = process.wait()
    wall_end = time.monotonic()
    ended.set()
    sampler.join()
    return code, peak, wall_end


def main():
    result, postmaster, helper = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    before = family_cpu(postmaster) + family_cpu(helper)
    start = time.monotonic()
    code, peak, end = run(sys.argv[4:], helper)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = family_cpu(postmaster) + family_cpu(helper) - before + usage.ru_utime + usage.ru_stime
    if code:
        sys.exit(f"exit status {code}")
    largest = max(usage.ru_maxrss * 1024, high_water(helper) if helper else 0)
    with open(result, "a") as file:
        print(f"{end - start:.3f} {cpu:.2f} {max(peak, largest) / 1048576:.0f}", file=file)


main()
