#!/usr/bin/env python3
"""An independent reader of repositories, written from docs/architecture/repository-format.md alone.

It shares no code with the programs, so that what it restores proves the page. Needs Python 3.9, `cryptography` and
`zstandard`; with `google-crc32c` it is fast, without it the checksums are computed in Python.

    read_repository.py [--key-file FILE] STORE list
    read_repository.py [--key-file FILE] STORE verify
    read_repository.py [--key-file FILE] STORE restore BACKUP DIRECTORY
    read_repository.py [--key-file FILE] STORE wal CLUSTER SEGMENT FILE
    read_repository.py vectors
"""

import argparse
import collections
import datetime
import hashlib
import hmac
import json
import os
import re
import struct
import sys
import tempfile

import zstandard
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SLOT = 8192
FRAME = 262144


class Refused(Exception):
    """Something in the store that a reader must not use; the message names the object."""


def need(condition, name, reason):
    if not condition:
        raise Refused(f"{name}: {reason}")


# --- CRC-32C -----------------------------------------------------------------------------------------------------


def _crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC = _crc_table()


def _slow_crc32c(crc, data):
    crc ^= 0xFFFFFFFF
    for byte in data:
        crc = _CRC[(crc ^ byte) & 0xFF] ^ (crc >> 8)
    return crc ^ 0xFFFFFFFF


try:
    import google_crc32c

    crc32c = google_crc32c.extend
except ImportError:
    crc32c = _slow_crc32c


# --- Chapter 4: keys ---------------------------------------------------------------------------------------------


def derive(key, salt, info):
    return HKDF(hashes.SHA256(), 32, salt, info.encode("ascii")).derive(key)


class KeyFile:
    def __init__(self, path):
        with open(path, encoding="ascii") as file:
            fields = file.read(4096).split()
        need(len(fields) == 3 and fields[0] == "backupd-key-1", path, "not a key file")
        self.id = fields[1]
        self.key = bytes.fromhex(fields[2])
        need(len(self.key) == 32, path, "not 32 bytes")
        need(derive(self.key, b"", "backupd key file id")[:4].hex() == self.id, path, "id and key do not fit")


def unwrap(envelope, key_file, name):
    secret = bytes.fromhex(envelope["wrapped"])
    if key_file:
        need(envelope["keyFile"] == key_file.id, name, f"wants key file {envelope['keyFile']}")
        info = f"backupd envelope {envelope['repository']} {envelope['key']} {envelope['sequence']}"
        try:
            wrapping = AESGCM(derive(key_file.key, bytes.fromhex(envelope["salt"]), info))
            secret = wrapping.decrypt(bytes(12), secret, b"")
        except InvalidTag as error:
            raise Refused(f"{name}: does not open with this key file") from error
    need(len(secret) == 64, name, "not 64 bytes")
    return secret


# --- Chapter 3: small documents ----------------------------------------------------------------------------------


PLAIN_TAIL = rb',"sha256":"([0-9a-f]{64})"}\n'
AUTHENTIC_TAIL = rb',"key":"([0-9a-f]{32})","hmac":"([0-9a-f]{64})"}\n'


def split_document(raw, name, tail, length):
    """The content and the fields of the tail, which has a fixed length."""
    head = b'{"content":'
    end = re.fullmatch(tail, raw[-length:])
    need(len(raw) >= len(head) + length and raw.startswith(head) and end, name, "malformed document")
    return raw[len(head) : -length], [bytes.fromhex(field.decode()) for field in end.groups()]


def document_code(data_key, name, content):
    key = derive(data_key, b"", "backupd document")
    return hmac.new(key, name.encode() + b"\0" + content, hashlib.sha256).digest()


# --- Chapter 5: sealed objects -----------------------------------------------------------------------------------

KINDS = {1: "pack", 2: "metadata", 3: "manifest", 4: "checkpoint", 5: "wal-segment", 6: "wal-slice", 7: "timeline-history"}
PAGES, STREAM, HEADER, INDEX = 1, 2, 3, 4
Frame = collections.namedtuple("Frame", "number offset sealed plain role fingerprints")


