"""docling's writer of Markdown, which copies and prints its settings once, not for each item.

Imports docling as it is loaded: only for the forker of workers.
"""

from typing import Any

from docling_core.transforms.serializer.markdown import (  # noqa: TID253 (see above)
    MarkdownDocSerializer,
    MarkdownParams,
)
from pydantic import PrivateAttr


class _Params(MarkdownParams):
    """Settings that nobody changes while a document is written."""

    _printed: str = PrivateAttr("")

    def model_dump(self, **_: Any) -> dict[str, Any]:
        return dict(self.__dict__)

    def model_dump_json(self, **of: Any) -> str:
        self._printed = self._printed or super().model_dump_json(**of)
        return self._printed

    def model_copy(self, *, update: Any = None, deep: bool = False) -> Any:
        own = self.__dict__
        if not update or {**update, **own} == {**own, **update}:
            return self
        return MarkdownParams(**own).model_copy(update=update, deep=deep)


def write_markdown(document: Any, **settings: Any) -> str:
    """Return a document of docling as Markdown.

    Args:
        document: what a backend gives.
        settings: those of ``MarkdownParams``.
    """
    return MarkdownDocSerializer(doc=document, params=_Params(**settings)).serialize().text
