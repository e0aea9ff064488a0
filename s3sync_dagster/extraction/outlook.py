"""Outlook messages (MSG) through oxmsg, with their attachments and the messages inside them."""

import codecs
import io
import re
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from s3sync_dagster.engine.ports import Content
from s3sync_dagster.extraction.beside_text import short_header, short_label, short_name
from s3sync_dagster.extraction.content import read_all
from s3sync_dagster.extraction.mail_body import by_its_charset, page_for
from s3sync_dagster.extraction.steps import Attachment, Mail
from s3sync_dagster.model.errors import UnreadableFile
from s3sync_dagster.model.source import ExtractionConfig

PRELOAD = {"read_msg": ("oxmsg",)}
MAX_PARTS = 200
MAX_DEPTH = 3
_EMBEDDED = "__substg1.0_3701000D"
"""Storage of a message inside an attachment."""
_EMBEDDED_HEADER_BYTES = 24
_SHORT_NAME, _DISPLAY_NAME = 0x3704, 0x3001
_BROKEN = (OSError, ValueError, LookupError, AttributeError, TypeError, AssertionError)


def read_msg(content: Content, *, name: str, config: ExtractionConfig) -> Mail:
    """Return an Outlook message; its attachments are read by whoever reads such files.

    Raises ``UnreadableFile`` (``damaged``).
    """
    import oxmsg  # noqa: PLC0415 (loaded once by the forker)

    del name, config
    codecs.register(_code_page)
    try:
        message = oxmsg.Message.load(
            str(content) if isinstance(content, Path) else io.BytesIO(read_all(content))
        )
        attachments = _attachments(message, depth=0)
        shown = _headers(message)
        plain, html = _body(message)
        sent = message.sent_date
    except _BROKEN:
        raise UnreadableFile("The message is cut off or damaged.", reason="damaged") from None
    many = len(attachments) > MAX_PARTS
    return Mail(
        headers=tuple(shown.items()),
        subject=short_label(shown.get("Subject", "")) or None,
        author=short_label(shown.get("From", "")) or None,
        created=sent.isoformat() if sent else None,
        text=plain,
        html=html.encode("utf-8", "replace"),
        attachments=tuple(attachments[:MAX_PARTS]),
        engine="oxmsg",
        warnings=(f"Only the first {MAX_PARTS} attachments were read.",) if many else (),
    )


def _code_page(name: str) -> codecs.CodecInfo | None:
    """Return the codec of a name such as ``windows-950``, which only Microsoft uses."""
    found = re.fullmatch(r"windows[-_](\d+)", name)
    try:
        return codecs.lookup(f"cp{found[1]}") if found else None
    except LookupError:
        return None


def _headers(message: Any) -> dict[str, str]:
    sent = message.sent_date
    shown = {
        "From": message.sender,
        "To": ", ".join(map(_recipient, message.recipients)),
        "Date": sent.isoformat() if sent else "",
        "Subject": message.subject,
    }
    return {key: short_header(text) for key, value in shown.items() if (text := _line(value))}


def _recipient(recipient: Any) -> str:
    name, address = _line(recipient.name), _line(recipient.email_address)
    if not address or address == name:
        return name
    return f"{name} <{address}>" if name else address


def _attachments(message: Any, *, depth: int) -> list[Attachment]:
    return [
        found
        for attachment in message.attachments[: MAX_PARTS + 1]
        if (found := _attachment(attachment, depth=depth)) is not None
    ]


def _attachment(attachment: Any, *, depth: int) -> Attachment | None:
    properties = attachment.properties
    name = short_name(
        _line(
            attachment.file_name
            or properties.str_prop_value(_SHORT_NAME)
            or properties.str_prop_value(_DISPLAY_NAME)
        )
    )
    for storage in attachment._storage.storages:
        if storage.name == _EMBEDDED and depth < MAX_DEPTH:
            mail = _as_mail(_embedded(storage), depth=depth + 1)
            stem = (name or "message").removesuffix(".msg")
            return Attachment(
                name=short_name(f"{stem}.eml"), content=mail, content_type="message/rfc822"
            )
    content = attachment.file_bytes
    if content is None:
        return None  # a link to a file elsewhere, or an object of another program
    return Attachment(name=name or "attachment", content=content, content_type=attachment.mime_type)


def _embedded(storage: Any) -> Any:
    """Return the message in a storage, whose list of properties has a shorter head."""
    from oxmsg import Message  # noqa: PLC0415 (loaded once by the forker)
    from oxmsg.properties import Properties  # noqa: PLC0415 (loaded once by the forker)
    from oxmsg.util import lazyproperty  # noqa: PLC0415 (loaded once by the forker)

    class Embedded(Message):
        @lazyproperty
        def _properties(self) -> Properties:
            return Properties(self._storage, properties_header_offset=_EMBEDDED_HEADER_BYTES)

    return Embedded(storage)


def _as_mail(message: Any, *, depth: int) -> bytes:
    """Return a message in the form that the reader of EML takes."""
    mail = EmailMessage()
    for name, value in _headers(message).items():
        mail[name] = value
    plain, html = _body(message)
    mail.set_content(html or plain, subtype="html" if html else "plain")
    for attachment in _attachments(message, depth=depth):
        main, _, sub = (attachment.content_type or "").partition("/")
        if main in ("message", "multipart", "text") or not sub:
            main, sub = "application", "octet-stream"
        mail.add_attachment(
            attachment.content, maintype=main, subtype=sub, filename=attachment.name
        )
    return mail.as_bytes()


def _body(message: Any) -> tuple[str, str]:
    """Return plain text, or else HTML where there is no text or the page says more."""
    plain = _text(message.body)
    html = by_its_charset(message.html_body or "", plain)
    shown = html if not plain.strip() else page_for(html, plain)
    return ("", shown) if shown else (plain, "")


def _text(value: str | None) -> str:
    return (value or "").replace("\x00", "").replace("\r\n", "\n")


def _line(value: str | None) -> str:
    return " ".join(_text(value).split())