class Sealed:
    """One sealed object. The table is read when it is asked for."""

    def __init__(self, repository, kind, name):
        self.name = name
        self.file = repository.open(name)
        self.size = os.fstat(self.file.fileno()).st_size
        need(self.size >= 112, name, "too short")
        self.header = self.read(0, 64)
        magic, version, found, zero = struct.unpack_from("<8sHHI", self.header)
        need(magic == b"BACKUPD\0", name, "no magic in the header")
        need(version == 1, name, f"format version {version}")
        need(found == kind, name, f"kind {found}, not {kind}")
        need(zero == 0, name, "reserved field of the header")
        info = f"backupd object {KINDS[kind]} {repository.id} {name}"
        self.cipher = AESGCM(derive(repository.data_key(self.header[16:32], name), self.header[32:64], info))
        self._frames = None

    def close(self):
        self.file.close()

    def read(self, offset, length):
        data = os.pread(self.file.fileno(), length, offset)
        need(len(data) == length, self.name, "ends early")
        return data

    def unseal(self, nonce, offset, sealed, plain, associated):
        need(16 <= sealed <= 65 << 20, self.name, "impossible length")
        data = self.read(offset, sealed)
        try:
            data = self.cipher.decrypt(struct.pack("<QI", nonce, 0), data, associated)
            data = zstandard.ZstdDecompressor().decompress(data, max_output_size=plain)
        except (InvalidTag, zstandard.ZstdError) as error:
            raise Refused(f"{self.name}: {'table' if nonce == 0xFFFFFFFF else f'frame {nonce}'} does not open") from error
        need(len(data) == plain, self.name, "plain length differs")
        return data

    @property
    def frames(self):
        if self._frames is None:
            footer = self.read(self.size - 32, 32)
            offset, sealed, plain, count, zero, magic = struct.unpack("<QIIII8s", footer)
            need(magic == b"BKPDTAIL" and zero == 0, self.name, "malformed footer")
            need(offset >= 64 and offset + sealed + 32 == self.size and plain <= 64 << 20, self.name, "table misplaced")
            need(sealed <= plain + (plain >> 8) + 64 + 16, self.name, "sealed table longer than its plain length allows")
            table = self.unseal(0xFFFFFFFF, offset, sealed, plain, self.header + footer)
            self._frames = self.decode_table(table, count, offset)
        return self._frames

    def decode_table(self, table, count, end):
        need(len(table) >= 16 * count, self.name, "table too short")
        frames, position, prints = [], 64, 16 * count
        for number in range(count):
            offset, sealed, plain, role, slots, zero = struct.unpack_from("<IIIBBH", table, 16 * number)
            need(role in (PAGES, STREAM, HEADER, INDEX) and zero == 0 and plain <= FRAME, self.name, "bad table entry")
            need(offset == position, self.name, "a gap between frames")
            need(slots * SLOT == (plain if role == PAGES else 0), self.name, "fingerprints and slots differ")
            values = [table[p : p + 16] for p in range(prints, prints + 16 * slots, 16)]
            frames.append(Frame(number, offset, sealed, plain, role, values))
            position, prints = position + sealed, prints + 16 * slots
        need(position == end and prints == len(table), self.name, "frames do not end where the table begins")
        return frames

    def frame(self, frame):
        return self.unseal(frame.number, frame.offset, frame.sealed, frame.plain, self.header)

    def of_role(self, role):
        for frame in self.frames:
            if frame.role == role:
                yield self.frame(frame)


# --- The repository ----------------------------------------------------------------------------------------------


DataKey = collections.namedtuple("DataKey", "id sequence data fingerprint")


