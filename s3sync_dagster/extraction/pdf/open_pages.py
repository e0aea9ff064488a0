"""Pages of a PDF and their text layers, kept loaded: loading one costs a third of reading it."""

from typing import Any

_MAX_KEPT = 64


class OpenPages:
    """The pages of pdfium's document, loaded as they are asked for.

    The last 64 stay loaded, some MiB together; who asks for one may use it until the next is asked
    for.
    """

    def __init__(self, pdf: Any) -> None:
        self._pdf = pdf
        self._kept: dict[int, tuple[Any, Any]] = {}

    def __len__(self) -> int:
        return len(self._pdf)

    def __getitem__(self, number: int) -> tuple[Any, Any]:
        """Return a page and its text by index. Raises pdfium's error for one that is damaged."""
        found = self._kept.pop(number, None)
        if found is None:
            page = self._pdf[number]
            found = page, page.get_textpage()
            if len(self._kept) >= _MAX_KEPT:
                self.drop(next(iter(self._kept)))
        self._kept[number] = found
        return found

    def drop(self, number: int) -> None:
        """Give a page back."""
        if number in self._kept:
            page, layer = self._kept.pop(number)
            layer.close()
            page.close()

    def close(self) -> None:
        """Give all pages back; the document stays open."""
        for number in list(self._kept):
            self.drop(number)
