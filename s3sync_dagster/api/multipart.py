"""multipart/form-data read while it arrives: fields in memory, the file handed on in pieces."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from s3sync_dagster.model.errors import InvalidSetting

MAX_PARTS = 20


class FileSink(Protocol):
    """Where the bytes of the file part go."""

    def write(self, data: memoryview) -> None:
        """Take a piece."""
        ...


@dataclass(slots=True)
class FilePart:
    """The headers of the file part."""

    filename: str
    content_type: str | None


OpenFile = Callable[[Mapping[str, str], FilePart], FileSink]
"""Called when the file begins, with the fields that came before it."""


@dataclass(slots=True)
class Form:
    """What a form held, once ``finish`` has returned."""

    fields: dict[str, str] = field(default_factory=dict[str, str])
    file: FilePart | None = None


class FormReader:
    """Takes the body piece by piece.

    Args:
        content_type: of the request, with its boundary.
        limits: bytes that each field may have; other fields are refused.
        file_name: name of the one part that is a file.
        open_file: gives the sink when the file begins; what it raises ends the reading.

    Raises (all methods):
        InvalidSetting: the body is no such form; the message names the part and the rule.
    """

    def __init__(
        self,
        content_type: str,
        *,
        limits: Mapping[str, int],
        file_name: str,
        open_file: OpenFile,
    ) -> None:
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/form-data" or not boundary:
            raise InvalidSetting("The body has to be multipart/form-data with a boundary.")
        self.form = Form()
        self._limits = limits
        self._file_name = file_name
        self._open_file = open_file
        self._headers: dict[bytes, bytes] = {}
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._name = ""
        self._value = bytearray()
        self._sink: FileSink | None = None
        self._parts = 0
        self._ended = False
        try:
            self._parser = MultipartParser(
                boundary,
                {
                    "on_part_begin": self._part_begins,
                    "on_header_field": self._header_name_comes,
                    "on_header_value": self._header_value_comes,
                    "on_header_end": self._header_ends,
                    "on_headers_finished": self._headers_end,
                    "on_part_data": self._data_comes,
                    "on_part_end": self._part_ends,
                    "on_end": self._form_ends,
                },
            )
        except FormParserError:
            raise _broken() from None

    def feed(self, data: bytes) -> None:
        """Take a piece of the body."""
        try:
            self._parser.write(data)
        except FormParserError:
            raise _broken() from None

    def finish(self) -> Form:
        """Return the form after the last piece."""
        try:
            self._parser.finalize()
        except FormParserError:
            raise _broken() from None
        if not self._ended:
            raise _broken()
        return self.form

    def _part_begins(self) -> None:
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise InvalidSetting(f"The form has more than {MAX_PARTS} parts.")
        self._headers.clear()
        self._value.clear()

    def _header_name_comes(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _header_value_comes(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _header_ends(self) -> None:
        self._headers[bytes(self._header_name).lower()] = bytes(self._header_value)
        self._header_name.clear()
        self._header_value.clear()

    def _headers_end(self) -> None:
        kind, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if kind != b"form-data" or b"name" not in options:
            raise _broken()
        self._name = _text(options[b"name"], "the name of a part")
        if self._name in self.form.fields or (self._name == self._file_name and self.form.file):
            raise InvalidSetting(f"The part {self._name[:64]!r} comes twice.")
        if self._name != self._file_name:
            if self._name not in self._limits:
                raise InvalidSetting(f"There is no part {ascii(self._name)[:100]} in this form.")
            return
        filename = _text(options.get(b"filename", b""), "the file's name")
        if not filename:
            raise InvalidSetting(f"The part {self._file_name!r} has no filename.")
        given = self._headers.get(b"content-type")
        self.form.file = FilePart(filename, given.decode("latin-1").strip() if given else None)
        self._sink = self._open_file(dict(self.form.fields), self.form.file)

    def _data_comes(self, data: bytes, start: int, end: int) -> None:
        if self._sink is not None:
            self._sink.write(memoryview(data)[start:end])
            return
        self._value += data[start:end]
        if len(self._value) > self._limits[self._name]:
            raise InvalidSetting(
                f"The part {self._name!r} has more than {self._limits[self._name]} bytes."
            )

    def _part_ends(self) -> None:
        if self._sink is not None:
            self._sink = None
            return
        self.form.fields[self._name] = _text(bytes(self._value), f"the part {self._name!r}")

    def _form_ends(self) -> None:
        self._ended = True


def _text(data: bytes, what: str) -> str:
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        raise InvalidSetting(f"{what[0].upper()}{what[1:]} is not UTF-8.") from None
    if "\x00" in text:
        raise InvalidSetting(f"{what[0].upper()}{what[1:]} holds a NUL character.")
    return text


def _broken() -> InvalidSetting:
    return InvalidSetting("The body is no complete multipart form.")