class Repository:
    def __init__(self, root, key_file=None):
        self.root = root
        content = self.plain_document("repository.json")
        need(content["format"] == 1, "repository.json", f"format {content['format']}")
        self.id = content["repository"]
        self.keys = {key.id: key for key in self.unlock(key_file)}
        need(self.keys, "keys", f"no envelope for {'key file ' + key_file.id if key_file else 'none'}")
        self.current = max(self.keys.values(), key=lambda key: key.sequence)
        self.k1 = derive(self.current.fingerprint, b"", "backupd fingerprint 1")
        self.k2 = derive(self.current.fingerprint, b"", "backupd fingerprint 2")

    def unlock(self, key_file):
        """Every data key with an envelope that this key file opens."""
        recipient = f"key-file-{key_file.id}" if key_file else "none"
        for key in self.names("keys"):
            name = f"keys/{key}/{recipient}.json"
            if not re.fullmatch(r"[0-9a-f]{32}", key) or not os.path.exists(os.path.join(self.root, name)):
                continue
            envelope = self.plain_document(name)
            need(envelope["format"] == 1, name, f"format {envelope['format']}")
            if envelope["repository"] != self.id:
                continue  # left by a creation that was killed
            need(envelope["key"] == key, name, "of another key")
            need(envelope["recipient"] == recipient, name, "of another recipient")
            secret = unwrap(envelope, key_file, name)
            yield DataKey(bytes.fromhex(key), envelope["sequence"], secret[:32], secret[32:])

    def data_key(self, id, name):
        need(id in self.keys, name, f"sealed with data key {id.hex()}, which is not here")
        return self.keys[id].data

    def open(self, name):
        return open(os.path.join(self.root, name), "rb")

    def names(self, prefix):
        try:
            return sorted(os.listdir(os.path.join(self.root, prefix)))
        except FileNotFoundError:
            return []

    def document(self, name):
        with self.open(name) as file:
            raw = file.read((1 << 20) + 1)
        need(len(raw) <= 1 << 20, name, "too large")
        return raw

    def plain_document(self, name):
        content, (digest,) = split_document(self.document(name), name, PLAIN_TAIL, 78)
        need(hashlib.sha256(content).digest() == digest, name, "check does not fit")
        return json.loads(content)

    def authentic_document(self, name):
        content, (key, code) = split_document(self.document(name), name, AUTHENTIC_TAIL, 117)
        expected = document_code(self.data_key(key, name), name, content)
        need(hmac.compare_digest(expected, code), name, "check does not fit")
        document = json.loads(content)
        need(document["format"] == 1, name, f"format {document['format']}")
        return document

    def fingerprint(self, page):
        tag = AESGCM(self.k1).encrypt(bytes(12), b"", page)
        encryptor = Cipher(algorithms.AES(self.k2), modes.ECB()).encryptor()
        return encryptor.update(tag) + encryptor.finalize()

    def lineages(self):
        for cluster in self.names("clusters"):
            for identifier in self.names(f"clusters/{cluster}"):
                yield f"clusters/{cluster}/{identifier}"

    def backups(self):
        found = []
        for lineage in self.lineages():
            for name in self.names(lineage + "/backups"):
                if re.fullmatch(r"\d{8}T\d{6}Z-[a-z]{8}", name):
                    found.append(Backup(self, lineage, name))
        return sorted(found, key=lambda backup: (backup.lineage, backup.header["sequence"]))


# --- Chapters 7 and 8: manifests and page maps -------------------------------------------------------------------

Entry = collections.namedtuple("Entry", "path kind mode modified size crc target map")
FILE, DIRECTORY, LINK, CONFIGURATION, PART = 1, 2, 3, 4, 5


