"""Who reads beside the first writes of a collection meets no error of Chroma's."""

import threading
import uuid

import numpy as np

from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster_tests.opened import open_collections

ROUNDS = 8


def test_readers_beside_first_writes_meet_no_damage(chroma_server):
    """Chroma answers such readers with "Nothing found on disk" about every tenth time."""
    collections = open_collections(url=chroma_server)
    embedder = open_embedder(EmbeddingConfig(kind="hash"))
    problems, reads = [], 0
    for _ in range(ROUNDS):
        collection = collections.open(
            f"c-{uuid.uuid4().hex}",
            tenant="default_tenant",
            database="default_database",
            embedder=embedder,
        )
        stopped = threading.Event()
        names = [f"id-{number}" for number in range(42)]

        def read(collection=collection, stopped=stopped, names=names):
            nonlocal reads
            while not stopped.is_set():
                try:
                    collection.get(names, vectors=True)
                    reads += 1
                except Exception as error:  # noqa: BLE001  (shown by the assertion below)
                    problems.append(error)

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for start in range(0, 42, 14):
            part = [
                Record(id=name, document=name, embedding_text=name, metadata={})
                for name in names[start : start + 14]
            ]
            collection.upsert(part, embedder.embed_documents([one.document for one in part]))
        stopped.set()
        for reader in readers:
            reader.join()
        found = collection.get(names, vectors=True)
        assert all(np.isfinite(found[name].vector).all() for name in names)
    assert not problems
    assert reads > ROUNDS
