"""What a page assumes and does not say, what its addresses are here, and what cannot run here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from s3sync_dagster.local import demo
from s3sync_dagster_tests.documents.pages import blocks

SAMPLES = Path(demo.__file__).parent / "samples"
MANUAL = (SAMPLES / "product/manuals/tidewatch-buoy-manual.pdf").read_bytes()
KEYS = b"# Keys\n\nRotate a key every ninety days, and tell the harbour office.\n"
BUCKET = {"prefix/a.pdf": MANUAL, "prefix/keys.md": KEYS}
ONCE = "s3sync sync s3://bucket/prefix -c docs --embedding hash -q"
"""A source ``bucket_docs`` with objects, for pages that begin with one."""
REPOSITORY = '--repository "$REPOSITORY"'
READ_KEY = "import cryptography.fernet as f, sys; f.Fernet(sys.stdin.read().strip())"
(_SHOWN,) = [one for one in blocks("README.md", "python") if "HttpClient" in one]
STOCK_CLIENT = f"""
PORT=$(sed -n 's|^Chroma *http://127.0.0.1:||p' up.log)
python - <<END | grep "'prefix/keys.md'"
{_SHOWN.replace("port=...", "port=$PORT").replace("docs.query(", "print(docs.query(")})
END
"""
"""What README shows a stock client: it asks by text."""
UP = "until_true grep -q ^Console up.log"


@dataclass(frozen=True)
class Beside:
    """All texts are beginnings of commands of the page; one that begins none fails the test."""

    objects: Mapping[str, bytes] = field(default_factory=dict)
    """Of the bucket named ``bucket``."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Of the folder in which the reader stands."""
    first: str = ""
    """Done before the first command."""
    before: Mapping[str, str] = field(default_factory=dict)
    here: Mapping[str, str] = field(default_factory=dict)
    """Names and addresses of the page, and what stands for them here. They occur on the page."""
    shows: Mapping[str, str] = field(default_factory=dict)
    """Patterns that the outputs of commands meet."""
    last: str = ""
    """Done after the last command; it has to succeed as well."""
    long: bool = False
    """Whether it is left to ``make test-long``: the others need less than a minute of two cores."""


QUEUES = {"https://sqs.eu-central-1.amazonaws.com/1234/": '"$AWS_ENDPOINT_URL"/123456789012/'}
RUNS = {"s3sync up &": "s3sync up > up.log 2>&1 &"}

