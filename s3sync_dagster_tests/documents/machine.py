"""A reader's machine: endpoints, a repository, a site, a store and models under local addresses."""

import os
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx

from s3sync_dagster.embedding.minilm_files import _wheel_folder, find_minilm
from s3sync_dagster_tests.conftest_aws import AwsEndpoint, start_moto
from s3sync_dagster_tests.cross_encoder import make_cross_encoder
from s3sync_dagster_tests.documents.beside import BUCKET, KEYS, Beside
from s3sync_dagster_tests.documents.pages import ROOT, blocks
from s3sync_dagster_tests.opened import stock_client
from s3sync_dagster_tests.places.file_servers import in_google, start_google
from s3sync_dagster_tests.places.git_server import Origin
from s3sync_dagster_tests.places.web_server import web_site

PAGE_SECONDS = 500


@dataclass
class Machine:
    """What all pages share; each has a home and a bucket of its own."""

    endpoint: AwsEndpoint
    chroma: str
    addresses: dict[str, str]
    """Variables that stand for names of the pages."""

    def run(self, script: str, page: str, beside: Beside, folder: Path) -> tuple[int, str]:
        """Run a page's script in an empty home; returns exit code and output."""
        self._empty(beside)
        here, home = folder / "here", folder / "home"
        home.mkdir()
        here.mkdir()
        for name, text in beside.files.items():
            (here / name).parent.mkdir(parents=True, exist_ok=True)
            (here / name).write_text(text)
        foreign = ("S3SYNC_", "DAGSTER_", "AWS_", "CHROMA_")
        with shown_json(page) as theirs:
            done = subprocess.run(
                ["bash", "-c", script], cwd=here, check=False, timeout=PAGE_SECONDS, text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                start_new_session=True,  # nobody is asked at the terminal of whoever runs the tests
                env={
                    **{k: v for k, v in os.environ.items() if not k.startswith(foreign)},
                    **self.endpoint.environment(), **self.addresses,
                    "HOME": str(home), "THEIRS": theirs, "S3SYNC_CHROMA_URL": self.chroma,
                },
            )  # fmt: skip
        return done.returncode, done.stdout

    def _empty(self, beside: Beside) -> None:
        httpx.post(f"{self.endpoint.url}/moto-api/reset").raise_for_status()
        if beside.objects:
            self.endpoint.s3.create_bucket(Bucket="bucket")
            self.endpoint.put_all("bucket", beside.objects)
        client = stock_client(port=int(self.chroma.rpartition(":")[2]))
        for collection in client.list_collections():
            client.delete_collection(collection.name)


@contextmanager
def reader_machine(folder: Path, chroma: str, model_dir: Path) -> Iterator[Machine]:
    """Start what the pages name."""
    with ExitStack() as stack:
        moto = start_moto()
        stack.callback(moto.close)
        google = start_google()
        stack.callback(google.close)
        in_google(google, "team-docs")
        upload = f"http://{google.url}/upload/storage/v1/b/team-docs/o"
        query = {"uploadType": "media", "name": "handbook/keys.md"}
        httpx.post(upload, params=query, content=KEYS).raise_for_status()
        site = stack.enter_context(web_site())
        site.page("/", "/guide/", text="Welcome to the documents.")
        site.page("/guide/", text="Rotate a key every ninety days.")
        repository = Origin(folder / "docs.git")
        repository.write("keys-of-the-team.md", KEYS)
        repository.commit()
        programs = folder / "programs"
        programs.mkdir()
        (programs / "aws").write_text(
            f'#!/bin/sh\nexec "{sys.executable}" -m {__package__}.aws_words "$@"\n'
        )
        (programs / "aws").chmod(0o755)
        addresses = {
            "AWS_ENDPOINT_URL": moto.url,
            "PATH": f"{programs}:{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "REPOSITORY": f"file://{repository.folder}",
            "S3SYNC_GIT_PROTOCOLS": "file",
            "SITE": site.url,
            "STORAGE_EMULATOR_HOST": f"http://{google.url}",
            "MODELS": str(_models(folder / "models", model_dir)),
            "S3SYNC_MODEL_DIR": str(model_dir),
        }
        yield Machine(AwsEndpoint(url=moto.url), chroma, addresses)


def _models(folder: Path, model_dir: Path) -> Path:
    """MiniLM as sentence-transformers would save it, and a tiny cross-encoder."""
    weights = _wheel_folder()
    assert weights is not None
    shutil.copytree(weights, folder / "bge", ignore=shutil.ignore_patterns("*.safetensors"))
    (folder / "bge" / "onnx").mkdir()
    (folder / "bge" / "onnx" / "model.onnx").symlink_to(find_minilm(model_dir) / "model.onnx")
    words = " ".join(one.decode(errors="ignore") for one in BUCKET.values())
    make_cross_encoder(folder / "reranker", " ".join(re.findall(r"[a-z]{3,}", words.lower())))
    return folder


@contextmanager
def shown_json(page: str) -> Iterator[str]:
    """Serve the JSON of a page as ``N.json``, whatever is asked with, as the products would."""
    texts = blocks(page, "json")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = re.search(r"/(\d)\.json", self.path)
            body = texts[int(found[1]) - 1].encode() if found else b""
            self.send_response(200 if found else 404)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_POST = do_GET  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
