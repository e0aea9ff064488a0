"""E-mail: EML with the standard library, MHTML as the page it holds."""

import base64
import codecs
import contextlib
import email
import email.policy
from email.message import EmailMessage
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import cast

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.beside_text import short_header, short_label, short_name
from s3sync_dagster.extraction.content import read_all
from s3sync_dagster.extraction.decoding import decode, is_text
from s3sync_dagster.extraction.mail_body import MESSAGES, body_of, decoded, is_attachment
from s3sync_dagster.extraction.steps import Attachment, Converted, Mail
from s3sync_dagster.model.errors import UnreadableFile
from s3sync_dagster.model.source import ExtractionConfig

MAX_PARTS = 200
_SHOWN = ("From", "To", "Cc", "Date", "Subject")


def read_eml(content: Content, *, name: str, config: ExtractionConfig) -> Mail:
    """Return a message; its attachments are read by whoever reads such files."""
    del name, config
    message = _parse(read_all(content))
    headers = tuple((key, short_header(_header(message, key))) for key in _SHOWN if message[key])
    if not headers and not message.is_multipart():
        raise UnreadableFile("The file is no e-mail: it has no header.", reason="damaged")
    plain, page = body_of(message)
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
            return decoded(part).encode()
    return None


def _parse(content: bytes) -> EmailMessage:
    content = content.removeprefix(codecs.BOM_UTF8)  # of an editor
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


def _attachments(message: EmailMessage, warnings: list[str]) -> list[Attachment]:
    found: list[Attachment] = []
    for part in _walk_shallow(message):
        if not is_attachment(part):
            continue
        if len(found) >= MAX_PARTS:
            warnings.append(f"Only the first {MAX_PARTS} attachments were read.")
            break
        if part.get_content_type() in MESSAGES:
            content, name = _inner_mail(part), part.get_filename() or "message.eml"
        elif part["Content-ID"] and part.get_content_maintype() == "image":
            continue  # a picture of the body: a logo, most often
        else:
            payload = part.get_payload(decode=True)
            content = payload if isinstance(payload, bytes) else b""
            name = part.get_filename() or "attachment"
        kind = "message/rfc822" if part.get_content_type() in MESSAGES else part.get_content_type()
        found.append(Attachment(name=short_name(name), content=content, content_type=kind))
    return found


def _inner_mail(part: EmailMessage) -> bytes:
    """Return a message inside a message; some programs pack it, which RFC 2046 forbids."""
    inner = cast("EmailMessage", part.get_payload(0))
    packed = inner.get_payload()
    encoding = str(part["Content-Transfer-Encoding"] or "").strip().lower()
    if encoding == "base64" and not inner.keys() and isinstance(packed, str):
        with contextlib.suppress(ValueError):
            return base64.b64decode(packed)
    return bytes(inner)


def _walk_shallow(message: EmailMessage) -> list[EmailMessage]:
    """Return all parts, without those of messages inside the message."""
    if message.get_content_type() in MESSAGES or not message.is_multipart():
        return [message]
    parts = cast("list[EmailMessage]", message.get_payload())
    if message.get_content_subtype() == "alternative":
        parts = [part for part in parts if not _is_other_form(part)]
    return [inner for part in parts for inner in _walk_shallow(part)]


def _is_other_form(part: EmailMessage) -> bool:
    """Return whether an alternative is the text once more, for some programs; no invitation."""
    kind = part.get_content_type()
    is_read = kind in ("text/plain", "text/html", "text/calendar")
    return kind.startswith("text/") and not is_read and not part.get_filename()
