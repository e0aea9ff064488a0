"""cocoindex's local files and splitter, a memoised component a file; a target for Chroma of ours.

It has no source of git (hence the checkout), none of web pages, and no target for Chroma.
"""

import asyncio
import hashlib
import os
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import cocoindex as coco
from cocoindex.connectors import localfs
from cocoindex.ops.text import RecursiveSplitter, detect_code_language
from cocoindex.resources.file import PatternFilePathMatcher
from peer import SIZE, Peer

FOLDER = coco.ContextKey[Path]("folder")

peer = Peer()
splitter = RecursiveSplitter()
one_inference = threading.Lock()


class Records(coco.TargetHandler):
    def __init__(self) -> None:
        self.collection = peer.client().get_or_create_collection(peer.collection_name)
        self.sink = coco.TargetActionSink.from_async_fn(self.apply)

    async def apply(self, _context: Any, actions: Any) -> None:
        await asyncio.to_thread(self.write, actions)

    def write(self, actions: Any) -> None:
        if gone := [name for name, value in actions if value is None]:
            self.collection.delete(gone)
        if written := [(name, value) for name, value in actions if value is not None]:
            texts = [value[1] for _, value in written]
            with one_inference:
                vectors = peer.embed(texts)
            self.collection.upsert(
                ids=[name for name, _ in written],
                documents=texts,
                embeddings=vectors,
                metadatas=[{"key": value[0]} for _, value in written],
            )

    def reconcile(self, key: Any, wanted: Any, before: Any, maybe_missing: bool, /) -> Any:
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


def main() -> None:
    folder = peer.checkout()
    records = coco.register_root_target_states_provider("bench/chroma", Records())

    @coco.fn(memo=True)
    async def index_file(file: localfs.File) -> None:
        path = str(file.file_path.path)
        language = detect_code_language(filename=path)
        text = await file.read_text()
        seen = Counter[str]()
        for chunk in splitter.split(text, SIZE, language=language):
            # By its text, so that chunks behind a change stay what they are.
            name = hashlib.blake2b(chunk.text.encode(), digest_size=12).hexdigest()
            seen[name] += 1
            key = f"{path}#{name}#{seen[name]}"
            coco.declare_target_state(records.target_state(key, (path, chunk.text)))

    @coco.fn
    async def whole() -> None:
        shown = PatternFilePathMatcher(excluded_patterns=["**/.*"])
        files = localfs.walk_dir(folder, recursive=True, path_matcher=shown)
        handle = await coco.mount_each(index_file, files.items())
        await handle.ready()

    os.environ["COCOINDEX_DB"] = f"{peer.state}/coco"
    coco.App(coco.AppConfig(name="places"), whole).update_blocking()
    peer.tell()


main()
