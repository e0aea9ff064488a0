"""Outlook messages: body, headers, attachments of every kind, and messages inside them."""

import pytest

from s3sync_dagster.extraction import outlook
from s3sync_dagster.extraction.mail_body import page_for
from s3sync_dagster.model.errors import UnreadableFile
from s3sync_dagster_tests.extraction import corpus
from s3sync_dagster_tests.extraction.conftest import Read
from s3sync_dagster_tests.extraction.outlook_files import (
    attached_file,
    attached_message,
    message,
    msg_file,
)

ROWS = b"part,price\n" + b"".join(b"bolt %d,%d\n" % (i, i) for i in range(600))


def make_msg() -> bytes:
    """A message with two files, one of them larger than a small stream, and a message inside."""
    forwarded = message(
        subject="An older one",
        body="What was said before: naïve ☃.",
        attachments=(attached_file("notes.txt", b"inner notes"),),
        embedded=True,
    )
    return msg_file(
        message(
            subject="Prices für 2026",
            body="Dear Charles,\r\nthe prices are attached.\r\n",
            attachments=(
                attached_file("prices.csv", ROWS),
                attached_file("PLAN.DOC", corpus.make_docx(), short=True),
                attached_message("An older one", forwarded),
            ),
        )
    )


def test_message_is_read_with_its_attachments(read: Read):
    document = read(make_msg(), "prices.msg")
    assert document.engine == "oxmsg"
    assert (document.title, document.author) == (
        "Prices für 2026",
        '"Ada Lovelace" <ada@example.org>',
    )
    assert document.created == "2026-02-02T02:40:00+00:00"
    assert [page.label for page in document.pages] == [
        "message",
        "prices.csv",
        "PLAN.DOC",
        "An older one.eml",
    ]
    assert document.text.startswith(
        '# Prices für 2026\n\n**From:** "Ada Lovelace" <ada@example.org>  \n'
        "**To:** Charles <charles@example.org>  \n**Date:** 2026-02-02T02:40:00+00:00  \n"
        "**Subject:** Prices für 2026  \n\nDear Charles,\nthe prices are attached.\n"
    )
    assert "| bolt 599 | 599 |" in document.text
    assert "Quarterly plan" in document.text


def test_message_in_a_message_is_read_with_its_own_attachment(read: Read):
    text = read(make_msg(), "prices.msg").text
    inner = text[text.index("## Attachment: An older one.eml") :]
    assert "What was said before: naïve ☃." in inner
    assert "## Attachment: notes.txt\n\ninner notes" in inner


def test_html_body_is_read_as_a_page(read: Read):
    body = "<h1>Grüße</h1><ul><li>one</li></ul>".encode()
    document = read(msg_file(message(subject="Page", html=body)), "page.msg")
    assert "# Grüße\n\n- one" in document.text


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_cut_message_is_damaged(read: Read, share: float):
    whole = make_msg()
    with pytest.raises(UnreadableFile) as caught:
        read(whole[: int(len(whole) * share)], "cut.msg")
    assert caught.value.reason == "damaged"


def test_code_pages_have_the_names_that_outlook_gives_them():
    found = outlook._code_page("windows_950")
    assert found is not None
    assert found.decode("測試".encode("cp950"))[0] == "測試"
    assert outlook._code_page("windows_4711") is None


def test_page_that_says_more_than_the_text_beside_it_is_read(read: Read):
    rich = "Dear customers, the spring catalogue has new bicycles, tents, boats and skis"
    html = f"<p>{rich}</p>".encode()
    stub = msg_file(message(subject="Offer", body="Use another program.", html=html))
    assert "spring catalogue" in read(stub, "a.msg").text
    assert "another program" not in read(stub, "a.msg").text
    as_text = msg_file(message(subject="Offer", body=f"{rich}, plainly", html=html))
    assert "skis, plainly" in read(as_text, "a.msg").text


CHINESE = "恭喜 陳奎良 高票當選 雲林縣總工會 年度模範勞工代表, 其餘人員 雖然未當選, 受到肯定"
NEWS = "還有 春季目錄 新自行車 帳篷 船 滑雪板 登山鞋 睡袋 背包 水壺 手電筒 地圖 指南針 繩索"


@pytest.mark.parametrize("declared", ["big5", "utf-8", "x-unknown"])
@pytest.mark.parametrize("more", ["", NEWS])
def test_page_whose_letters_are_wrong_is_read_by_its_charset_or_not_at_all(
    read: Read, declared: str, more: str
):
    wide = f"{CHINESE} {more}".encode("big5").decode("latin-1")
    page = f'<meta http-equiv="Content-Type" content="text/html; charset={declared}"><p>{wide}</p>'
    mail = msg_file(message(subject="Offer", body=CHINESE, html=page.encode()))
    text = read(mail, "a.msg").text
    assert "雲林縣總工會" in text
    assert ("指南針" in text) == (declared == "big5" and bool(more))


def test_page_of_a_longer_text_is_another_one():
    text = " ".join(f"word{number}" for number in range(60))
    page = " ".join(f"other{number}" for number in range(200))
    assert page_for(f"<p>{page}</p>", text) == ""
    assert page_for(f"<p>{page} {text}</p>", text) == f"<p>{page} {text}</p>"


def test_numbers_that_only_the_text_has_stand_before_its_page(read: Read):
    text, page = (
        "Dial 49301234567",
        "<p>Join the meeting by the button in the middle of the mail</p>",
    )
    both = read(msg_file(message(subject="Call", body=text, html=page.encode())), "a.msg").text
    assert both.index("49301234567") < both.index("button")
    page = page.replace("<p>", '<p><a href="tel:49301234567">call</a>')
    assert page_for(page, text) == page
