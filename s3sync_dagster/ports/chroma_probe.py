"""Whether a collection's vectors can be read: asked in a process that may die of the answer.

A torn HNSW file takes the whole process down that loads it (SIGSEGV), or makes each call fail.
Run as ``python -m s3sync_dagster.ports.chroma_probe FOLDER TENANT DATABASE COLLECTION`` under
the lock of the folder.
"""

import subprocess
import sys
from pathlib import Path
from typing import Any

from s3sync_dagster.model.errors import NotFound, Unavailable
from s3sync_dagster.ports.chroma_files import links_are_whole, vector_segment

PAGE_RECORDS = 1000
HEALTHY, DAMAGED, MISSING, EMPTY = 0, 3, 4, 5
PROBE_SECONDS = 600


def find_damage(path: Path, *, tenant: str, database: str, name: str) -> str | None:
    """Return what is wrong with a collection's vectors, None when each can be read and found.

    Args:
        path: Chroma's folder, used by nobody else meanwhile.
        tenant: of the database.
        database: of the collection.
        name: of the collection.

    Raises:
        NotFound: the collection does not exist.
        Unavailable: no answer within ten minutes (``probe_timeout``).
    """
    command = [sys.executable, "-P", "-m", __name__, str(path), tenant, database, name]
    try:
        done = subprocess.run(
            command,
            timeout=PROBE_SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
    except subprocess.TimeoutExpired:
        raise Unavailable(
            f"the vectors of collection {name!r} could not be read within {PROBE_SECONDS} s",
            reason="probe_timeout",
        ) from None
    if done.returncode == MISSING:
        raise NotFound(f"there is no collection {name!r} in {str(path)!r}")
    if done.returncode < 0:
        return f"reading it ends the process (signal {-done.returncode})"
    if done.returncode == DAMAGED:
        return "vectors cannot be read"
    if done.returncode == HEALTHY:
        segment = vector_segment(path, tenant=tenant, database=database, name=name)
        return None if links_are_whole(segment) else "links between vectors are torn"
    return None if done.returncode == EMPTY else "the probe could not run"


def _probe(path: str, tenant: str, database: str, name: str) -> int:
    import chromadb
    from chromadb.config import Settings
    from chromadb.errors import NotFoundError

    client: Any = chromadb.PersistentClient(
        path=path, settings=Settings(anonymized_telemetry=False)
    )
    api = client._server
    try:
        collection = api.get_collection(name, tenant, database)
    except NotFoundError:
        return MISSING
    place = {"tenant": tenant, "database": database}
    read = 0
    vector = None
    # Each vector is asked for: a lost one shows in no count and in no other call.
    while True:
        page = api._get(
            collection.id, limit=PAGE_RECORDS, offset=read, include=["embeddings"], **place
        )
        read += len(page["ids"])
        if page["ids"]:
            vector = page["embeddings"][0]
        if len(page["ids"]) < PAGE_RECORDS:
            break
    if vector is not None:
        api._query(collection.id, query_embeddings=[vector], n_results=3, **place)
    if read != api._count(collection.id, **place):
        return DAMAGED
    return HEALTHY if read else EMPTY


if __name__ == "__main__":
    try:
        status = _probe(*sys.argv[1:])
    except Exception:  # noqa: BLE001 - any failure is the answer
        status = DAMAGED
    sys.exit(status)