BESIDE = {
    "README.md": Beside(
        objects=BUCKET,
        # As on a fresh machine: a Chroma of the home's own, and the model where stock clients look.
        first="unset S3SYNC_CHROMA_URL S3SYNC_MODEL_DIR",
        before={"s3sync up": "make_queue bucket-events", "s3sync status": UP},
        here=QUEUES | RUNS,
        shows={
            "s3sync sync s3://bucket/prefix --collection docs --dry-run": r"new +2\n",
            "s3sync sync s3://bucket/prefix --collection docs ": r"indexed +2\n",
            "s3sync query": r"1\. prefix/keys\.md",
            "s3sync status": r"bucket_docs: .*\n +works .*direct",
            "s3sync why": r"bucket_docs: indexed",
        },
        last=STOCK_CLIENT,
    ),
    "docs/guides.md": Beside(
        long=True,
        objects=BUCKET | {"prefix/seven.pdf": MANUAL},
        files={"notes.md": "# Notes\n\nThe ferry leaves at dawn.\n"},
        before={
            "s3sync status": UP,
            's3sync query "tides"': "until_true found tides '{\"year\": 2024}' seven",
            "OWNER=": "S3SYNC=$(sed -n 's/^API *//p' up.log)",
        },
        here=QUEUES | RUNS,
        shows={
            's3sync query "how': r"1\. prefix/keys\.md",
            "s3sync why": r"bucket_docs: indexed",
            "s3sync aws-setup bucket_docs ": r"aws sqs create-queue",
            "s3sync status": r"works .*direct",
            's3sync query "tides"': r"1\. prefix/seven\.pdf",
            'curl -fsS "$S3SYNC/api/v1/add-file"': r"invocation_id",
            'curl -fsS "$S3SYNC/api/v1/invocations"': r"notes\.md",
        },
    ),
    "docs/concepts.md": Beside(
        objects=BUCKET | {"prefix/bad.pdf": b"%PDF-1.4 cut off"},
        first=f"{ONCE} || test $? = 1",
        shows={
            "s3sync objects": r"failed \(damaged\).*prefix/bad\.pdf",
            "s3sync why": r"bucket_docs: indexed",
        },
    ),
    "docs/backup.md": Beside(
        long=True,
        objects=BUCKET,
        first=f"mkdir backups; {ONCE}",
        before={"s3sync restore": 'mv "$HOME/.s3sync" gone'},
        here={"/backups/": "backups/"},
        last=f"{ONCE} --json > told; grep '\"unchanged\": 2' told || (cat told; false)",
    ),
    "docs/buckets.md": Beside(
        first="make_bucket files; make_bucket reports; make_queue events",
        here={
            "BUCKET": "files",
            "REPORTS": "reports",
            "ACCOUNT_ID": "123456789012",
            "https://sqs...": '"$AWS_ENDPOINT_URL/123456789012/events"',
        },
        last="s3sync source show docs | grep 'inventory: s3://reports/made/files/s3sync/'",
    ),
    "docs/chroma.md": Beside(
        long=True,
        objects=BUCKET,
        files={
            "questions.jsonl": '{"question": "when is a key rotated", "key": "prefix/keys.md"}\n'
        },
        first="s3sync sync s3://bucket/prefix -c docs -q",
        shows={
            "s3sync evaluate docs --questions questions.jsonl --try max": r"hybrid",
            "s3sync evaluate docs --questions questions.jsonl --try emb": r"hybrid",
        },
    ),
    "docs/chunking.md": Beside(
        first="s3sync source create docs --bucket files -c docs --no-check",
        last="s3sync source show docs | grep 'enrich: my_project.enrichment:redact'",
    ),
    "docs/dagster.md": Beside(
        shows={"s3sync doctor": r"ok +model minilm"},
    ),
    "docs/deployment.md": Beside(
        first=f"READ_KEY='{READ_KEY}'",
        here={"cd deploy": "mkdir deploy && cd deploy", "/etc/s3sync/": "etc/"},
        before={"echo exec dagster code-server": "mkdir etc"},
        last='python -c "$READ_KEY" < secrets/S3SYNC_ENCRYPTION_KEY; bash -n etc/*.sh',
    ),
    "docs/embedding.md": Beside(
        long=True,
        objects=BUCKET,
        files={
            "questions.jsonl": '{"question": "when is a key rotated", "key": "prefix/keys.md"}\n'
        },
        here={
            "/models/bge-small-en-v1.5": '"$MODELS/bge"',
            "cross-encoder/ms-marco-MiniLM-L6-v2": '"$MODELS/reranker"',
        },
        shows={"s3sync evaluate": r"reranked"},
    ),
    "docs/events.md": Beside(
        first=(
            "QUEUE_URL=$(make_queue events); DEAD_URL=$AWS_ENDPOINT_URL/123456789012/s3sync-dead\n"
            "DEAD_ARN=arn:aws:sqs:us-east-1:123456789012:s3sync-dead"
        ),
        before={
            "aws sqs receive": "aws sqs send-message --queue-url $DEAD_URL --message-body lost"
        },
        shows={"aws sqs receive-message": r'"Body": "lost"'},
    ),
    "docs/moving.md": Beside(
        first="export CHROMA_EMBED_URL=http://127.0.0.1:9/",
        before={
            "s3sync import sources.json --dry-run": (
                'curl -fsS "$THEIRS/1.json" > sources.json; store_keys 1'
            ),
            'curl -H "x-chroma-token': "CHROMA_API_KEY=any",
            "curl -X POST": "SUPERMEMORY_API_KEY=any; export THEIR_ID=a THEIR_SECRET=b",
            'curl -H "X-API': "COCO_TOKEN=any; export COCO_ID=a COCO_SECRET=b",
        },
        here={
            "https://sync.trychroma.com/api/v1/sources": "$THEIRS/1.json",
            "https://api.supermemory.ai/v3/connections/list": "$THEIRS/2.json",
            "http://localhost:9000/datasource/_search?size=1000": "'$THEIRS'/3.json",
        },
    ),
    "docs/places.md": Beside(
        long=True,
        files={"docs/keys.md": KEYS.decode(), "handbook/.mounted": ""},
        before={
            "s3sync credential create": "store_keys 1; store_keys 2",
            "s3sync source edit code": f"s3sync source create code {REPOSITORY} -c code",
        },
        here={
            "/srv/handbook": '"$PWD/handbook"',
            "github:team/docs": '"$REPOSITORY"',
            "https://docs.example.org/": '"$SITE/"',
            "https://www.example.org/guide/": '"$SITE/guide/"',
        },
    ),
    "docs/running.md": Beside(
        here={"| source ": "| grep -q 'complete.*s3sync' "},
        shows={},
        last="complete -p s3sync",
    ),
    "docs/security.md": Beside(
        first="s3sync source create docs --bucket files -c docs --no-check",
        last="s3sync source show docs | grep 'reader_keys.*team'; s3sync token list | grep 'sales'",
    ),
    "docs/selection.md": Beside(
        first="s3sync source create handbook --bucket files -c handbook --no-check",
        last="s3sync source show handbook | grep 'metadata_interval_seconds.*86400'",
    ),
}
