"""What a Celery worker for runs is: ``dagster_celery.app`` takes it from PYTHONPATH by its name."""

import os

broker_url = os.environ["S3SYNC_CELERY_BROKER"]
result_backend = os.environ["S3SYNC_CELERY_BACKEND"]

# A worker takes a run when it begins with it, and none ahead: what a host that dies has taken ahead
# would wait for an hour in Redis (its visibility timeout).
worker_prefetch_multiplier = 1
worker_disable_prefetch = True

# Each run in a process of its own, forked from one that has imported everything already.
include = ["s3sync_dagster.definitions", "s3sync_dagster.ports.places", "httpcore", "numpy"]
worker_max_tasks_per_child = 1
worker_concurrency = int(os.environ.get("S3SYNC_CELERY_RUNS", "1"))

# Standard output is the run's own: Dagster keeps it.
worker_redirect_stdouts = False
