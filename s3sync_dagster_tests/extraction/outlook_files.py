"""Outlook messages made from scratch: a compound file (MS-CFB, version 3) around MAPI properties.

No package at hand writes one, so this does, as the two specifications say: storages and streams in
512-byte sectors, small streams in 64-byte ones, a tree of names in each storage.
"""

import struct
from dataclasses import dataclass, field

_FREE, _END, _FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
_SECTOR, _MINI, _CUTOFF = 512, 64, 4096
_STORAGE, _STREAM, _ROOT = 1, 2, 5
_STRING, _BINARY, _INTEGER, _TIME, _OBJECT = 0x001F, 0x0102, 0x0003, 0x0040, 0x000D


@dataclass
class Entry:
    """A storage with children, or a stream with content."""

    name: str
    content: bytes | None = None
    children: list["Entry"] = field(default_factory=list)
    left: int = _FREE
    right: int = _FREE
    child: int = _FREE
    start: int = _END


def write_compound(root: Entry) -> bytes:
    """Return the compound file of a tree of entries."""
    entries = _numbered(root)
    sectors: list[bytes] = []
    chains: list[int] = []

    def store(content: bytes) -> int:
        first = len(sectors)
        count = -(-len(content) // _SECTOR)
        for i in range(count):
            sectors.append(content[i * _SECTOR : (i + 1) * _SECTOR].ljust(_SECTOR, b"\0"))
            chains.append(first + i + 1 if i + 1 < count else _END)
        return first if count else _END

    mini, mini_chains = b"", []
    for entry in entries:
        if not entry.content:
            continue
        if len(entry.content) >= _CUTOFF:
            entry.start = store(entry.content)
            continue
        entry.start = len(mini_chains)
        count = -(-len(entry.content) // _MINI)
        mini += entry.content.ljust(count * _MINI, b"\0")
        mini_chains += [*range(entry.start + 1, entry.start + count), _END]
    root.content, root.start = mini, store(mini)
    mini_table = b"".join(struct.pack("<I", link) for link in mini_chains)
    mini_table = mini_table.ljust(-(-len(mini_table) // _SECTOR) * _SECTOR, b"\xff")
    mini_start = store(mini_table)
    directory = b"".join(_directory_entry(entry, is_root=entry is root) for entry in entries)
    padding = -len(entries) % 4
    directory += struct.pack("<64xHBBIII36xIQ", 0, 0, 0, _FREE, _FREE, _FREE, 0, 0) * padding
    directory_start = store(directory)
    tables = 1
    while (len(chains) + tables) * 4 > tables * _SECTOR:
        tables += 1
    table_start = len(sectors)
    links = [*chains, *[_FAT] * tables]
    table = b"".join(struct.pack("<I", link) for link in links).ljust(tables * _SECTOR, b"\xff")
    header = struct.pack(
        "<8s16xHHHHH6xIIIIIIIIII",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        *(0x3E, 3, 0xFFFE, 9, 6),
        *(0, tables, directory_start, 0, _CUTOFF),
        *(mini_start, len(mini_table) // _SECTOR, _END, 0),
        table_start,
    )
    header += b"".join(struct.pack("<I", table_start + i) for i in range(1, tables))
    return header.ljust(_SECTOR, b"\xff") + b"".join(sectors) + table


def _numbered(root: Entry) -> list[Entry]:
    """Return all entries in the order of their numbers, with the trees of siblings set."""
    entries = [root]

    def number(parent: Entry) -> None:
        parent_children = sorted(parent.children, key=lambda e: (len(e.name), e.name.upper()))
        numbers = range(len(entries), len(entries) + len(parent_children))
        entries.extend(parent_children)
        parent.child = _tree(parent_children, numbers)
        for child in parent_children:
            number(child)

    number(root)
    return entries


def _tree(entries: list[Entry], numbers: range) -> int:
    if not entries:
        return _FREE
    middle = len(entries) // 2
    entries[middle].left = _tree(entries[:middle], numbers[:middle])
    entries[middle].right = _tree(entries[middle + 1 :], numbers[middle + 1 :])
    return numbers[middle]


def _directory_entry(entry: Entry, *, is_root: bool) -> bytes:
    name = entry.name.encode("utf-16-le") + b"\0\0"
    kind = _ROOT if is_root else _STORAGE if entry.content is None else _STREAM
    return name.ljust(64, b"\0") + struct.pack(
        "<HBBIII36xIQ",
        *(len(name), kind, 1, entry.left, entry.right, entry.child),
        entry.start if entry.content else (_END if kind == _STREAM else 0),
        len(entry.content or b""),
    )


def properties(values: dict[tuple[int, int], object], *, head: bytes) -> list[Entry]:
    """Return the streams of MAPI properties, by number and type."""
    rows, streams = head, []
    for (number, kind), value in sorted(values.items()):
        if kind == _INTEGER:
            body = struct.pack("<I4x", value)
        elif kind == _TIME:
            body = struct.pack("<Q", value)
        elif kind == _OBJECT:
            body = struct.pack("<II", 0xFFFFFFFF, 1)
        else:
            content = value.encode("utf-16-le") if isinstance(value, str) else bytes(value)
            streams.append(Entry(f"__substg1.0_{number:04X}{kind:04X}", content))
            body = struct.pack("<I4x", len(content) + 2 * (kind == _STRING))
        rows += struct.pack("<HHI", kind, number, 6) + body
    return [Entry("__properties_version1.0", rows), *streams]


def message(
    *,
    subject: str,
    body: str | None = None,
    html: bytes | None = None,
    attachments: tuple[Entry, ...] = (),
    embedded: bool = False,
) -> list[Entry]:
    """Return what the storage of a message holds."""
    counts = (1, len(attachments), 1, len(attachments))
    values: dict[tuple[int, int], object] = {
        (0x001A, _STRING): "IPM.Note",
        (0x0037, _STRING): subject,
        (0x0039, _TIME): (1_770_000_000 + 11_644_473_600) * 10**7,
        (0x0C1A, _STRING): "Ada Lovelace",
        (0x0C1F, _STRING): "ada@example.org",
        (0x340D, _INTEGER): 0x00040000,  # strings are Unicode
    }
    if body is not None:
        values[0x1000, _STRING] = body
    if html is not None:
        values[0x1013, _BINARY] = html
        values[0x3FDE, _INTEGER] = 65001
    recipient = properties(
        {(0x3001, _STRING): "Charles", (0x39FE, _STRING): "charles@example.org"}, head=bytes(8)
    )
    head = bytes(8) + struct.pack("<4I", *counts) + bytes(0 if embedded else 8)
    parts = [
        Entry(f"__attach_version1.0_#{number:08X}", children=part.children)
        for number, part in enumerate(attachments)
    ]
    return [
        *properties(values, head=head),
        Entry("__recip_version1.0_#00000000", children=recipient),
        *parts,
    ]


def attached_file(name: str, content: bytes, *, short: bool = False) -> Entry:
    values = {
        (0x3704 if short else 0x3707, _STRING): name,
        (0x3705, _INTEGER): 1,
        (0x3701, _BINARY): content,
    }
    return Entry("", children=properties(values, head=bytes(8)))


def attached_message(name: str, inner: list[Entry]) -> Entry:
    values = {(0x3001, _STRING): name, (0x3705, _INTEGER): 5, (0x3701, _OBJECT): None}
    storage = Entry("__substg1.0_3701000D", children=inner)
    return Entry("", children=[*properties(values, head=bytes(8)), storage])


def msg_file(parts: list[Entry]) -> bytes:
    """Return the MSG file of a message."""
    names = [Entry(f"__substg1.0_000{number}0102", b"") for number in (2, 3, 4)]
    return write_compound(
        Entry("Root Entry", children=[Entry("__nameid_version1.0", children=names), *parts])
    )