class Backup:
    def __init__(self, repository, lineage, id):
        self.repository, self.lineage, self.id = repository, lineage, id
        self.manifest = Sealed(repository, 3, f"{lineage}/backups/{id}")
        self.header = json.loads(b"".join(self.manifest.of_role(HEADER)))
        need(self.header["format"] == 1, self.manifest.name, f"header of format {self.header['format']}")
        _, cluster, identifier = lineage.split("/")
        names = (self.header["id"], self.header["cluster"], self.header["systemIdentifier"])
        need(names == (id, cluster, identifier), self.manifest.name, "manifest of another backup")
        self.metadata = {}
        self.plain = (None, None)

    def packs(self):
        """Packs and metadata packs: name of the object, sealed bytes in use, size of the object."""
        for data in self.manifest.of_role(INDEX):
            need(len(data) % 32 == 0, self.manifest.name, "list of packs")
            for id, live, size, kind, zero in struct.iter_unpack("<16sQIHH", data):
                need(kind in (1, 2) and zero == 0, self.manifest.name, "list of packs")
                yield f"{self.lineage}/{'packs' if kind == 1 else 'metadata'}/{id.hex()}", live, size

    def metadata_pack(self, id):
        if id not in self.metadata:
            self.metadata[id] = Sealed(self.repository, 2, f"{self.lineage}/metadata/{id}")
        return self.metadata[id]

    def entries(self):
        previous = b""
        objects = [self.metadata_pack(id) for id in self.header["parts"]] or [self.manifest]
        for part in objects:
            for data in part.of_role(STREAM):
                position = 0
                while position < len(data):
                    try:
                        entry, raw, position = self.decode_entry(data, position, part.name)
                    except (struct.error, UnicodeDecodeError) as error:
                        raise Refused(f"{part.name}: malformed entry") from error
                    need(previous < raw, part.name, "entries out of order")
                    previous = raw
                    logical = self.header["kind"] == "logical"
                    need((entry.kind == PART) == logical, part.name, "entry of another kind of backup")
                    yield entry

    @staticmethod
    def decode_entry(data, position, name):
        def take(form):
            nonlocal position
            values = struct.unpack_from("<" + form, data, position)
            position += struct.calcsize("<" + form)
            return values if len(values) > 1 else values[0]

        raw = take(f"{take('H')}s")
        kind, zero, mode, modified, size, crc = take("BBHqQI")
        target = take(f"{take('H')}s")
        length = take("I")
        where = take("16sII") + (length,) if length else None
        need(kind in (FILE, DIRECTORY, LINK, CONFIGURATION, PART), name, "entry of unknown kind")
        parts = raw.split(b"/")
        need(raw.startswith(b"/") == (kind == CONFIGURATION), name, "absolute path")
        parts = parts[1:] if kind == CONFIGURATION else parts
        need(b"\0" not in raw and not any(part in (b"", b".", b"..") for part in parts), name, "path that leads elsewhere")
        need(size < 1 << 45 and (where is not None) == (size > 0), name, "size and page map do not fit")
        return Entry(raw.decode(), kind, mode, modified, size, crc, target.decode(), where), raw, position

    def map_bytes(self, entry):
        id, number, offset, length = entry.map
        pack = self.metadata_pack(id.hex())
        data = b""
        while len(data) < length:
            need(number < len(pack.frames) and pack.frames[number].role == STREAM, pack.name, "page map beyond the end")
            if self.plain[0] != (id, number):
                self.plain = ((id, number), pack.frame(pack.frames[number]))
            piece = self.plain[1][offset : offset + length - len(data)]
            need(piece, pack.name, "page map beyond its frame")
            data, number, offset = data + piece, number + 1, 0
        return pack, data

    def runs(self, entry):
        """(pack, frame, first byte, number of bytes) in the order of the entry's bytes; the last may be longer than it."""
        if entry.map is None:
            return
        pack, data = self.map_bytes(entry)
        if entry.kind == PART:
            yield from self.piece_runs(entry, pack, data)
            return
        length = len(data)
        packs, frames, runs = struct.unpack_from("<III", data)
        need(length == 12 + 16 * packs + 20 * frames + 16 * runs, pack.name, "length of a page map")
        ids = [data[12 + 16 * i : 28 + 16 * i].hex() for i in range(packs)]
        base = 12 + 16 * packs
        places = [struct.unpack_from("<IIIII", data, base + 20 * i) for i in range(frames)]
        base += 20 * frames
        expected = 0
        for i in range(runs):
            first, count, frame, slot = struct.unpack_from("<IIII", data, base + 16 * i)
            need(first == expected and count > 0 and frame < frames, pack.name, f"page map of {entry.path}")
            index, number, offset, sealed, plain = places[frame]
            need(index < packs and (slot + count) * SLOT <= plain <= FRAME, pack.name, f"page map of {entry.path}")
            yield ids[index], Frame(number, offset, sealed, plain, PAGES, ()), slot * SLOT, count * SLOT
            expected += count
        need(expected == (entry.size + SLOT - 1) // SLOT, pack.name, f"page map of {entry.path} is not complete")

    @staticmethod
    def piece_runs(entry, pack, data):
        packs, frames, runs = struct.unpack_from("<III", data)
        base = 12 + 16 * packs + 20 * frames
        need(base + 3 * runs <= len(data), pack.name, "length of a piece map")
        ids = [data[12 + 16 * i : 28 + 16 * i].hex() for i in range(packs)]
        places = [struct.unpack_from("<IIIII", data, 12 + 16 * packs + 20 * i) for i in range(frames)]
        numbers = Numbers(data[base:], pack.name)
        frame = total = 0
        for _ in range(runs):
            frame, first, count = frame + numbers.zigzag(), numbers.varint(), numbers.varint()
            need(0 <= frame < frames and count > 0, pack.name, f"piece map of {entry.path}")
            index, number, offset, sealed, plain = places[frame]
            need(index < packs and first + count <= plain <= FRAME, pack.name, f"piece map of {entry.path}")
            yield ids[index], Frame(number, offset, sealed, plain, STREAM, ()), first, count
            total += count
        need(total == entry.size, pack.name, f"piece map of {entry.path} is not complete")


class Content:
    """Reads files of a backup, page by page, remembering what was opened last."""

    def __init__(self, backup):
        self.backup, self.packs, self.frames = backup, {}, collections.OrderedDict()

    def frame(self, id, frame):
        key = (id, frame.number)
        if key not in self.frames:
            if id not in self.packs:
                self.packs[id] = Sealed(self.backup.repository, 1, f"{self.backup.lineage}/packs/{id}")
            self.frames[key] = self.packs[id].frame(frame)
            if len(self.frames) > 64:
                self.frames.popitem(last=False)
        return self.frames[key]

    def pieces(self, entry):
        left = entry.size
        for id, frame, first, count in self.backup.runs(entry):
            piece = self.frame(id, frame)[first : first + count][:left]
            left -= len(piece)
            yield piece
        need(left == 0, entry.path, "too short")

    def copy(self, entry, write):
        crc = 0
        for piece in self.pieces(entry):
            crc = crc32c(crc, piece)
            write(piece)
        need(crc == entry.crc, f"{self.backup.id}: {entry.path}", f"CRC-32C {crc:08x}, not {entry.crc:08x}")


def dump(backup, stream, path):
    """A stream of a logical backup as one file."""
    need(backup.header["kind"] == "logical", backup.id, "no logical backup")
    content, parts = Content(backup), 0
    with open(path, "xb") as file:
        for entry in backup.entries():
            if entry.path.startswith(stream + "/"):
                need(entry.path == f"{stream}/{parts:08}", backup.id, "parts out of order")
                content.copy(entry, file.write)
                parts += 1
    need(parts > 0, backup.id, f"no stream {stream}")
    return parts


def restore(backup, directory):
    content, files, last = Content(backup), 0, None
    os.mkdir(directory, 0o700)
    for entry in backup.entries():
        if entry.kind == CONFIGURATION:
            path = directory + ".configuration" + entry.path
            os.makedirs(os.path.dirname(path), exist_ok=True)
        else:
            path = os.path.join(directory, entry.path)
        files += 1
        if entry.kind == DIRECTORY:
            os.makedirs(path, exist_ok=True)
            os.chmod(path, entry.mode)
        elif entry.kind == LINK:
            # The files of a tablespace lie below its link; here they stay there, and the target is only told.
            print(f"link {entry.path} -> {entry.target}: restored as a directory")
            os.makedirs(path, exist_ok=True)
        elif entry.path == "global/pg_control":
            last = (entry, path)
        else:
            write_file(content, entry, path)
    need(files == backup.header["fileCount"], backup.id, f"{files} entries, not {backup.header['fileCount']}")
    if last:
        write_file(content, *last)
    return files


def write_file(content, entry, path):
    with open(path, "xb") as file:
        content.copy(entry, file.write)
    os.chmod(path, entry.mode)
    os.utime(path, (entry.modified, entry.modified))


# --- Chapter 9: WAL ----------------------------------------------------------------------------------------------

INT64_MIN = -(1 << 63)


class Numbers:
    def __init__(self, data, name):
        self.data, self.name, self.position = data, name, 0

    def fixed(self, form):
        values = struct.unpack_from("<" + form, self.data, self.position)
        self.position += struct.calcsize("<" + form)
        return values

    def byte(self):
        need(self.position < len(self.data), self.name, "index ends early")
        self.position += 1
        return self.data[self.position - 1]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            need(value < 1 << 64, self.name, "varint too long")
            if byte < 0x80:
                return value
            shift += 7

    def zigzag(self):
        value = self.varint()
        return (value >> 1) ^ -(value & 1)


def decode_index(data, name):
    numbers = Numbers(data, name)
    version, flags, timeline, first, end, complete, open_record, clock, entries, points = numbers.fixed("HHIQQQQqII")
    need(version == 1, name, f"index version {version}")
    result = {"timeline": timeline, "first": first, "end": end, "complete": complete, "entries": [], "points": []}
    result["partial"], result["clock"] = bool(flags & 1), None if clock == INT64_MIN else clock
    position, xid, time = first, 0, 0
    for _ in range(entries):
        outcome = numbers.byte()
        need(outcome < 4, name, "unknown outcome")
        start = (position + numbers.zigzag()) % (1 << 64)
        position = (start + numbers.varint()) % (1 << 64)
        xid, time = xid + numbers.zigzag(), time + numbers.zigzag()
        need(0 <= xid < 1 << 32, name, "transaction id")
        result["entries"].append((outcome, xid, time, start, position))
    for _ in range(points):
        start, length, time, size = numbers.varint(), numbers.varint(), numbers.zigzag(), numbers.varint()
        need(size <= len(data) - numbers.position, name, "index ends early")
        text = data[numbers.position : numbers.position + size].decode()
        numbers.position += size
        result["points"].append((start, start + length, time, text))
    need(numbers.position == len(data), name, "bytes after the index")
    return result


def read_wal(repository, kind, name):
    sealed = Sealed(repository, kind, name)
    data = b"".join(sealed.of_role(STREAM))
    index = decode_index(b"".join(sealed.of_role(INDEX)), name)
    sealed.close()
    need(index["end"] - index["first"] == len(data), name, "index and bytes differ in length")
    return data, index


def slices(repository, prefix):
    found = []
    for name in repository.names(prefix):
        if re.fullmatch(r"[0-9A-F]{16}-[0-9A-F]{16}", name):
            found.append((int(name[:16], 16), int(name[17:], 16), f"{prefix}/{name}"))
    return sorted(found)


def read_segment(repository, lineage, segment, size):
    """The segment's bytes and how many of them are known."""
    name = f"{lineage}/wal/{segment[:8]}/{segment}"
    per_id = (1 << 32) // size
    start = (int(segment[8:16], 16) * per_id + int(segment[16:], 16)) * size
    if os.path.exists(os.path.join(repository.root, name)):
        data, index = read_wal(repository, 5, name)
        need(len(data) == size and index["first"] == start, name, "not a segment")
        return data, size
    data, position, known = bytearray(size), start, slices(repository, name + ".partial")
    while True:
        best = max((s for s in known if s[0] <= position), key=lambda s: s[1], default=(0, 0, ""))
        if best[1] <= position:
            return bytes(data), position - start
        piece, _ = read_wal(repository, 6, best[2])
        need(len(piece) == best[1] - best[0], best[2], "not as long as its name says")
        data[best[0] - start : best[1] - start] = piece
        position = best[1]


def clocks(repository, lineage, prefix):
    """What an idle server's clock said: the documents, each compared with its name."""
    for component in repository.names(prefix):
        match = re.fullmatch(r"([0-9A-F]{16})-at-([0-9A-F]{16})", component)
        if match:
            name = f"{prefix}/{component}"
            document = repository.authentic_document(name)
            (clock,) = struct.unpack(">q", bytes.fromhex(match[2]))
            told = (lsn(document["end"]), microseconds(document["clock"]), document["timeline"])
            timeline = int(prefix[len(lineage) + 5 :][:8], 16)
            need(told == (int(match[1], 16), clock, timeline), name, "another clock than its name says")
            yield document


def lsn(text):
    high, low = text.split("/")
    return int(high, 16) << 32 | int(low, 16)


def microseconds(text):
    time = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return (time - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) // datetime.timedelta(microseconds=1)


# --- Commands ----------------------------------------------------------------------------------------------------


def command_list(repository):
    print(f"repository {repository.id}, data key {repository.current.id.hex()}")
    for backup in repository.backups():
        header = backup.header
        print(
            f"{backup.lineage}: {backup.id} sequence {header['sequence']} {header['startLSN']} to {header['stopLSN']}"
            f" timeline {header['timeline']} {header['fileCount']} entries {header['totalBytes']} bytes"
            f" in {sum(1 for _ in backup.packs())} packs"
        )


def command_verify(repository):
    """Opens every object there is."""
    for lineage in repository.lineages():
        for name in repository.names(lineage + "/gaps"):
            print("gap", repository.authentic_document(f"{lineage}/gaps/{name}"))
        verify_packs(repository, lineage)
        verify_wal(repository, lineage)
    for backup in repository.backups():
        content, used = Content(backup), collections.Counter()
        seen = set()
        for entry in backup.entries():
            content.copy(entry, lambda piece: None)
            for id, frame, _, _ in backup.runs(entry):
                if (id, frame.number) not in seen:
                    seen.add((id, frame.number))
                    used[f"{backup.lineage}/packs/{id}"] += frame.sealed
            if entry.map and entry.map[0] not in seen:
                seen.add(entry.map[0])
                pack = backup.metadata_pack(entry.map[0].hex())
                used[pack.name] = sum(frame.sealed for frame in pack.frames)
        listed = list(backup.packs())
        for name, _, size in listed:
            need(os.path.getsize(os.path.join(repository.root, name)) == size, name, "another size than listed")
        need({name: live for name, live, _ in listed} == used, backup.id, "list of packs differs from the page maps")
        print(f"backup {backup.id}: all files whole, {len(used)} packs as listed")


def verify_packs(repository, lineage):
    frames = pages = 0
    for name in repository.names(lineage + "/packs"):
        pack = Sealed(repository, 1, f"{lineage}/packs/{name}")
        need(pack.size <= 32 << 20, pack.name, "larger than 32 MiB")
        for frame in pack.frames:
            data = pack.frame(frame)
            need(frame.role in (PAGES, STREAM), pack.name, "role of a frame")
            if frame.role == STREAM:
                frames += 1
                continue
            # Each fingerprint of the first and last frame, one of every other: AES in Python's hands is slow.
            whole = frame.number in (0, len(pack.frames) - 1)
            for slot in range(len(frame.fingerprints) if whole else 1):
                value = repository.fingerprint(data[slot * SLOT : (slot + 1) * SLOT])
                need(value == frame.fingerprints[slot], pack.name, f"fingerprint of frame {frame.number} slot {slot}")
            frames, pages = frames + 1, pages + len(frame.fingerprints)
        pack.close()
    for name in repository.names(lineage + "/metadata"):
        pack = Sealed(repository, 2, f"{lineage}/metadata/{name}")
        frames += sum(1 for _ in pack.of_role(STREAM))
    print(f"{lineage}: {frames} frames, {pages} pages open")


def verify_wal(repository, lineage):
    for timeline in repository.names(lineage + "/wal"):
        prefix = f"{lineage}/wal/{timeline}"
        if timeline.endswith(".history"):
            sealed = Sealed(repository, 7, prefix)
            print(f"{timeline}: {len(b''.join(sealed.of_role(STREAM)))} bytes")
            continue
        for name in repository.names(prefix):
            if name.endswith(".partial"):
                objects = [(6, path) for _, _, path in slices(repository, f"{prefix}/{name}")]
                for clock in clocks(repository, lineage, f"{prefix}/{name}"):
                    print(f"{name}: idle at {clock['end']}, clock {clock['clock']}")
            else:
                objects = [(5, f"{prefix}/{name}")]
            for kind, path in objects:
                data, index = read_wal(repository, kind, path)
                outcomes = collections.Counter(entry[0] for entry in index["entries"])
                clock = index["clock"] and datetime.datetime.fromtimestamp(index["clock"] / 1e6, datetime.timezone.utc)
                print(
                    f"{path[len(prefix) + 1:]}: {len(data)} bytes, {outcomes[0] + outcomes[2]} commits,"
                    f" {outcomes[1] + outcomes[3]} aborts, {len(index['points'])} restore points, clock {clock}"
                )


def command_vectors():
    """Chapter 15."""
    repository, key = "00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"
    file, one, two = KeyFile.__new__(KeyFile), "0" * 31 + "1", "0" * 31 + "2"
    file.key, file.id = bytes(range(32)), "d811b259"
    data, lineage = bytes([0x11]) * 32, "clusters/main/7711138276018585222"
    prints = Repository.__new__(Repository)
    prints.k1 = derive(bytes([0x22]) * 32, b"", "backupd fingerprint 1")
    prints.k2 = derive(bytes([0x22]) * 32, b"", "backupd fingerprint 2")
    for found, wanted in [
        (derive(file.key, b"", "backupd key file id")[:4], file.id),
        (
            derive(file.key, bytes([0x55]) * 32, f"backupd envelope {repository} {key} 1"),
            "6c432e6fc9b1efa1a59bf65aec2c3549b51cd67743dfe277d76e15fbcebd1a71",
        ),
        (
            derive(data, bytes([0x33]) * 32, f"backupd object pack {repository} {lineage}/packs/{one}"),
            "e8cd9aa6e19f82ce9fc2eecf302bce1706774639770ae9526e85589b1bd932da",
        ),
        (hashlib.sha256(b'{"a":1}').digest(), "015abd7f5cc57a2dd94b7590f04ad8084273905ee33ec5cebeae62276a97f862"),
        (
            document_code(data, f"{lineage}/gaps/{one}", b'{"a":1}'),
            "f581ffc55588c1b8fe7d9f8432203b71e03b36b17a8aeed7892a1e2a32207222",
        ),
        (prints.fingerprint(bytes(SLOT)), "18d6bee1a42f7098106eed76e992840c"),
        (struct.pack(">I", _slow_crc32c(0, b"123456789")), "e3069283"),
    ]:
        need(found.hex() == wanted, "vectors", f"{found.hex()}, not {wanted}")

    wrapped = """df35ac4b99a0fbaf982a774428ac461c55375d346086535bf4a93a17b69039b4
        64deb350f5d422bf3260b92b969d155aea79245a9146875e82b09a94f6616684 c41e0374281bf02aeb79936da3fedc1c"""
    content = {"format": 1, "repository": repository, "key": key, "recipient": "key-file-d811b259", "sequence": 1}
    content |= {"keyFile": file.id, "salt": "55" * 32, "wrapped": "".join(wrapped.split())}
    with tempfile.TemporaryDirectory() as root:

        def put(name, raw):
            path = os.path.join(root, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as target:
                target.write(raw)

        def put_plain(name, content):
            text = json.dumps(content).encode()
            put(name, b'{"content":%b,"sha256":"%b"}\n' % (text, hashlib.sha256(text).hexdigest().encode()))

        partial = f"{lineage}/wal/00000001/0000000100000016000000B3.partial"
        put_plain("repository.json", {"format": 1, "repository": repository, "created": "2026-11-02T03:00:00Z"})
        put_plain(f"keys/{key}/key-file-d811b259.json", content)
        put(f"{partial}/00000016B374D848-at-00065F4257748C01", VECTOR_CLOCK)
        put(f"{lineage}/wal/00000002.history", bytes.fromhex(VECTOR_HISTORY))
        opened = Repository(root, file)
        need(opened.current.data == data, "vectors", "another data key")
        need(len(list(clocks(opened, lineage, partial))) == 1, "vectors", "no clock")
        history = Sealed(opened, 7, f"{lineage}/wal/00000002.history")
        text = b"".join(history.of_role(STREAM))
        need(text == b"1\t16/B374D848\tno recovery target specified\n", "vectors", "another history")
        history.close()

    entry, _, end = Backup.decode_entry(bytes.fromhex(VECTOR_ENTRY), 0, "vectors")
    wanted = ("base/5/2619", FILE, 0o600, 1793588400, 12288, 0xE3069283, "", (bytes.fromhex(two), 0, 28, 64))
    need(entry == wanted and end * 2 == len("".join(VECTOR_ENTRY.split())), "vectors", "another entry")
    index = decode_index(bytes.fromhex(VECTOR_INDEX), "vectors")
    start, second = 0x16B3000000, 1793588400000000
    need(index["entries"] == [(0, 748213, second, start + 0x60, start + 0xA0)], "vectors", "other transactions")
    points = [(start + 0xA0, start + 0x108, second + 1, "before_migration")]
    need(index["points"] == points and index["clock"] == second + 1, "vectors", "other restore points")
    print("vectors fit")


VECTOR_CLOCK = (
    b'{"content":{"clock":"2026-11-02T03:00:00.000001Z","end":"16/B374D848","format":1,"timeline":1},'
    b'"key":"ffeeddccbbaa99887766554433221100",'
    b'"hmac":"ba8520e0ad37dac821d92a5a1c4b334d38ad42bc2686f422e506a1f89992355f"}\n'
)
VECTOR_HISTORY = """
    4241434b555044000100070000000000ffeeddccbbaa99887766554433221100
    3333333333333333333333333333333333333333333333333333333333333333
    89ad7bb46929a36b50b0a285685eb48d107d8bb6dce269573a8a85862770f47c
    d608e71616dbe315acc2b82e454668051f6b65384860a9c525ef132c2140a338
    54d0d75d
    684bf6a397873d259220f30feb8a6dc9534538e6dc2822a0ecb8999b4ca09e2a
    d98033d841a18efcd8
    840000000000000029000000100000000100000000000000424b50445441494c
"""
VECTOR_ENTRY = """
    0b00 626173652f352f32363139 01 00 8001 b0fce76a00000000 0030000000000000 839206e3 0000
    40000000 00000000000000000000000000000002 00000000 1c000000
"""
VECTOR_INDEX = """
    0100 0000 01000000 000000b316000000 000200b316000000 480100b316000000 480100b316000000 018c7457425f0600
    01000000 01000000
    00 c001 40 eaaa5b 80b0a4f7cad0af06
    a0818098eb02 68 82b0a4f7cad0af06 10 6265666f72655f6d6967726174696f6e
"""


def main():
    if sys.argv[1:] == ["vectors"]:
        return command_vectors()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--key-file")
    parser.add_argument("store")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list")
    commands.add_parser("verify")
    command = commands.add_parser("restore")
    command.add_argument("backup")
    command.add_argument("directory")
    command = commands.add_parser("dump")
    command.add_argument("backup")
    command.add_argument("stream")
    command.add_argument("file")
    command = commands.add_parser("wal")
    command.add_argument("cluster")
    command.add_argument("segment")
    command.add_argument("file")
    options = parser.parse_args()
    repository = Repository(options.store, KeyFile(options.key_file) if options.key_file else None)
    if options.command == "list":
        command_list(repository)
    elif options.command == "verify":
        command_verify(repository)
    elif options.command in ("restore", "dump"):
        backup = next((b for b in repository.backups() if b.id == options.backup), None)
        need(backup, options.backup, "no such backup")
        if options.command == "dump":
            print(f"{dump(backup, options.stream, options.file)} parts written, each one's CRC-32C fits")
            return
        print(f"{restore(backup, options.directory)} entries restored, each file's CRC-32C fits")
    else:
        lineage = next(name for name in repository.lineages() if name.split("/")[1] == options.cluster)
        size = next(b.header["walSegmentBytes"] for b in repository.backups() if b.lineage == lineage)
        data, known = read_segment(repository, lineage, options.segment, size)
        with open(options.file, "xb") as file:
            file.write(data)
        print(f"{known} of {size} bytes are known")


if __name__ == "__main__":
    try:
        main()
    except Refused as refusal:
        sys.exit(f"refused: {refusal}")
