"""One sync of a bucket into Chroma, in other ways than ours; ``peers.py`` runs and measures them.

With ``ours`` as the splitter each way reads, cuts and embeds with the functions of this project, so
that the pipeline around them is what differs; with ``own`` it decodes text and cuts with what it
brings itself, to ``OWN_SIZE``, and only the bare model is ours. Arguments: the way, bucket, S3 URL,
Chroma port, collection, kind of embedding, folder for what the way remembers, folder of the model,
splitter.
"""

import os
import sys
import threading
from functools import cache
from pathlib import Path

BATCH = 500
OWN_SIZE = 1024
"""Bytes or characters of a chunk where a way cuts itself: the default size of this project."""
WAY, BUCKET, S3_URL, CHROMA_PORT, COLLECTION, KIND, STATE, MODEL_DIR, SPLITTER = sys.argv[1:]


@cache
def embedder():
    """Return the model, made once, with no cache of vectors."""
    from s3sync_dagster.embedding import open_embedder
    from s3sync_dagster.model.source import EmbeddingConfig

    return open_embedder(EmbeddingConfig(kind=KIND), model_dir=Path(MODEL_DIR))


@cache
def pool():
    """Return extraction's workers, made once."""
    from s3sync_dagster.workers import open_pool

    return open_pool()


def chunks_of(key: str, content: bytes) -> list[str]:
    """Cut one object, in the way's own manner or in ours."""
    return own_chunks(key, content.decode()) if SPLITTER == "own" else our_chunks(key, content)


def own_chunks(key: str, text: str) -> list[str]:
    """Cut with what the way itself brings."""
    if WAY == "langchain":
        return [part for part in langchain_splitter(Path(key).suffix).split_text(text) if part]
    if WAY == "cocoindex":
        from cocoindex.ops.text import detect_code_language

        language = detect_code_language(filename=key)
        return [one.text for one in cocoindex_splitter().split(text, OWN_SIZE, language=language)]
    return [text[start : start + OWN_SIZE] for start in range(0, len(text), OWN_SIZE)]


@cache
def cocoindex_splitter():
    from cocoindex.ops.text import RecursiveSplitter

    return RecursiveSplitter()


@cache
def langchain_splitter(suffix: str):
    from langchain_text_splitters import Language, RecursiveCharacterTextSplitter

    languages = {".py": Language.PYTHON, ".md": Language.MARKDOWN, ".html": Language.HTML}
    sizes = {"chunk_size": OWN_SIZE, "chunk_overlap": 0}
    if language := languages.get(suffix):
        return RecursiveCharacterTextSplitter.from_language(language, **sizes)
    return RecursiveCharacterTextSplitter(**sizes)


def our_chunks(key: str, content: bytes) -> list[str]:
    from s3sync_dagster.chunking import chunk_document
    from s3sync_dagster.extraction import extract_document
    from s3sync_dagster.model.source import ChunkingConfig, ExtractionConfig

    document = extract_document(content, name=key, config=ExtractionConfig(), pool=pool())
    chunks = chunk_document(
        document, object_key=key, config=ChunkingConfig(), limits=embedder().limits, pool=pool()
    )
    return [chunk.text for chunk in chunks]


def objects():
    """Yield key and bytes of every object, as the first page of any tutorial does."""
    import boto3

    s3 = boto3.client("s3", endpoint_url=S3_URL)
    for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
        for entry in page.get("Contents", []):
            body = s3.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"]
            yield entry["Key"], body.read()


def chroma():
    import chromadb

    return chromadb.HttpClient(port=int(CHROMA_PORT))


def hand_written() -> None:
    """Read all, embed all, upsert all in batches of 500; nothing is ever removed."""
    collection = chroma().get_or_create_collection(
        COLLECTION, configuration={"hnsw": {"space": "cosine"}}
    )
    waiting: list[tuple[str, str, dict[str, str | int]]] = []

    def write() -> None:
        ids, texts, metadatas = (list(column) for column in zip(*waiting, strict=True))
        collection.upsert(
            ids=ids,
            documents=texts,
            metadatas=metadatas,
            embeddings=embedder().embed_documents(texts),
        )
        waiting.clear()

    for key, content in objects():
        for number, text in enumerate(chunks_of(key, content)):
            waiting.append((f"{key}#{number}", text, {"key": key, "chunk": number}))
            if len(waiting) == BATCH:
                write()
    if waiting:
        write()


