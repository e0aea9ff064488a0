"""What pages were before a crawl, until one has passed: it may have been told one text for all.

A page to log in, or one for an outage, that comes with the status 200 would replace all at once.
"""

from s3sync_dagster.model.errors import FixConfiguration
from s3sync_dagster.places.web_rows import SiteRows

ALIKE_PAGES = 10
"""So many texts may become one and the same."""
ALIKE_SHARE = 0.2
"""Of the known pages that may."""

_HAD = (
    "SELECT json_extract(page, '$.etag') FROM before WHERE page IS NOT NULL UNION "
    "SELECT json_extract(page, '$.etag') FROM pages WHERE key NOT IN (SELECT key FROM before)"
)
"""What pages were before."""


class PagesBefore(SiteRows):
    """The part of a source's file that tells what crawls have changed that no listing has had."""

    def note_before(self, key: str) -> None:
        """Note what is known of a page, or that nothing is, before a crawl says something else."""
        self._run(
            "INSERT OR IGNORE INTO before VALUES (?, (SELECT page FROM pages WHERE key = ?))",
            key, key,
        )  # fmt: skip

    def forget_before(self) -> None:
        """Let what crawls have changed be so: one has passed.

        What a few pages became lately is noted: an outage may have begun with them.
        """
        with self.step():
            became = self._all(
                "SELECT DISTINCT json_extract(pages.page, '$.etag') AS etag "
                "FROM pages JOIN before USING (key) "
                "WHERE etag <> json_extract(before.page, '$.etag') "
                f"AND (etag IN lately OR etag NOT IN ({_HAD}))"
            )
            self._run("DELETE FROM lately")
            for (etag,) in became:
                self._run("INSERT INTO lately VALUES (?)", etag)
            self._run("DELETE FROM before")

    def require_unlike(self, known: int) -> None:
        """Refuse what crawls were told where many pages became one that none was before.

        Pages that were alike before, such as stubs, may become another text together.

        Args:
            known: pages of the site.

        Raises:
            FixConfiguration: ``site_answers_alike``; all pages are again what they were.
        """
        row = self._one(
            "SELECT json_extract(pages.page, '$.etag') AS etag, count(*) AS number, "
            "count(DISTINCT json_extract(before.page, '$.etag')) "
            "FROM pages JOIN before USING (key) "
            "WHERE etag <> json_extract(before.page, '$.etag') "
            "GROUP BY 1 ORDER BY number DESC LIMIT 1"
        )
        new = self._one(
            "SELECT count(*) FROM pages JOIN before USING (key) WHERE before.page IS NULL"
        )
        known -= new[0] if new else 0
        if row is None or row[2] <= ALIKE_PAGES or row[1] <= ALIKE_SHARE * known:
            return
        etag, number, _ = row
        lately = self._one("SELECT 1 FROM lately WHERE etag = ?", etag)
        if not lately and self._one(f"SELECT 1 WHERE ? IN ({_HAD})", etag):
            return
        self._take_back(etag)
        raise FixConfiguration(
            f"The site answers {number} of {known} pages with one and the same text, which none of "
            "them had before, as where one has to log in, or all is down. All records stay. Where "
            "the pages are so by now, leave them out (exclude_path_regexes) or make a new source.",
            reason="site_answers_alike",
        )

    def _take_back(self, etag: str) -> None:
        alike = "json_extract(page, '$.etag') = ? AND key IN (SELECT key FROM before"
        with self.step():
            self._run("DELETE FROM bodies WHERE etag = ?", etag)
            self._run(f"DELETE FROM pages WHERE {alike} WHERE page IS NULL)", etag)
            self._run(
                "UPDATE pages SET page = "
                "(SELECT before.page FROM before WHERE before.key = pages.key) "
                f"WHERE {alike})",
                etag,
            )
