"""What one writes in a quarter of an hour: pull, read all that git has, cut by size, upsert.

Loaders of other libraries do the same: they give every file of a checkout, whatever changed.
"""

import json
import subprocess
import sys
from pathlib import Path

import chromadb

from s3sync_dagster.embedding.hashing import HashModel

URL, FOLDER, CHROMA_PORT, COLLECTION = sys.argv[1:]
SIZE = 1024
model = HashModel()
there = Path(FOLDER)
pull = ["-C", FOLDER, "pull", "-q"] if there.exists() else ["clone", "-q", "--depth=1", URL, FOLDER]
subprocess.run(["git", *pull], check=True)
client = chromadb.HttpClient(port=int(CHROMA_PORT))
collection = client.get_or_create_collection(COLLECTION)
names = subprocess.run(["git", "-C", FOLDER, "ls-files", "-z"], check=True, capture_output=True)
ids, texts, embedded, reads = [], [], 0, 0
for name in names.stdout.decode().rstrip("\0").split("\0"):
    text = (there / name).read_text()
    reads += 1
    for number, start in enumerate(range(0, len(text), SIZE)):
        ids.append(f"{name}#{number}")
        texts.append(text[start : start + SIZE])
    if len(ids) > 500 or name == names.stdout.decode().rstrip("\0").rpartition("\0")[2]:
        collection.upsert(ids=ids, documents=texts, embeddings=model.infer(texts))
        embedded += len(ids)
        ids, texts = [], []
print(json.dumps({"reads": reads, "embedded": embedded}))
