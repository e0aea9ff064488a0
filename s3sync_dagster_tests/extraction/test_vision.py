"""Pictures described by an endpoint that speaks OpenAI's form, over real HTTP."""

import base64
import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from s3sync_dagster.extraction import extract_document, illustrated
from s3sync_dagster.extraction.picture_files import may_hold_pictures
from s3sync_dagster.model.document import Document
from s3sync_dagster.model.errors import AccessDenied, InvalidSetting, Throttled, Unavailable
from s3sync_dagster.model.source import ExtractionConfig
from s3sync_dagster.workers import LocalPool
from s3sync_dagster_tests.extraction import corpus
from s3sync_dagster_tests.extraction.bad_files import good_pdf
from s3sync_dagster_tests.extraction.illustrated_files import ILLUSTRATED, make_docx, make_pdf


class Endpoint:
    """Answers each picture with a sentence, and remembers what it was asked."""

    def __init__(self) -> None:
        self.status = 200
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        endpoint = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                endpoint.asked.append(body)
                endpoint.keys.append(self.headers["Authorization"])
                message = {"content": f"A picture,\nnumber {len(endpoint.asked)}."}
                answer = json.dumps({"choices": [{"message": message}]}).encode()
                self.send_response(endpoint.status)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/v1"


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    endpoint = Endpoint()
    thread = threading.Thread(target=endpoint.server.serve_forever)
    thread.start()
    yield endpoint
    endpoint.server.shutdown()
    endpoint.server.server_close()
    thread.join()


def picture(width: int = 300) -> bytes:
    from PIL import Image

    out = io.BytesIO()
    Image.radial_gradient("L").resize((width, 200)).save(out, "PNG")
    return out.getvalue()


def look(content: bytes, name: str, pool: LocalPool, endpoint: Endpoint, **config: Any) -> Document:
    settings = {"vision_url": endpoint.url, "vision_model": "eyes", "ocr": False} | config
    return extract_document(
        content,
        name=name,
        config=ExtractionConfig(**settings),
        pool=pool,
        resolve_env={"VISION_KEY": "hunter2"}.get,
    )


def test_picture_without_text_has_its_description(pool: LocalPool, endpoint: Endpoint):
    document = look(picture(3000), "a.png", pool, endpoint, vision_api_key_env="VISION_KEY")
    assert document.text == "[Picture picture: A picture, number 1.]\n"
    assert document.engine == "vision"
    assert endpoint.keys == ["Bearer hunter2"]
    (asked,) = endpoint.asked
    assert asked["model"] == "eyes"
    url = asked["messages"][0]["content"][1]["image_url"]["url"]
    from PIL import Image

    sent = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))
    assert sent.format == "JPEG"
    assert max(sent.size) == 1024


def test_pictures_of_a_document_follow_its_text(pool: LocalPool, endpoint: Endpoint):
    content = make_docx(*(picture(width) for width in (300, 400, 300)))
    document = look(content, "a.docx", pool, endpoint)
    assert document.text.startswith("Words before.\n\n[Picture image1.png: A picture, number 1.]\n")
    assert len(endpoint.asked) == 2  # the same picture is asked for once
    assert document.engine == "docling+vision"
    assert endpoint.keys == [None, None]


@pytest.mark.parametrize("kind", ILLUSTRATED)
def test_files_without_pictures_are_known_by_their_bytes(kind: str, tmp_path: Path):
    reader = kind.removeprefix(".")
    content = ILLUSTRATED[kind](picture())
    path = tmp_path / "a"
    path.write_bytes(content)
    assert may_hold_pictures(content, reader)
    assert may_hold_pictures(path, reader)
    # Word's own template brings a thumbnail of the page.
    plain = {".docx": make_docx(), ".pdf": good_pdf(), ".html": b"<p>data:image/png</p>"}
    if kind in plain:
        assert not may_hold_pictures(plain[kind], reader)


@pytest.mark.parametrize("kind", ILLUSTRATED)
def test_pictures_are_found_in_each_kind_of_document(
    pool: LocalPool, endpoint: Endpoint, kind: str
):
    content = ILLUSTRATED[kind](picture())
    document = look(content, "a" + kind, pool, endpoint)
    assert len(endpoint.asked) == 1
    assert ": A picture, number 1.]" in document.text
    assert document.engine.endswith("+vision")


def test_pictures_of_a_pdf_stand_on_their_page(pool: LocalPool, endpoint: Endpoint):
    document = look(make_pdf(picture(), pages=3), "a.pdf", pool, endpoint)
    assert [document.text[page.start :].split("\n")[0] for page in document.pages] == [
        "Words of page 1.",
        "Words of page 2.",
        "Words of page 3.",
    ]
    # The same picture on the third page is described once.
    second = document.text[document.pages[1].start : document.pages[2].start]
    assert second == "Words of page 2.\n\n[Picture 1 of page 2: A picture, number 1.]\n\n"
    assert document.text.count("[Picture") == 1


def test_document_whose_pictures_are_refused_is_read_with_a_warning(
    pool: LocalPool, endpoint: Endpoint
):
    endpoint.status = 401
    content = ILLUSTRATED[".docx"](picture())
    document = look(content, "a.docx", pool, endpoint)
    assert document.text == "Words before.\n"
    assert document.warnings == (
        "1 pictures were not described: The vision endpoint refuses the key.",
    )


def test_endpoint_that_refuses_twice_is_left_alone(pool: LocalPool, endpoint: Endpoint):
    endpoint.status = 503
    content = make_docx(*(picture(width) for width in (300, 400, 500, 600)))
    document = look(content, "a.docx", pool, endpoint)
    assert len(endpoint.asked) == 2
    assert document.warnings == ("4 pictures were not described: The vision endpoint answers 503.",)


def test_pictures_that_nothing_reads_are_counted(
    pool: LocalPool, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(illustrated.shutil, "which", lambda _: None)
    content = ILLUSTRATED[".docx"](picture())
    document = look(content, "a.docx", pool, endpoint, vision_url=None, ocr=True)
    assert document.warnings == ("1 pictures were not read: Tesseract is not installed.",)
    assert look(content, "a.docx", pool, endpoint, vision_url=None).warnings == ()


def test_small_pictures_and_other_files_are_not_sent(pool: LocalPool, endpoint: Endpoint):
    look(corpus.make_docx(), "plan.docx", pool, endpoint)
    look(b"print(1)", "a.py", pool, endpoint)
    look(corpus.HTML.encode(), "fish.html", pool, endpoint)
    assert endpoint.asked == []


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (401, AccessDenied, "vision_refused"),
        (429, Throttled, "vision_busy"),
        (503, Unavailable, "vision_down"),
    ],
)
def test_refusals(pool: LocalPool, endpoint: Endpoint, status: int, kind: type, reason: str):
    endpoint.status = status
    with pytest.raises(kind) as caught:
        look(picture(), "a.png", pool, endpoint)
    assert caught.value.reason == reason


def test_endpoint_that_is_not_there(pool: LocalPool, endpoint: Endpoint):
    with pytest.raises(Unavailable) as caught:
        look(picture(), "a.png", pool, endpoint, vision_url="http://127.0.0.1:9/v1")
    assert caught.value.reason == "vision_down"


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"vision_model": None}, "vision_model"),
        ({"vision_api_key_env": "NOT_SET"}, "vision_api_key"),
    ],
)
def test_incomplete_settings(pool: LocalPool, endpoint: Endpoint, config: dict, reason: str):
    with pytest.raises(InvalidSetting) as caught:
        look(picture(), "a.png", pool, endpoint, **config)
    assert caught.value.reason == reason
    assert "hunter2" not in caught.value.message
