"""Pages that differ between two copies of a data directory, and their size compressed: the least a backup could store.

    changed.py BEFORE AFTER      prints: pages, bytes compressed with zstd level 1 in groups of 256 KiB
"""
import os
import sys

import zstandard

PAGE, GROUP = 8192, 32
# What a base backup leaves out, as PostgreSQL's own does.
EMPTIED = {"pg_wal", "pg_replslot", "pg_stat_tmp", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_subtrans",
           "pgsql_tmp"}
LEFT_OUT = {"pg_internal.init", "postmaster.pid", "postmaster.opts"}


def main():
    before, after = sys.argv[1:3]
    compressor = zstandard.ZstdCompressor(level=1)
    pages, stored, group = 0, 0, []

    def flush():
        nonlocal stored
        if group:
            stored += len(compressor.compress(b"".join(group)))
            group.clear()

    for directory, below, names in os.walk(after):
        below[:] = [name for name in below if name not in EMPTIED]
        for name in names:
            if name in LEFT_OUT:
                continue
            path = os.path.join(directory, name)
            old_path = os.path.join(before, os.path.relpath(path, after))
            old = open(old_path, "rb") if os.path.exists(old_path) else None
            with open(path, "rb") as new:
                while page := new.read(PAGE):
                    if old is None or old.read(PAGE) != page:
                        pages += 1
                        group.append(page)
                        if len(group) == GROUP:
                            flush()
            if old:
                old.close()
    flush()
    print(pages, stored)


main()
