"""Load on the HTTP API, beside a bare FastAPI with one SQL insert."""
