"""Documents of Pages, Numbers and Keynote."""

import io
import zipfile

import pytest

from s3sync_dagster.model.errors import UnreadableFile, UnsupportedFile
from s3sync_dagster_tests.extraction.conftest import Read

NAMES = " ".join(f'xmlns:{n}="http://developer.apple.com/namespaces/{n}"' for n in ("sl", "sf"))
PAGES = (
    f"<sl:document {NAMES}><sl:text-storage><sf:text-storage sf:kind='body'><sf:text-body>"
    "<sf:section><sf:layout><sf:p>Words of a letter.<sf:br/></sf:p><sf:p>More words.<sf:br/></sf:p>"
    "</sf:layout></sf:section></sf:text-body></sf:text-storage></sl:text-storage></sl:document>"
)


def package(**parts: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("buildVersionHistory.plist", "<plist/>")
        for name, body in parts.items():
            archive.writestr(name.replace("_", "."), body)
    return out.getvalue()


def test_document_of_pages_is_read(read: Read):
    assert (
        read(package(index_xml=PAGES), "letter.pages").text == "Words of a letter.\n\nMore words.\n"
    )


def test_document_with_a_password_says_so(read: Read):
    content = package(index_xml=PAGES).replace(
        b"PK\x03\x04\x14\x00\x00\x00", b"PK\x03\x04\x14\x00\x01\x00"
    )
    content = content.replace(
        b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"
    )
    with pytest.raises(UnreadableFile) as raised:
        read(content, "letter.pages")
    assert raised.value.reason == "encrypted"


def test_document_without_its_suffix_says_what_it_needs(read: Read):
    with pytest.raises(UnsupportedFile, match=r"\.pages, \.numbers, \.key"):
        read(package(index_xml=PAGES), "letter")


def test_numbers_document_in_a_folder_says_what_it_is(read: Read):
    with pytest.raises(UnsupportedFile, match="export it as XLSX"):
        read(package(**{"a.numbers/Index.zip": ""}), "a.numbers")


def test_key_file_of_letters_is_text(read: Read):
    assert read(b"-----BEGIN PUBLIC KEY-----\n", "server.key").engine == "text"
