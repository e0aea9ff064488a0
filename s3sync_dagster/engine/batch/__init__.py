"""One batch from its lease to the settlement of its keys."""
