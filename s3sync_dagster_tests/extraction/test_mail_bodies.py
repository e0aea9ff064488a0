"""The body of a mail is all that its reader is shown, in its order (RFC 2046, 5.1)."""

import base64
import quopri
from email.message import EmailMessage
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import pytest

from s3sync_dagster.extraction import mail_body
from s3sync_dagster.extraction.mail import read_eml
from s3sync_dagster.model.source import ExtractionConfig


def plain(text):
    return MIMEText(text, "plain", "utf-8")


def page(text):
    return MIMEText(f"<html><body><p>{text}</p></body></html>", "html", "utf-8")


def mixed(*parts, kind="mixed"):
    message = MIMEMultipart(kind)
    message["Subject"] = "Offer"
    for part in parts:
        message.attach(part)
    return message


def body(message):
    mail = read_eml(bytes(message), name="a.eml", config=ExtractionConfig())
    return mail.text, mail.html.decode()


def file(name, text):
    part = plain(text)
    part.add_header("Content-Disposition", "inline", filename=name)
    return part


def test_what_stands_behind_a_file_is_of_the_body():
    text, html = body(mixed(plain("The prices:"), file("a.csv", "1,2"), plain("Pay until March.")))
    assert (text, html) == ("The prices:\n\nPay until March.", "")


def test_a_footer_in_plain_text_hides_no_page():
    text, html = body(mixed(page("the question"), plain("the list <x>\nat home")))
    assert text == ""
    assert "<p>the question</p>" in html
    assert html.endswith("<p>the list &lt;x&gt;<br>at home</p>")


def test_a_message_inside_has_a_body_of_its_own():
    inner = EmailMessage()
    inner["Subject"] = "before"
    inner.set_content("old words")
    for outer in (page("please answer"), plain("please answer")):
        said = "".join(body(mixed(outer, MIMEMessage(inner))))
        assert "please answer" in said
        assert "old words" not in said


def test_of_alternatives_one_is_read():
    both = mixed(plain("as text"), mixed(page("as page"), kind="related"), kind="alternative")
    assert body(both) == ("as text", "")
    assert body(mixed(both, plain("footer"))) == ("as text\n\nfooter", "")
    text, html = body(mixed(plain("  \n"), page("as page"), kind="alternative"))
    assert (text, "as page" in html) == ("", True)


@pytest.mark.parametrize("said", ["the question", "question, the"])
def test_text_that_stands_beside_its_page_once_more_is_read_once(said):
    text, html = body(mixed(plain(said), page("is this the question or not")))
    assert (text, html.count("question")) == ("", 1)


STUB = "Your program shows no HTML. Please use another one."
RICH = "Dear customers, the spring catalogue has new bicycles, tents, boats and two kinds of skis"


@pytest.mark.parametrize("page_first", [False, True])
def test_of_alternatives_a_page_that_says_more_is_read(page_first: bool):
    ways = [plain(STUB), page(RICH)]
    text, html = body(mixed(*ways[:: -1 if page_first else 1], kind="alternative"))
    assert (text, "spring catalogue" in html, "another one" in html) == ("", True, False)


@pytest.mark.parametrize(
    "text",
    [
        RICH,
        f"{RICH}\n\nhttps://example.org/unsubscribe?id=1",
        RICH.upper(),
        f"{RICH[:60]}\n{RICH[60:]}",
    ],
)
def test_of_alternatives_text_that_says_as_much_as_the_page_is_read(text: str):
    style = f"<style>p {{ color: red }} .a, .b, .c, .d {{ margin: 0 }}</style><p>{RICH}</p>"
    both = mixed(plain(text), MIMEText(style, "html", "utf-8"), kind="alternative")
    assert body(both) == (text, "")


@pytest.mark.parametrize("kind", ["x-amp-html", "watch-html", "enriched"])
def test_other_forms_of_a_text_are_no_files(kind: str):
    other = MIMEText("<html amp4email>once more</html>", kind, "utf-8")
    message = mixed(plain("once"), other, page("once"), kind="alternative")
    mail = read_eml(bytes(message), name="a.eml", config=ExtractionConfig())
    assert (mail.text, mail.attachments) == ("once", ())


def test_an_invitation_beside_its_text_is_a_file():
    calendar = MIMEText("BEGIN:VCALENDAR\nLOCATION:Room 5\nEND:VCALENDAR", "calendar", "utf-8")
    message = mixed(plain("once"), page("once"), calendar, kind="alternative")
    mail = read_eml(bytes(message), name="a.eml", config=ExtractionConfig())
    assert [b"Room 5" in one.content for one in mail.attachments] == [True]


DELIVERY = """From: MAILER-DAEMON@example.org
Subject: Undelivered Mail Returned to Sender
Content-Type: multipart/report; report-type={kind}; boundary="b"
MIME-Version: 1.0

--b
Content-Type: text/{subtype}

{said}
--b
Content-Type: message/{kind}

{fields}

--b
Content-Type: message/rfc822

Subject: Offer
From: ann@example.org

old words
--b--
"""
FIELDS = """Reporting-MTA: dns; mx.example.org

Final-Recipient: rfc822; bob@example.com
Action: failed
Status: 5.1.1
Diagnostic-Code: smtp; 550 5.1.1 <bob@example.com>:
    Recipient address rejected"""


