"""What a reader may give besides a document: something that needs another reader."""

from dataclasses import dataclass, field

from s3sync_dagster.model.document import Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """The same content in a format that another reader takes."""

    content: bytes
    name: str
    """Its suffix says who reads it."""
    engine: str
    """Who converted."""
    plain: Document | None = None
    """The text alone, by another way: what the converter must not lose."""
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """A file inside a file."""

    name: str
    content: bytes
    content_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """A message: what its own reader knows, and what others have to read."""

    headers: tuple[tuple[str, str], ...]
    """Name and value, in the order in which they are shown."""
    subject: str | None = None
    author: str | None = None
    created: str | None = None
    text: str = ""
    """Plain body; empty where ``html`` is the body."""
    html: bytes = b""
    attachments: tuple[Attachment, ...] = ()
    engine: str = "email"
    warnings: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True, kw_only=True)
class PdfPages:
    """The pages of a PDF as far as they have text, and those that have to be looked at."""

    texts: tuple[str, ...]
    """Markdown or plain text of each page; empty for a scan."""
    scans: tuple[int, ...]
    """Indices of pages whose text layer is missing or garbled."""
    pictures: frozenset[int] = frozenset()
    """Those of which it is missing, where that is known; the text is of fields and notes then."""
    plain: dict[int, str] = field(default_factory=dict)
    """Why pages are plain text, by index: their layout was not believed."""
    hard: tuple[int, ...] = ()
    """Indices of pages that docling's models shall read; only where these are there."""
    continued: frozenset[int] = frozenset()
    """Indices of pages that begin with the rest of the table that ends the page before."""
    engine: str
    title: str | None = None
    author: str | None = None
    created: str | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A picture of a file."""

    name: str
    page: str | None
    """Label of its page, in a PDF."""
    text: str
    """What Tesseract reads in it; empty where that is no text."""
    jpeg: bytes
    """At most 1,024 pixels wide and high; empty where nobody asked for it."""
