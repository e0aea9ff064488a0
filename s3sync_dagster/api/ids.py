"""Ids as the catalog writes them, however somebody spells them."""

from uuid import UUID


def canonical(text: object) -> str:
    """Return the one spelling of an id: what the audit log has. What is none stays as it came.

    Python takes capitals, braces, no hyphens, and any number of ``urn:`` before it.
    """
    try:
        return str(UUID(str(text)))
    except ValueError:
        return str(text)


def is_canonical(text: str) -> bool:
    """Return whether a text is an id in that spelling."""
    try:
        return str(UUID(text)) == text
    except ValueError:
        return False
