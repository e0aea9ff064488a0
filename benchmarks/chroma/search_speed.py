"""What a hybrid question costs beside its model and Chroma, as a collection grows.

    python benchmarks/chroma/search_speed.py [--records 10000 100000] [--questions 60] [--mixed]

Records of 630 characters and more whose words fall off as those of language do, ten to a document,
in a real catalog (SQLite) and a real word index. The collection is a stand-in that costs next to
nothing, so what is measured is ours: filling the index, following the catalog, words, fusion.
CPU-seconds of this process; p95 is over the questions. Looks that a thread takes beside questions
have a row of their own; what the sync's own write costs is in none. With --mixed every other
document and question is of a language of compounds, whose words are looked up by pieces too.
"""

import argparse
import itertools
import random
import tempfile
import time
from pathlib import Path

import sqlalchemy as sa

from s3sync_dagster.catalog import open_catalog
from s3sync_dagster.catalog.tables import documents
from s3sync_dagster.core.rights import Reader, Rights
from s3sync_dagster.engine.clock import Clock
from s3sync_dagster.engine.hybrid import Searcher
from s3sync_dagster.engine.ports import StoredRecord
from s3sync_dagster.model.document import Hit
from s3sync_dagster.ports.word_index import FtsWordIndex
from s3sync_dagster.ports.word_memory import WordMemory
from s3sync_dagster.word_following import follow_catalog, keep_in_step

CHUNKS = 10
"""Records of a document."""
WORDS = 95
"""Of a record: about 630 characters."""
VOCABULARY = 60_000
FIFTH = slice(35, 45)
"""Of the words by rank: 18 to 22 % of the records have each."""
TEAMS = 50
"""Groups of which each document names one as its reader."""
HOME = {"tenant": "default_tenant", "database": "default_database"}
SYLLABLES = 400
COMMON = ("the", "of", "and", "to", "in", "is", "for", "that", "with", "as")


class Language:
    """Words by Zipf's law, the same for a seed."""

    def __init__(self, seed: int) -> None:
        draw = random.Random(seed)
        letters = "etaoinshrdlucmfwypvbgk"
        self.words = [
            *COMMON,
            *("".join(draw.choices(letters, k=draw.randint(4, 9))) for _ in range(VOCABULARY)),
        ]
        weights = [1 / (rank + 3) for rank in range(len(self.words))]
        self.cumulative = list(itertools.accumulate(weights))

    def text(self, number: int) -> str:
        draw = random.Random(number)
        return " ".join(draw.choices(self.words, cum_weights=self.cumulative, k=WORDS))

    def question(self, number: int) -> str:
        """A question as people ask: three of ten words are common, some are rare."""
        draw = random.Random(-number - 1)
        rare = draw.choices(self.words[10:], k=3)
        frequent = draw.choices(self.words, cum_weights=self.cumulative, k=5)
        return " ".join([*frequent, *rare, "what", "is"])

    def common_words(self, number: int) -> str:
        """Four words, each of which about a fifth of the records have."""
        draw = random.Random(number)
        return " ".join(draw.sample(self.words[FIFTH], k=4))


class Compounds(Language):
    """Words of up to five syllables, some of which are in many words, beside German common ones."""

    def __init__(self, seed: int) -> None:
        draw = random.Random(seed)
        ends = ("", "", "l", "n", "r", "s", "t")
        syllables = [
            draw.choice("bcdfghklmnprstvwz") + draw.choice("aeiou") + draw.choice(ends)
            for _ in range(SYLLABLES)
        ]
        falling = [*itertools.accumulate(1 / (rank + 20) for rank in range(SYLLABLES))]
        common = ["der", "die", "und", "von", "den", "ist", "das", "mit", "zu", "nicht"]
        self.words = [
            *common,
            *(
                "".join(draw.choices(syllables, cum_weights=falling, k=draw.randint(2, 5)))
                for _ in range(VOCABULARY)
            ),
        ]
        weights = [1 / (rank + 3) for rank in range(len(self.words))]
        self.cumulative = list(itertools.accumulate(weights))


class Mixed(Language):
    """Every other document and question is of compounds."""

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self._compounds = Compounds(seed)

    def text(self, number: int) -> str:
        compounds = number // CHUNKS % 2
        return self._compounds.text(number) if compounds else super().text(number)

    def question(self, number: int) -> str:
        return self._compounds.question(number) if number % 2 else super().question(number)


class Collection:
    """Texts in memory, and nearest records by chance."""

    name = "docs"
    id = "6f1f4a5e-0000-4000-8000-000000000000"

    most_nearest = 1000

    def __init__(self, language: Language, records: int) -> None:
        self.texts = [language.text(n) for n in range(records)]
        self.records = records

    def get(self, ids, *, documents=False, vectors=False):
        return {name: self._record(name, documents=documents) for name in ids}

    def query(self, vector, *, limit=10, where=None):
        numbers = random.Random(vector).sample(range(self.records), limit)
        return [
            Hit(
                id=f"d{n // CHUNKS}-{n % CHUNKS}",
                document=f"near {n}",
                metadata={},
                score=1 - rank / 100,
            )
            for rank, n in enumerate(numbers)
        ]

    def _record(self, name: str, *, documents: bool) -> StoredRecord:
        document, _, chunk = name[1:].rpartition("-")
        number = int(document) * CHUNKS + int(chunk)
        return StoredRecord(
            id=name,
            document=self.texts[number] if documents else None,
            metadata={
                "document_key": f"docs/part-{int(document) % 100}/{document}.md",
                "s3sync_source": "source",
                "team": f"team{int(document) * 7919 % TEAMS}",
            },
        )


