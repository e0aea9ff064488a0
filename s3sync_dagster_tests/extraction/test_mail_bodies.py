"""The body of a mail is all that its reader is shown, in its order (RFC 2046, 5.1)."""

from email.message import EmailMessage
from email.mime.message import MIMEMessage
from email.mime.multipart import MIMEMultipart
from email.mime.text import MIMEText

import pytest

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
