"""The end of a run for what its objects are, without the framework's traceback."""

from collections.abc import Mapping
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterUserCodeProcessError
from dagster_shared.error import SerializableErrorInfo


class DataFailure(dg.Failure, DagsterUserCodeProcessError):
    """A failure that shows its sentence alone.

    Dagster shows the stack of whatever is raised. Only what came from another process, where no
    stack would help, is shown as it says of itself.
    """

    def __init__(self, description: str, *, metadata: Mapping[str, Any]) -> None:
        Exception.__init__(self, description)
        plain = dg.Failure(description, metadata=metadata, allow_retries=False)
        self.__dict__.update(plain.__dict__)
        self.user_code_process_error_infos = [SerializableErrorInfo(description, [], "Failure")]