def langchain() -> None:
    """The index API with a record manager, as its documentation recommends."""
    from langchain_chroma import Chroma
    from langchain_classic.indexes import SQLRecordManager
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.indexing import index

    class Ours(Embeddings):
        def embed_documents(self, texts):
            return embedder().embed_documents(texts).tolist()

        def embed_query(self, text):
            return embedder().embed_query(text).tolist()

    store = Chroma(COLLECTION, embedding_function=Ours(), client=chroma())
    manager = SQLRecordManager(f"chroma/{COLLECTION}", db_url=f"sqlite:///{STATE}/records.db")
    manager.create_schema()
    documents = (
        Document(page_content=text, metadata={"source": key, "chunk": number})
        for key, content in objects()
        for number, text in enumerate(chunks_of(key, content))
    )
    index(
        documents,
        manager,
        store,
        cleanup="full",
        source_id_key="source",
        batch_size=BATCH,
        key_encoder="sha256",
    )


def cocoindex() -> None:
    """A memoised component per object; it has no target for Chroma, so this is one."""
    import asyncio

    import aiobotocore.session
    import cocoindex as coco
    from cocoindex.connectors import amazon_s3

    collection = chroma().get_or_create_collection(
        COLLECTION, configuration={"hnsw": {"space": "cosine"}}
    )
    embedder()
    one_inference = threading.Lock()

    class Records(coco.TargetHandler):
        def __init__(self):
            self.sink = coco.TargetActionSink.from_async_fn(self.apply)

        async def apply(self, _context, actions) -> None:
            await asyncio.to_thread(self.write, actions)

        def write(self, actions) -> None:
            if gone := [name for name, value in actions if value is None]:
                collection.delete(gone)
            if written := [(name, value) for name, value in actions if value is not None]:
                texts = [value[1] for _, value in written]
                with one_inference:
                    vectors = embedder().embed_documents(texts)
                collection.upsert(
                    ids=[name for name, _ in written],
                    documents=texts,
                    embeddings=vectors,
                    metadatas=[{"key": value[0]} for _, value in written],
                )

        def reconcile(self, key, wanted, before, maybe_missing, /):
            if coco.is_non_existence(wanted):
                if not before and not maybe_missing:
                    return None
                return coco.TargetReconcileOutput(
                    action=(key, None), sink=self.sink, tracking_record=coco.NON_EXISTENCE
                )
            if not maybe_missing and all(old == wanted[1] for old in before):
                return None
            return coco.TargetReconcileOutput(
                action=(key, wanted), sink=self.sink, tracking_record=wanted[1]
            )

    records = coco.register_root_target_states_provider("bench/chroma", Records())

    @coco.fn(memo=True)
    async def index_object(file: amazon_s3.S3File) -> None:
        key = file.file_path.resolve()
        for number, text in enumerate(await asyncio.to_thread(chunks_of, key, await file.read())):
            coco.declare_target_state(records.target_state(f"{key}#{number}", (key, text)))

    @coco.fn
    async def main() -> None:
        session = aiobotocore.session.get_session()
        async with session.create_client("s3", endpoint_url=S3_URL) as s3:
            walker = amazon_s3.list_objects(s3, BUCKET)
            handle = await coco.mount_each(index_object, walker.items())
            await handle.ready()

    os.environ["COCOINDEX_DB"] = f"{STATE}/coco"
    coco.App(coco.AppConfig(name="peers"), main).update_blocking()


if __name__ == "__main__":
    ways = {"hand-written": hand_written, "langchain": langchain, "cocoindex": cocoindex}
    ways[WAY]()
    print(f'"embedded": {embedder().inferred}')
    if pool.cache_info().currsize:
        pool().close()
