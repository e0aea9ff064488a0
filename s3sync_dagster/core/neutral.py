"""What says nothing of its own and is as large as something else: to ask whose fault a refusal is.

A service may refuse by size, by tokens, by the number of keys. Only what is alike in all of them
and is taken proves that the words of the other are at fault.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from s3sync_dagster.model.document import Metadata, MetadataValue, Record

Thing = TypeVar("Thing")
_KEPT = ' \n\r\t"'
"""Stands as it is: JSON writes some of these in two bytes."""
_MARKS = ".,;:!?-+*=()#~_|"
_MARK_DIGITS = 7


class _Characters(dict[int, str]):
    """A neutral character of the same kind and UTF-8 length for each.

    Beyond ASCII they are such that no tokenizer joins: signs of punctuation, and rare ideographs.
    Who spells text in bytes needs as many tokens for one of these as for anything of its length.
    """

    def __missing__(self, code: int) -> str:
        return "§" if code < 0x800 else "龘" if code < 0x10000 else "𠀀"


def _plain(char: str) -> str:
    if char in _KEPT:
        return char
    if char == "\\":
        return '"'
    if char.isdigit():
        return "7"
    return "a" if char.isalpha() or not char.isprintable() else ","


_CHARACTERS = _Characters({code: _plain(chr(code)) for code in range(128)})


def neutral_text(text: str, *, seed: str = "") -> str:
    """Return text of as many UTF-8 bytes and of at least about as many tokens.

    Letters become words of one letter, the most tokens that letters give; what is no letter is
    mostly a token by itself and stays one.

    Args:
        text: how large and of what kind.
        seed: hex digits, by which the text differs from others: eight bytes at its beginning, all
            that is returned where ``text`` is shorter. A cache would answer for a known text.
    """
    made = text.translate(_CHARACTERS)
    made = made.replace("aa", "a ").replace(",,", ",;").replace("§§", "§¿")
    if not seed:
        return made
    mark = "a" + "".join(_MARKS[int(digit, 16)] for digit in seed[:_MARK_DIGITS])
    size = len(made.encode())
    rest = made.encode()[len(mark) :].decode(errors="ignore")
    missing = size - len(mark) - len(rest.encode())  # of a character that the mark has cut
    return f"{mark}{'.' * missing}{rest}"


def neutral_record(record: Record, *, name: str, source_id: str) -> Record:
    """Return a record of the same size and shape: the same keys, with values that say nothing.

    It has no digits at the end of its id, as records of documents have, and carries its source:
    where its writer dies, it is found as a stray and taken for no document's.

    Args:
        record: that it is to be like.
        name: its id begins with this.
        source_id: of the source that writes it.
    """
    size = len(record.id.encode())
    return Record(
        id=f"{name}-".ljust(size - 1, "p") + "p",
        document=neutral_text(record.document),
        embedding_text=neutral_text(record.embedding_text),
        metadata={key: neutral_value(value) for key, value in record.metadata.items()}
        | {"s3sync_source": source_id},
    )


def neutral_value(value: MetadataValue) -> MetadataValue:
    """Return a value of the same type and of about as many characters."""
    if isinstance(value, list):
        return [_scalar(item) for item in value]  # pyright: ignore[reportReturnType]
    return None if value is None else _scalar(value)


def _scalar(value: str | float) -> str | float:
    match value:
        case bool():
            return value
        case str():
            return neutral_text(value)
        case int():
            return int("1" * len(str(abs(value))))
        case float():
            return float("0." + "1" * max(1, min(len(repr(value)) - 2, 16)))


def largest_texts(texts: Iterable[str]) -> list[str]:
    """Return the texts that are the largest by some measure: bytes, words, pieces of words."""
    return _largest(
        list(texts),
        [
            lambda text: len(text.encode()),
            lambda text: len(neutral_text(text).split()),
            lambda text: len("".join(neutral_text(text).split()).encode()),
        ],
    )


def largest_records(records: Iterable[Record]) -> list[Record]:
    """Return the records that are the largest by some measure: bytes, keys, keys to clear."""
    return _largest(
        list(records),
        [
            lambda record: len(record.document.encode()),
            lambda record: len(record.embedding_text.encode()),
            lambda record: _metadata_bytes(record.metadata),
            lambda record: len(record.document.encode()) + _metadata_bytes(record.metadata),
            lambda record: len(record.metadata),
            lambda record: sum(value is None for value in record.metadata.values()),
        ],
    )


def _metadata_bytes(metadata: Metadata) -> int:
    return len(repr(metadata).encode(errors="replace"))


def _largest(things: Sequence[Thing], measures: Sequence[Callable[[Thing], int]]) -> list[Thing]:
    found: list[Thing] = []
    for measure in measures if things else ():
        one = max(things, key=measure)
        if one not in found:
            found.append(one)
    return found
