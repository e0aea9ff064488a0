"""The least that can be done: FastAPI takes the same body and inserts one row into SQLite."""

import sqlite3
import sys
import uuid

import uvicorn
from fastapi import FastAPI
from pydantic import BaseModel


class Ask(BaseModel):
    object_key: str
    metadata: dict | None = None


def build(path):
    app = FastAPI()
    database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = NORMAL")
    database.execute("CREATE TABLE IF NOT EXISTS asks (id TEXT PRIMARY KEY, object_key TEXT)")

    @app.post("/api/v1/sources/{source_id}/invocations", status_code=201)
    def ask(source_id: str, body: Ask):
        name = str(uuid.uuid4())
        database.execute("INSERT INTO asks VALUES (?, ?)", (name, body.object_key))
        return {"invocation_id": name}

    return app


if __name__ == "__main__":
    uvicorn.run(build(sys.argv[1]), port=int(sys.argv[2]), access_log=False, log_level="warning")
