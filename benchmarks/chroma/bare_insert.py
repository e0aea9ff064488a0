"""Chroma's stock client inserts finished records: ``bare_insert.py FILE PORT COLLECTION``."""

import pickle
import sys
from pathlib import Path

import chromadb

BATCH = 1000
FILE, PORT, COLLECTION = sys.argv[1:]
collection = chromadb.HttpClient(port=int(PORT)).create_collection(
    COLLECTION, configuration={"hnsw": {"space": "cosine"}}
)
columns = pickle.loads(Path(FILE).read_bytes())
for start in range(0, len(columns["ids"]), BATCH):
    collection.add(**{name: column[start : start + BATCH] for name, column in columns.items()})