@pytest.mark.parametrize(
    "kind",
    [
        *("delivery-status", "global-delivery-status", "disposition-notification"),
        *("feedback-report", "global-disposition-notification"),
    ],
)
@pytest.mark.parametrize("subtype", ["plain", "html"])
def test_who_did_not_get_a_mail_and_why_is_of_the_body(kind: str, subtype: str):
    source = DELIVERY.format(kind=kind, subtype=subtype, said="It failed.", fields=FIELDS)
    mail = read_eml(source.encode(), name="a.eml", config=ExtractionConfig())
    said = mail.text or mail.html.decode()
    reason = "<bob@example.com>: Recipient address rejected"
    for words in ("It failed.", "bob@example.com", reason if mail.text else "Recipient address"):
        assert said.count(words) >= 1
    assert "old words" not in said
    assert [one.name for one in mail.attachments] == ["message.eml"]
    if mail.text:
        assert "Reporting-MTA: dns; mx.example.org\n\nFinal-Recipient: rfc822; bob" in mail.text


LETTERS = FIELDS.replace("Recipient address rejected", "Usuário não existe, caixa postal cheia")


@pytest.mark.parametrize("charset", ["latin-1", "utf-8"])
@pytest.mark.parametrize("kind", ["delivery-status", "global-delivery-status"])
@pytest.mark.parametrize("subtype", ["plain", "html"])
def test_why_a_mail_came_back_is_read_in_letters_of_any_language(kind, charset, subtype):
    source = DELIVERY.format(kind=kind, subtype=subtype, said="It failed.", fields=LETTERS)
    mail = read_eml(source.encode(charset), name="a.eml", config=ExtractionConfig())
    assert "Usuário não existe, caixa postal cheia" in (mail.text or mail.html.decode())


@pytest.mark.parametrize("kind", ["delivery-status", "global-delivery-status"])
@pytest.mark.parametrize(
    ("encoding", "packed"),
    [
        ("base64", base64.encodebytes(LETTERS.encode())),
        ("quoted-printable", quopri.encodestring(LETTERS.encode())),
    ],
)
def test_a_report_that_is_packed_is_read(kind, encoding, packed):
    head = f"{kind}\nContent-Transfer-Encoding: {encoding}"
    source = DELIVERY.format(
        kind="delivery-status", subtype="plain", said="It failed.", fields=packed.decode()
    ).replace("message/delivery-status", f"message/{head}")
    mail = read_eml(source.encode(), name="a.eml", config=ExtractionConfig())
    reason = "smtp; 550 5.1.1 <bob@example.com>: Usuário não existe, caixa postal cheia"
    assert mail.text.endswith(
        "Reporting-MTA: dns; mx.example.org\n\nFinal-Recipient: rfc822; bob@example.com\n"
        f"Action: failed\nStatus: 5.1.1\nDiagnostic-Code: {reason}"
    )


def test_half_letters_of_a_charset_end_no_reading():
    half = MIMEText("<p>x +2AA- y</p>", "html", "us-ascii")
    half.replace_header("Content-Type", 'text/html; charset="utf-7"')
    assert "x" in body(mixed(half))[1]


def test_a_mail_in_wide_letters_inside_a_mail_is_one():
    source = DELIVERY.format(kind="delivery-status", subtype="plain", said="x", fields=FIELDS)
    mail = read_eml(
        source.replace("message/rfc822", "message/global").encode(),
        name="a.eml",
        config=ExtractionConfig(),
    )
    assert "old words" not in mail.text
    assert [b"old words" in one.content for one in mail.attachments] == [True]


def test_a_mail_inside_that_is_packed_is_read():
    inner = base64.encodebytes(b"Subject: Offer\n\nold words\n").decode()
    source = (
        'Subject: a\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary="b"\n\n--b\n'
        "Content-Type: message/rfc822\nContent-Transfer-Encoding: base64\n\n"
        f"{inner}\n--b--\n"
    )
    mail = read_eml(source.encode(), name="a.eml", config=ExtractionConfig())
    assert [one.content for one in mail.attachments] == [b"Subject: Offer\n\nold words\n"]


def test_a_byte_order_mark_hides_no_header():
    mail = read_eml(
        b"\xef\xbb\xbfSubject: Offer\n\nwords\n", name="a.eml", config=ExtractionConfig()
    )
    assert (mail.subject, mail.text.strip()) == ("Offer", "words")


def test_numbers_that_only_the_text_has_stand_before_its_page():
    text = plain("Dial-in number: +49 30 1234567 PIN 9988#")
    both = mixed(
        text, page("Join the meeting by the button in the middle of this"), kind="alternative"
    )
    said = body(both)[1]
    assert said.index("9988#") < said.index("button")


def test_a_page_that_many_ways_share_is_read_once(monkeypatch: pytest.MonkeyPatch):
    asked: list[str] = []
    monkeypatch.setattr(mail_body, "plain_text", lambda text: asked.append(text) or text)
    message = page(f"{RICH} and {RICH.upper()}")
    for place in range(9):
        message = mixed(plain(f"stub {place * 'x'}"), message, kind="alternative")
    assert "bicycles" in body(message)[1]
    assert len(asked) == 1