class Embedder:
    """A question's vector is its words: the model is not what is measured."""

    def embed_query(self, text: str):
        return text


def fill_catalog(catalog, records: int) -> None:
    """Write the rows of documents that a sync of as many records would leave."""
    rows = [
        {
            "source_id": "source",
            "object_key": f"docs/{n}.md",
            "tenant": HOME["tenant"],
            "database_name": HOME["database"],
            "collection_name": "docs",
            "document_id": f"d{n}",
            "metadata": {},
            "owner": "source",
            "phase": "clean",
            "etag": f"{n:032x}",
            "fingerprint": "f",
            "chunks": CHUNKS,
            "high_water": CHUNKS,
            "digests": b"x" * 32 * CHUNKS,
            "metadata_keys": [],
            "indexed_at": 1.7e9 + n,
        }
        for n in range(records // CHUNKS)
    ]
    with catalog.database.write() as tx:
        for start in range(0, len(rows), 2000):
            tx.execute(sa.insert(documents), rows[start : start + 2000])


def write_again(catalog, number: int) -> None:
    """Let a document be committed anew."""
    change = sa.update(documents).where(documents.c.document_id == f"d{number}")
    with catalog.database.write() as tx:
        tx.execute(change.values(indexed_at=documents.c.indexed_at + 1))


def member_of(groups: int) -> Rights:
    """Return the rights of who is in so many of the groups."""
    reader = Reader(frozenset(f"team{n}" for n in range(groups)))
    return Rights(reader=reader, restricted={"source": ("team",)})


def spent(function, *arguments, of=time.process_time):
    """Return what a call gives, and the CPU-milliseconds of this process, or of this thread."""
    began = of()
    answer = function(*arguments)
    return answer, 1000 * (of() - began)


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def measure(records: int, questions: int, *, mixed: bool = False) -> dict[str, float]:
    language = Mixed(7) if mixed else Language(7)
    collection = Collection(language, records)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "words.db")
        catalog = open_catalog(f"sqlite:///{folder}/catalog.db", clock=Clock())
        fill_catalog(catalog, records)
        memory = WordMemory()
        index = FtsWordIndex(path, memory)

        def follow() -> None:
            follow_catalog(index, collection, catalog.database, **HOME, memory=memory)

        def ask_in_step(number: int) -> None:
            """As a server asks."""
            keep_in_step(index, collection, catalog.database, **HOME, memory=memory)
            searcher.search(language.question(number), limit=10)

        def look_after_a_change(number: int) -> float:
            write_again(catalog, number)
            return spent(follow)[1]

        _, build = spent(follow)
        found = {
            "index, CPU-ms a record": build / records,
            "index, KB a record": path.stat().st_size / records / 1000,
        }
        quiet = [spent(follow)[1] for _ in range(9)]
        found["follow, nothing changed, CPU-ms"] = quantile(quiet, 0.5)
        searcher = Searcher(collection, Embedder(), index)
        asked = [language.question(n) for n in range(questions)]
        words = [spent(lambda q=q: index.search(q, limit=50))[1] for q in asked]
        ceilings = [spent(index.ceiling, q)[1] for q in asked]
        whole = [spent(lambda q=q: searcher.search(q, limit=10))[1] for q in asked]
        four = [language.common_words(n) for n in range(questions // 4)]
        common = [spent(lambda q=q: index.search(q, limit=50))[1] for q in four]
        half = index.seen_by(member_of(TEAMS // 2))
        seen = [[spent(lambda q=q: half.search(q, limit=50))[1] for q in asked] for _ in range(2)]
        ten = [f"d{n}-0" for n in range(0, records // CHUNKS, records // CHUNKS // 10)]
        filtered = [spent(lambda q=q: index.search(q, limit=50, among=ten))[1] for q in asked]
        for name, values in (
            ("words", words),
            ("rarity", ceilings),
            ("question", whole),
            ("words, four that a fifth of the records have", common),
            ("words, member of half the groups, first time", seen[0]),
            ("words, member of half the groups", seen[1]),
            ("words among 10 records that meet a filter", filtered),
        ):
            found[f"{name}, median CPU-ms"] = quantile(values, 0.5)
            found[f"{name}, p95 CPU-ms"] = quantile(values, 0.95)
        began = time.process_time()
        writes: list[float] = []
        written: list[float] = []
        for n in range(questions):
            writes.append(spent(write_again, catalog, n, of=time.thread_time)[1])
            written.append(spent(ask_in_step, n, of=time.thread_time)[1])
        memory.finish()
        beside = 1000 * (time.process_time() - began) - sum(written) - sum(writes)
        follow()
        looks = [look_after_a_change(n) for n in range(9)]
        found["follow, one document changed, CPU-ms"] = quantile(looks, 0.5)
        found["question while a sync writes, median CPU-ms"] = quantile(written, 0.5)
        found["question while a sync writes, p95 CPU-ms"] = quantile(written, 0.95)
        found["looks beside it, CPU-ms a question"] = beside / questions
        index.close()
        catalog.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--questions", type=int, default=60)
    parser.add_argument("--mixed", action="store_true", help="of two languages")
    chosen = parser.parse_args()
    results = [measure(records, chosen.questions, mixed=chosen.mixed) for records in chosen.records]
    grows = len(results) > 1
    print(
        f"| | {' | '.join(f'{n:,} records' for n in chosen.records)} |{' grows |' if grows else ''}"
    )
    print("|---|" + "---|" * (len(results) + grows))
    for name in results[0]:
        cells = [f"{one[name]:.3f}" if one[name] < 1 else f"{one[name]:.1f}" for one in results]
        if grows:
            cells.append(f"x {results[-1][name] / max(results[0][name], 1e-9):.1f}")
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
