"""What one writes in a quarter of an hour: read all, cut by size, upsert batches of 500."""

import sys

import boto3
import chromadb

from s3sync_dagster.embedding.hashing import HashModel

BUCKET, S3_URL, CHROMA_PORT, COLLECTION = sys.argv[1:]
SIZE = 1024
model = HashModel()
s3 = boto3.client("s3", endpoint_url=S3_URL)
collection = chromadb.HttpClient(port=int(CHROMA_PORT)).create_collection(
    COLLECTION, configuration={"hnsw": {"space": "cosine"}}
)
ids, texts, metadatas = [], [], []


def write() -> None:
    collection.upsert(ids=ids, documents=texts, metadatas=metadatas, embeddings=model.infer(texts))
    for column in (ids, texts, metadatas):
        column.clear()


for page in s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET):
    for entry in page["Contents"]:
        text = s3.get_object(Bucket=BUCKET, Key=entry["Key"])["Body"].read().decode()
        for number, start in enumerate(range(0, len(text), SIZE)):
            ids.append(f"{entry['Key']}#{number}")
            texts.append(text[start : start + SIZE])
            metadatas.append({"key": entry["Key"], "chunk": number})
            if len(ids) == 500:
                write()
write()
