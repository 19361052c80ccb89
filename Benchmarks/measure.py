"""Runs a command and says what it took: wall seconds, CPU seconds, peak memory of one process in MiB.

    measure.py RESULT-FILE POSTMASTER-PID DAEMON-PID COMMAND ...

CPU counts the command with its children, the server (the postmaster, its children, and those that ended), and a daemon that
works for the command; a pid of 0 stands for none. Peak memory is the command's largest process or, where there is a
daemon, the daemon's.
"""
import os
import resource
import subprocess
import sys
import time

TICK = os.sysconf("SC_CLK_TCK")


def fields(pid):
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rpartition(")")[2].split()


def family(pid):
    """CPU of a process, of the children that it has waited for, and of those that live."""
    if not pid:
        return 0.0
    total = sum(map(int, fields(pid)[11:15]))
    for child in os.listdir("/proc"):
        if child.isdigit():
            try:
                stat = fields(child)
            except OSError:
                continue
            if stat[1] == str(pid):
                total += sum(map(int, stat[11:15]))
    return total / TICK


def peak(pid):
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) / 1024 for line in file if line.startswith("VmHWM:"))


def main():
    result, postmaster, daemon = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    before = family(postmaster) + family(daemon)
    start = time.monotonic()
    code = subprocess.run(sys.argv[4:], stdout=sys.stderr).returncode
    wall = time.monotonic() - start
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = family(postmaster) + family(daemon) - before + usage.ru_utime + usage.ru_stime
    memory = peak(daemon) if daemon else usage.ru_maxrss / 1024
    if code:
        sys.exit(f"exit status {code}")
    with open(result, "a") as file:
        print(f"{wall:.3f} {cpu:.2f} {memory:.0f}", file=file)


main()
