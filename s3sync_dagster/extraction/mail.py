"""E-mail: EML with the standard library, MHTML as the page it holds."""

import email
import email.policy
import html
import re
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Literal, cast

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.beside_text import short_header, short_label, short_name
from s3sync_dagster.extraction.content import read_all
from s3sync_dagster.extraction.decoding import decode, is_text
from s3sync_dagster.extraction.steps import Attachment, Converted, Mail
from s3sync_dagster.model.errors import UnreadableFile, UnsupportedFile
from s3sync_dagster.model.source import ExtractionConfig

MAX_PARTS = 200
_WORD, _TAG = re.compile(r"\w+"), re.compile(r"<[^<>]*>")
_BLANK_LINES = re.compile(r"\n\s*\n")
_SHOWN = ("From", "To", "Cc", "Date", "Subject")


def read_eml(content: Content, *, name: str, config: ExtractionConfig) -> Mail:
    """Return a message; its attachments are read by whoever reads such files."""
    del name, config
    message = _parse(read_all(content))
    headers = tuple((key, short_header(_header(message, key))) for key in _SHOWN if message[key])
    if not headers and not message.is_multipart():
        raise UnreadableFile("The file is no e-mail: it has no header.", reason="damaged")
    plain, page = _body(message)
    warnings: list[str] = []
    return Mail(
        headers=headers,
        subject=short_label(_header(message, "Subject")) or None,
        author=short_label(_header(message, "From")) or None,
        created=_iso_date(message),
        text=plain,
        html=page,
        attachments=tuple(_attachments(message, warnings)),
        warnings=tuple(warnings),
    )


def read_mhtml(content: Content, *, name: str, config: ExtractionConfig) -> Converted:
    """Return the page that a web archive holds."""
    del config
    page = page_of(read_all(content))
    if page is None:
        raise UnreadableFile("The web archive holds no page.", reason="damaged")
    return Converted(content=page, name=Path(name).stem + ".html", engine="email")


def page_of(archive: bytes) -> bytes | None:
    """Return the page that a web archive holds, in UTF-8; None where there is none."""
    for part in _parse(archive).walk():
        if part.get_content_type() in ("text/html", "application/xhtml+xml"):
            return _decoded(part).encode()
    return None


def _parse(content: bytes) -> EmailMessage:
    if b"\0" in content[:64] and is_text(content[:4096]):
        content = decode(content).text.encode()  # saved as UTF-16 by an editor
    message = email.message_from_bytes(content, policy=email.policy.default)
    return cast("EmailMessage", message)


def _header(message: EmailMessage, key: str) -> str:
    try:
        return " ".join(str(message[key] or "").split())
    except (ValueError, IndexError, AttributeError):  # headers that the parser itself chokes on
        return ""


def _iso_date(message: EmailMessage) -> str | None:
    try:
        return parsedate_to_datetime(str(message["Date"])).isoformat()
    except (ValueError, TypeError, IndexError):
        return None


def _body(message: EmailMessage) -> tuple[str, bytes]:
    """Return the body, all its parts in their order: as plain text, or as HTML where one is."""
    pieces = _pieces(message)
    pages = " ".join(text for kind, text in pieces if kind == "html")
    if not pages:
        return "\n\n".join(text for _, text in pieces), b""
    words = set(_WORD.findall(_TAG.sub(" ", html.unescape(pages))))
    said = [
        text if kind == "html" else _paragraphs(text)
        for kind, text in pieces
        # Some write the text once more beside the page, and not as its alternative.
        if kind == "html" or not words.issuperset(_WORD.findall(text))
    ]
    return "", "\n".join(said).encode()


def _pieces(part: EmailMessage) -> list[tuple[Literal["plain", "html"], str]]:
    """Return what is to be read of a body, one after the other (RFC 2046, 5.1).

    Of alternatives it is the plain text, where it has any; nothing of messages inside.
    """
    if part.get_content_type() == "message/rfc822" or _is_attachment(part):
        return []
    if not part.is_multipart():
        text = _decoded(part)
        kind: Literal["plain", "html"] = "html" if part.get_content_subtype() == "html" else "plain"
        return [(kind, text)] if text.strip() else []
    inner = [_pieces(one) for one in cast("list[EmailMessage]", part.get_payload())]
    if part.get_content_subtype() != "alternative":
        return [piece for pieces in inner for piece in pieces]
    ways = [pieces for pieces in inner if pieces]
    plain = (pieces for pieces in ways if all(kind == "plain" for kind, _ in pieces))
    return next(plain, ways[0] if ways else [])


def _paragraphs(text: str) -> str:
    """Return plain text as HTML, with its lines and paragraphs."""
    lines = (html.escape(one).replace("\n", "<br>") for one in _BLANK_LINES.split(text.strip()))
    return "".join(f"<p>{one}</p>" for one in lines)


def _decoded(part: EmailMessage) -> str:
    payload = part.get_payload(decode=True)
    content = payload if isinstance(payload, bytes) else b""
    charset = part.get_content_charset()
    if charset:
        try:
            return content.decode(charset)
        except (LookupError, ValueError):
            charset = None
    try:
        return decode(content).text
    except UnsupportedFile:
        return ""


def _is_attachment(part: EmailMessage) -> bool:
    if part.get_content_disposition() == "attachment" or part.get_filename():
        return True
    return not part.get_content_type().startswith(("text/plain", "text/html", "multipart/"))


def _attachments(message: EmailMessage, warnings: list[str]) -> list[Attachment]:
    found: list[Attachment] = []
    for part in _walk_shallow(message):
        if not _is_attachment(part):
            continue
        if len(found) >= MAX_PARTS:
            warnings.append(f"Only the first {MAX_PARTS} attachments were read.")
            break
        if part.get_content_type() == "message/rfc822":
            inner = part.get_payload(0)
            content, name = bytes(cast("EmailMessage", inner)), part.get_filename() or "message.eml"
        elif part["Content-ID"] and part.get_content_maintype() == "image":
            continue  # a picture of the body: a logo, most often
        else:
            payload = part.get_payload(decode=True)
            content = payload if isinstance(payload, bytes) else b""
            name = part.get_filename() or "attachment"
        kind = part.get_content_type()
        found.append(Attachment(name=short_name(name), content=content, content_type=kind))
    return found


def _walk_shallow(message: EmailMessage) -> list[EmailMessage]:
    """Return all parts, without those of messages inside the message."""
    if message.get_content_type() == "message/rfc822" or not message.is_multipart():
        return [message]
    parts = cast("list[EmailMessage]", message.get_payload())
    return [inner for part in parts for inner in _walk_shallow(part)]
