"""llama-index's readers, sentence splitter, ingestion pipeline with upserts, and Chroma store."""

from typing import Any

from llama_index.core import SimpleDirectoryReader
from llama_index.core.embeddings import BaseEmbedding
from llama_index.core.ingestion import DocstoreStrategy, IngestionPipeline
from llama_index.core.node_parser import SentenceSplitter
from llama_index.core.schema import Document
from llama_index.core.storage.docstore import SimpleDocumentStore
from llama_index.vector_stores.chroma import ChromaVectorStore, base
from peer import BATCH, Peer

TOKENS = 300
"""Of a chunk: about 1,000 characters."""

peer = Peer()
base.MAX_CHUNK_SIZE = 5000  # its own is more than a Chroma server takes, so that all would fail


class Counted(BaseEmbedding):
    def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
        return peer.embed(texts).tolist()

    def _get_text_embedding(self, text: str) -> list[float]:
        return self._get_text_embeddings([text])[0]

    _get_query_embedding = _get_text_embedding

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self._get_text_embedding(query)


def repository() -> list[Document]:
    reader = SimpleDirectoryReader(str(peer.checkout()), recursive=True, filename_as_id=True)
    return reader.load_data()


def site() -> list[Document]:
    from llama_index.readers.web import SitemapReader

    pages = SitemapReader(html_to_text=True, limit=10).load_data(f"{peer.url}/sitemap.xml")
    for page in pages:
        page.id_ = page.metadata["Source"]  # else each page is a new one each time
    return pages


def main() -> None:
    kept = peer.state / "docstore.json"
    docstore: Any = (
        SimpleDocumentStore.from_persist_path(str(kept)) if kept.exists() else SimpleDocumentStore()
    )
    pipeline = IngestionPipeline(
        transformations=[
            SentenceSplitter(chunk_size=TOKENS, chunk_overlap=0),
            Counted(embed_batch_size=BATCH),
        ],
        vector_store=ChromaVectorStore(
            chroma_collection=peer.client().get_or_create_collection(peer.collection_name)
        ),
        docstore=docstore,
        docstore_strategy=DocstoreStrategy.UPSERTS_AND_DELETE,
        disable_cache=True,  # its key is all texts at once: it holds vectors that nobody finds
    )
    pipeline.run(documents=repository() if peer.kind == "repository" else site())
    docstore.persist(str(kept))
    peer.tell()


main()
