"""Commands of the documents that cannot run in a test, each with its reason.

Begins with what the command begins with; one that no page has fails the test.
"""

REGISTRY = "asks a package registry; test_packaging.py and .ci/release-check install what it names"
TARGET = "a target of this very checkout: local/test_docs.py holds them against the Makefile"
HOURS = "hours, or gigabytes of other people's files"
DOCKER = "needs Docker's daemon; deploy/test_topology.py runs the same parts as processes"
KUBERNETES = "needs a cluster; deploy/test_files.py renders and checks what it applies"

NOT_RUN = {
    ("CONTRIBUTING.md", "make "): TARGET,
    ("README.md", "make demo"): "end_to_end/test_demo.py plays it",
    ("README.md", "make test"): TARGET,
    ("README.md", "make install"): TARGET,
    ("docs/dagster.md", "s3sync source move"): (
        "needs a declaration that changed under a source with objects: cli/test_sources.py does it"
    ),
    ("docs/dagster.md", "pip install"): REGISTRY,
    ("docs/dagster.md", "python -m benchmarks"): HOURS,
    ("docs/deployment.md", "docker "): DOCKER,
    ("docs/deployment.md", "export S3SYNC_DAGSTER_PASSWORD_HASH="): DOCKER,
    ("docs/deployment.md", "sudo "): "gives files to another user of the machine",
    ("docs/deployment.md", "kubectl "): KUBERNETES,
    ("docs/deployment.md", "helm "): KUBERNETES,
    ("docs/deployment.md", "systemctl "): "needs systemd; deploy/test_files.py looks at the units",
    ("docs/embedding.md", "export S3SYNC_EMBEDDING_DEVICE="): (
        "needs a graphics card; embedding/test_device.py"
    ),
    ("docs/embedding.md", "huggingface-cli "): "asks a hub for weights",
    ("docs/embedding.md", "pip "): REGISTRY,
    ("docs/embedding.md", "s3sync sync s3://bucket/prefix --collection quick"): (
        "needs a processor with bfloat16; embedding/test_minilm_bf16.py"
    ),
    ("docs/events.md", "aws sqs start-message-move-task"): "the tests' SQS does not have it",
    ("docs/extraction-benchmark.md", "python -m benchmarks"): HOURS,
    ("docs/guides.md", "export CHROMA_API_KEY="): "Chroma Cloud; ports/test_chroma_cloud.py",
    (
        "docs/guides.md",
        "s3sync sync s3://bucket/prefix --collection docs --embedding chroma-cloud",
    ): ("Chroma Cloud; ports/test_chroma_cloud.py"),
    ("docs/places.md", "pip install"): REGISTRY,
    ("docs/places.md", "s3sync source create code"): (
        "a token goes over TLS alone, which the tests' git server has not; places/test_git.py"
    ),
    ("docs/places.md", "s3sync source create wiki"): (
        "needs an SSH server that the user's known_hosts has; places/test_files_store.py"
    ),
}

ELSEWHERE = {"docs/api.md": "s3sync_dagster_tests/end_to_end/test_daemon.py"}
"""Pages whose blocks another test runs whole."""
