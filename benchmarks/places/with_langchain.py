"""langchain's loaders, splitters, index API with its record manager, and store for Chroma."""

from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

from langchain_chroma import Chroma
from langchain_classic.indexes import SQLRecordManager
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.indexing import index
from langchain_text_splitters import Language, RecursiveCharacterTextSplitter
from peer import BATCH, SIZE, Peer

LANGUAGES = {".py": Language.PYTHON, ".md": Language.MARKDOWN, ".ps1": Language.POWERSHELL}

peer = Peer()


class Counted(Embeddings):
    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return peer.embed(texts).tolist()

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


def repository() -> Iterator[Document]:
    """``GitLoader`` asks git about each file with a process of its own: this one is faster."""
    from langchain_community.document_loaders.generic import GenericLoader
    from langchain_community.document_loaders.parsers.txt import TextParser

    return GenericLoader.from_filesystem(
        peer.checkout(), glob="**/[!.]*", parser=TextParser()
    ).lazy_load()


def site() -> Iterator[Document]:
    from langchain_community.document_loaders.sitemap import SitemapLoader

    def source_alone(meta: dict[str, Any], _: Any) -> dict[str, str]:
        return {"source": meta["loc"]}  # with the dates, every chunk would be another one

    return SitemapLoader(
        f"{peer.url}/sitemap.xml",
        requests_per_second=10,  # at once, whatever its name says
        default_parser="lxml",
        parsing_function=lambda page: page.find("main").get_text(),
        meta_function=source_alone,
        show_progress=False,
    ).lazy_load()


def chunks(documents: Iterator[Document]) -> Iterator[Document]:
    sizes = {"chunk_size": SIZE, "chunk_overlap": 0}
    plain = RecursiveCharacterTextSplitter(**sizes)
    splitters = {
        suffix: RecursiveCharacterTextSplitter.from_language(language, **sizes)
        for suffix, language in LANGUAGES.items()
    }
    for document in documents:
        splitter = splitters.get(PurePath(document.metadata["source"]).suffix, plain)
        yield from splitter.split_documents([document])


def main() -> None:
    store = Chroma(peer.collection_name, embedding_function=Counted(), client=peer.client())
    manager = SQLRecordManager("chroma/docs", db_url=f"sqlite:///{peer.state}/records.db")
    manager.create_schema()
    index(
        chunks(repository() if peer.kind == "repository" else site()),
        manager,
        store,
        cleanup="full",
        source_id_key="source",
        batch_size=BATCH,
        key_encoder="blake2b",
    )
    peer.tell()


main()
