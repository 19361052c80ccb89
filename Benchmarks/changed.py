"""Pages that differ from those of a moment before, and their size compressed: the least a backup could store.

    changed.py remember DIRECTORY FILE     notes a hash of each page
    changed.py compare DIRECTORY FILE      prints: pages that differ, their bytes by zstd level 1 in groups of 256 KiB
"""
import hashlib
import os
import pickle
import sys

import zstandard

PAGE, GROUP = 8192, 32
# What a base backup leaves out, PostgreSQL's own as ours.
EMPTIED = {"pg_wal", "pg_replslot", "pg_stat_tmp", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_subtrans",
           "pgsql_tmp"}
LEFT_OUT = {"pg_internal.init", "postmaster.pid", "postmaster.opts"}


def pages(directory):
    """Path, number, content and hash of each page."""
    for place, below, names in os.walk(directory):
        below[:] = [name for name in below if name not in EMPTIED]
        for name in names:
            if name in LEFT_OUT:
                continue
            path = os.path.join(place, name)
            with open(path, "rb") as file:
                number = 0
                while page := file.read(PAGE):
                    yield path, number, page, hashlib.blake2b(page, digest_size=16).digest()
                    number += 1


def remember(directory, file):
    known = {}
    for path, _, _, digest in pages(directory):
        known.setdefault(path, []).append(digest)
    with open(file, "wb") as output:
        pickle.dump(known, output)


def compare(directory, file):
    with open(file, "rb") as source:
        known = pickle.load(source)
    compressor = zstandard.ZstdCompressor(level=1)
    count, stored, group = 0, 0, []
    for path, number, page, digest in pages(directory):
        before = known.get(path, [])
        if number < len(before) and before[number] == digest:
            continue
        count += 1
        group.append(page)
        if len(group) == GROUP:
            stored += len(compressor.compress(b"".join(group)))
            group.clear()
    if group:
        stored += len(compressor.compress(b"".join(group)))
    print(count, stored)


{"remember": remember, "compare": compare}[sys.argv[1]](*sys.argv[2:])
