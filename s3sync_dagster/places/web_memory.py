"""What crawls remember of a site, on the disk: pages, where they lead, what is still to do.

Every step is one transaction, so whoever opens the file again, after a tick or the death of its
process, goes on where the crawl stood.
"""

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.places.disk_room import is_short
from s3sync_dagster.places.web_before import PagesBefore
from s3sync_dagster.places.web_known import MISSES, Page, Task
from s3sync_dagster.places.web_tables import crawl_refusals, task_of

LISTED = ("listed", "kept", "unread")
"""Ends of a page that the site has: answered; known, and not told to be gone; there, and unread."""
NOINDEX = "noindex"
"""End of a page that wants to be in no index."""
LEFT = "left"
"""End of a page for which there was no room: nobody has asked for it."""
MAX_LEFT = 1000
"""Pages that are noted for which there was no room."""
_ASKED_SECONDS = 14 * 86_400.0
"""So long it is remembered that somebody asked for a page that is not there."""
_MOST_VALUES = 500
"""Of one statement."""


class SiteMemory(PagesBefore):
    """The file of one source.

    Args:
        file: of this source alone.
        most_bytes: of page bodies that wait in it to be read.
        clock: of this host.

    Raises:
        FixConfiguration: ``crawl_unusable``, here and in every method.
    """

    def __init__(self, file: Path, *, most_bytes: int, clock: Clock | None = None) -> None:
        super().__init__(file, clock=clock)
        self._most_bytes, self._folder = most_bytes, file.parent

    # --- pages --------------------------------------------------------------------------------

    def page(self, key: str) -> Page | None:
        """Return what is known of a page."""
        row = self._one("SELECT page FROM pages WHERE key = ?", key)
        if row is None:
            return None
        given = json.loads(row[0])
        known = {one.name for one in fields(Page)}
        values = {name: value for name, value in given.items() if name in known}
        return Page(**{**values, "links": tuple(values.get("links", ()))})

    def keep(self, key: str, page: Page, *, depth: int) -> None:
        """Remember a page, and how many links led to it."""
        text = json.dumps(asdict(page))
        self._run("REPLACE INTO pages VALUES (?, ?, ?)", key, depth, text)
        self.found(key)

    def change(self, key: str, page: Page) -> None:
        """Remember something else of a page that stands as near as it did."""
        self._run("UPDATE pages SET page = ? WHERE key = ?", json.dumps(asdict(page)), key)

    def forget_validators(self) -> None:
        """Have every page be read whole when it is asked for next."""
        self._run(
            "UPDATE pages SET page = json_set(page, '$.server_etag', NULL, "
            "'$.server_modified', NULL, '$.changed', NULL)"
        )

    def renew(self, key: str, page: Page) -> None:
        """Remember a page that was asked for outside of a crawl."""
        row = self._one("SELECT depth FROM pages WHERE key = ?", key)
        self.keep(key, page, depth=row[0] if row else 0)

    def learn(self, key: str, etag: str, *, depth: int) -> None:
        """Know a page that nobody has asked for here: from now on every crawl does."""
        text = json.dumps(asdict(Page(etag=etag, size=-1)))
        self._run("INSERT OR IGNORE INTO pages VALUES (?, ?, ?)", key, depth, text)

    def found(self, key: str) -> None:
        """Forget that somebody did not find a page."""
        self._run("DELETE FROM notes WHERE name = ?", f"missing {key}")

    def forget(self, key: str) -> None:
        """Forget a page and its body."""
        self._run("DELETE FROM pages WHERE key = ?", key)
        self._run("DELETE FROM bodies WHERE key = ?", key)

    def put_body(self, key: str, etag: str, body: bytes) -> None:
        """Keep a page's bytes until they are read, as long as there is room for them."""
        packed = zlib.compress(body, 3)
        self._run("DELETE FROM bodies WHERE key = ?", key)
        row = self._one("SELECT coalesce(sum(size), 0) FROM bodies")
        full = row is None or row[0] + len(packed) > self._most_bytes
        if not full and not is_short(self._folder):
            self._run("INSERT INTO bodies VALUES (?, ?, ?, ?)", key, etag, packed, len(packed))

    def take_body(self, key: str, etag: str) -> bytes | None:
        """Return the bytes that wait for a page, and keep them no longer."""
        with self.step():
            row = self._one("SELECT body FROM bodies WHERE key = ? AND etag = ?", key, etag)
            self._run("DELETE FROM bodies WHERE key = ?", key)
        return None if row is None else zlib.decompress(row[0])

    def drop_body(self, key: str, *, unless: str) -> None:
        """Keep the bytes that wait for a page no longer, unless they have this ETag."""
        self._run("DELETE FROM bodies WHERE key = ? AND etag <> ?", key, unless)

    # --- a crawl ------------------------------------------------------------------------------

    def note(self, name: str) -> str | None:
        """Return something that a crawl has noted."""
        row = self._one("SELECT value FROM notes WHERE name = ?", name)
        return None if row is None else row[0]

    def take_note(self, name: str, value: str) -> None:
        """Note something."""
        self._run("REPLACE INTO notes VALUES (?, ?)", name, value)

    def missing_for(self, key: str) -> float:
        """Return the seconds since the first answer that a page, which is not known, is missing."""
        name, now = f"missing {key}", self.now()
        with self.step():
            since = min(float(self.note(name) or now), now)
            self.take_note(name, str(since))
        return now - since

    def begin(self, number: int) -> None:
        """Begin a crawl: what the last one left to do is forgotten, what it learnt is not."""
        self._run("DELETE FROM tasks")
        self._run("DELETE FROM misses")
        self._run("DELETE FROM variants")
        self._run("DELETE FROM notes WHERE name IN ('failures', 'broken', 'first')")
        self._run("DELETE FROM notes WHERE name LIKE 'robots %'")
        self._run(
            "DELETE FROM notes WHERE name LIKE 'missing %' AND CAST(value AS REAL) < ?",
            self.now() - _ASKED_SECONDS,
        )
        self.take_note("crawl", str(number))

    def add_known(self, keys: Iterable[tuple[str, int]], *, gone: bool) -> None:
        """Let the crawl look at pages that it knows, in this order.

        Those that are gone take no room from others (``count_tasks``).
        """
        with self._lock, crawl_refusals():
            self._database.executemany(
                "INSERT OR IGNORE INTO tasks (key, kind, depth, known, hops) "
                "VALUES (?, 'page', ?, ?, 0)",
                [(key, depth, -1 if gone else 1) for key, depth in keys],
            )

    def known_pages(self, *, gone: bool) -> list[tuple[str, int]]:
        """Return the pages that the site has, or that are gone, with depths, the nearest first.

        Last come those that were only told of (``learn``): they take no room from what was met.
        """
        return self._all(
            "SELECT key, depth FROM pages "
            "WHERE (coalesce(json_extract(page, '$.misses'), 0) >= ?) = ? "
            "ORDER BY coalesce(json_extract(page, '$.size'), 0) < 0, depth, key",
            MISSES, gone,
        )  # fmt: skip

    def count_known(self) -> int:
        """Return how many pages the site has, as far as is known."""
        return len(self.known_pages(gone=False))

    def add(
        self, key: str, *, kind: str, depth: int, hops: int = 0, changed: str | None = None
    ) -> bool:
        """Let the crawl look at something; returns whether it was not to be looked at before."""
        with self._lock, crawl_refusals():
            made = self._database.execute(
                "INSERT OR IGNORE INTO tasks (key, kind, depth, known, hops, changed) "
                "VALUES (?, ?, ?, 0, ?, ?)",
                (key, kind, depth, hops, changed),
            ).rowcount
        if not made and kind == "page":
            self.update_task(key, depth=depth, changed=changed)
        return bool(made)

    def update_task(self, key: str, *, depth: int, changed: str | None) -> None:
        """Tell what is still to be looked at that it is nearer, or when it changed last."""
        self._run(
            "UPDATE tasks SET depth = min(depth, ?), changed = coalesce(?, changed) "
            f"WHERE key = ? AND kind = 'page' AND (outcome IS NULL OR outcome = '{LEFT}')",
            depth, changed, key,
        )  # fmt: skip

    def depths(self, keys: Sequence[str]) -> dict[str, int]:
        """Return the depths of those that the crawl has looked at, or will."""
        found: dict[str, int] = {}
        for at in range(0, len(keys), _MOST_VALUES):
            some = keys[at : at + _MOST_VALUES]
            marks = ", ".join("?" * len(some))
            found |= dict(
                self._all(
                    f"SELECT key, depth FROM tasks WHERE kind = 'page' AND key IN ({marks})", *some
                )
            )
        return found

    def next_task(self, *, first: str) -> Task | None:
        """Return what is looked at next: sitemaps, then pages by their distance; None: all is.

        Of the pages the first one comes first: what it leads to by now may have been known before
        as any other page, whose refusal says nothing of the site.
        """
        row = self._one(
            "SELECT * FROM tasks WHERE outcome IS NULL "
            "ORDER BY kind DESC, depth, known DESC, tries, number LIMIT 1"
        )
        if row is not None and task_of(row).kind == "page":
            open_first = "SELECT * FROM tasks WHERE key = ? AND kind = 'page' AND outcome IS NULL"
            row = self._one(open_first, first) or row
        return None if row is None else task_of(row)

    def list_after_all(self, key: str) -> None:
        """List a page that the crawl missed, and that was there since."""
        self._run("UPDATE tasks SET outcome = 'listed' WHERE key = ? AND kind = 'page'", key)

    def end_task(self, task: Task, outcome: str, *, target: str | None = None) -> None:
        """Say how something ended."""
        self._run(
            "UPDATE tasks SET outcome = ?, target = ? WHERE number = ?",
            outcome, target, task.number,
        )  # fmt: skip

    def try_again(self, task: Task) -> None:
        """Look at something once more, after what stands beside it."""
        self._run("UPDATE tasks SET tries = tries + 1 WHERE number = ?", task.number)

    def leave(self, key: str, *, depth: int) -> None:
        """Note a page for which there is no room, unless many are noted by now."""
        self._run(
            "INSERT OR IGNORE INTO tasks (key, kind, depth, known, hops, outcome) "
            "SELECT ?, 'page', ?, 0, 0, ? "
            "WHERE (SELECT count(*) FROM tasks WHERE outcome = ?) < ?",
            key, depth, LEFT, LEFT, MAX_LEFT,
        )  # fmt: skip

    def leave_beyond(self, most: int) -> None:
        """Leave out what is listed beyond so many pages; what was known, or is near, stays.

        Pages give their room back when they name another one, and may be listed all the same.
        """
        at = "(depth = 0) DESC, known DESC, depth, number LIMIT -1 OFFSET ?"
        some = "number IN (SELECT number FROM tasks WHERE"
        self._run(
            f"UPDATE tasks SET outcome = '{LEFT}' WHERE outcome <> 'kept' AND {some} "
            f"kind = 'page' AND outcome IN {LISTED} ORDER BY (outcome = 'kept') DESC, {at})",
            most,
        )
        self._run(f"DELETE FROM tasks WHERE {some} outcome = '{LEFT}' ORDER BY {at})", MAX_LEFT)

    def take_up(self, key: str, *, depth: int, hops: int) -> None:
        """Let the crawl look at a page after all for which there was no room."""
        self._run(
            "UPDATE tasks SET outcome = NULL, depth = min(depth, ?), hops = ? "
            "WHERE key = ? AND kind = 'page' AND outcome = ?",
            depth, hops, key, LEFT,
        )  # fmt: skip

    def left(self) -> list[Task]:
        """Return the pages for which there was no room, the nearest first."""
        rows = self._all("SELECT * FROM tasks WHERE outcome = ? ORDER BY depth, number", LEFT)
        return [task_of(row) for row in rows]

    def count_tasks(self, kind: str, *, that_count: bool = False) -> int:
        """Return how many tasks of a kind are not left, or those that are listed or still open."""
        counts = f" AND (outcome IS NULL AND known >= 0 OR outcome IN {LISTED})"
        where = counts if that_count else f" AND outcome IS NOT '{LEFT}'"
        row = self._one(f"SELECT count(*) FROM tasks WHERE kind = ?{where}", kind)
        return row[0] if row else 0

    def count_variant(self, path: str) -> int:
        """Count one more address of a path; returns how many there are."""
        self._run(
            "INSERT INTO variants VALUES (?, 1) ON CONFLICT (path) "
            "DO UPDATE SET number = number + 1",
            path,
        )
        row = self._one("SELECT number FROM variants WHERE path = ?", path)
        return row[0] if row else 0

    def end_of(self, key: str) -> tuple[str, str | None] | None:
        """Return how something ended in this crawl, and the page that stands for it."""
        row = self._one("SELECT outcome, target FROM tasks WHERE key = ? AND kind = 'page'", key)
        return None if row is None or row[0] is None else (row[0], row[1])

    def miss(self, key: str, at: float) -> None:
        """Note with the crawl that it missed a page: it counts when the crawl has ended whole."""
        self._run("REPLACE INTO misses VALUES (?, ?)", key, at)

    def take_miss_back(self, key: str) -> None:
        """Say that the crawl did not miss a page after all."""
        self._run("DELETE FROM misses WHERE key = ?", key)

    def missed(self) -> list[tuple[str, float]]:
        """Return the pages that this crawl has missed, and when."""
        return self._all("SELECT key, at FROM misses ORDER BY key")

    def count_unread(self) -> int:
        """Return how many pages and sitemaps this crawl could not read, and knows nothing of."""
        row = self._one("SELECT count(*) FROM tasks WHERE outcome = 'unread'")
        return row[0] if row else 0

    def joined(self, outcome: str) -> list[Task]:
        """Return the pages that want to be known as another one, or were ``moved`` for good."""
        rows = self._all("SELECT * FROM tasks WHERE outcome = ? ORDER BY key", outcome)
        return [task_of(row) for row in rows]

    def listed(self, *, after: str, limit: int) -> list[Task]:
        """Return the pages that the site has, in the order of their addresses.

        Those that found no room, or want to be in no index, are among them, so that they count.
        """
        rows = self._all(
            f"SELECT * FROM tasks WHERE kind = 'page' AND outcome IN {(*LISTED, LEFT, NOINDEX)} "
            "AND key > ? ORDER BY key LIMIT ?",
            after, limit,
        )  # fmt: skip
        return [task_of(row) for row in rows]

    def forget_unvisited(self) -> None:
        """Forget the pages that a whole crawl did not look at: the source takes them no longer."""
        for table in ("bodies", "pages"):
            self._run(
                f"DELETE FROM {table} WHERE key NOT IN "
                "(SELECT key FROM tasks WHERE kind = 'page' AND outcome IS NOT ?)",
                LEFT,
            )
