"""How much one answer may hold of what people sent: it is made in memory, for whoever asks."""

import json
from dataclasses import dataclass

from s3sync_dagster.model.errors import LimitExceeded
from s3sync_dagster.model.invocation import Invocation

ROWS_AT_ONCE = 500
"""That a database hands over, so that no more is read than an answer may hold."""


@dataclass(slots=True)
class AnswerSize:
    """How many bytes of metadata were read for one answer, and the most that it may hold."""

    most: int | None
    bytes: int = 0

    def more(self, one: Invocation) -> Invocation:
        """Count an invocation and return it. Raises ``LimitExceeded``."""
        if self.most is not None and one.metadata:
            self.bytes += len(json.dumps(dict(one.metadata)))
            if self.bytes > self.most:
                raise LimitExceeded(
                    f"These requests brought more than {self.most // 1024**2} MiB of metadata "
                    "together: ask for fewer at once.",
                    reason="too_much_metadata",
                )
        return one
