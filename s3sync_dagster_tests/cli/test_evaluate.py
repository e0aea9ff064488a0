"""Questions with known answers: read, made, asked; people learn what is found and what is lost."""

import json
import uuid

import pytest

from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.engine.hybrid import Searcher, versions_by_scan
from s3sync_dagster.evaluating import (
    Measured,
    Question,
    measure,
    propose,
    read_questions,
    unknown_excerpts,
    unknown_keys,
)
from s3sync_dagster.model.document import Hit, Record
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.ports.memory_chroma import MemoryCollections
from s3sync_dagster.ports.word_index import FtsWordIndex

EMBEDDER = open_embedder(EmbeddingConfig(kind="hash"))
GUIDE = {
    "docs/guide.md": "# Guide\n\n## Holidays\n\nEveryone has 28 days in a year, more after ten.\n\n"
    "## Travel\n\nReceipts come with the claim, within four weeks of the way back.\n",
    "docs/shelf.py": '"""Shelves."""\n\n\ndef add(book, shelf):\n'
    '    """Put a book where its first letter says.\n\n    More of it.\n    """\n'
    "    shelf[book.title[0]].append(book)\n    return shelf\n",
}

COMMENTED = (
    "/** Puts a book where its first letter says. */\n"
    "void put(Book book, /* or null */ Shelf shelf) {\n"
    "  shelf.add(book);\n}\n"
)


def hit(text, key="docs/a.md", copies=()):
    return Hit(id="x", document=text, metadata={"document_key": key}, copies=copies)


def test_what_is_right():
    long = "One two three four five  six; seven eight nine ten eleven"
    both = Question(question="?", key="a.md", excerpt=long)
    assert both.answered_by(hit("… One two three\nfour five six; seven eight nine ten eleven …"))
    assert both.answered_by(hit("the second half: seven eight nine ten eleven"))
    assert not both.answered_by(hit("One two", key="docs/a.md"))
    assert not both.answered_by(hit(long, key="docs/ba.md"))
    short = Question(question="?", excerpt="5 GB")
    assert short.answered_by(hit("at most 5\nGB"))
    assert not short.answered_by(hit("at most 5 of them"))
    assert not Question(question="?", excerpt="7").answered_by(hit("xyz"))
    assert Question(question="?", key="docs/a.md").answered_by(hit("anything"))
    other = hit("anything", key="docs/b.md", copies=(hit("anything"),))
    assert Question(question="?", key="docs/a.md").answered_by(other)


def test_questions_are_read_from_lines_of_json_and_from_csv(tmp_path):
    lines = tmp_path / "q.jsonl"
    lines.write_text('{"question": "who?", "key": "a.md"}\n\n{"question": "q", "excerpt": "e"}\n')
    assert read_questions(lines) == [
        Question(question="who?", key="a.md"),
        Question(question="q", excerpt="e"),
    ]
    table = tmp_path / "q.csv"
    table.write_text('question,excerpt,key\nwho?,"a, b",\n')
    assert read_questions(table) == [Question(question="who?", excerpt="a, b")]
    rows = 'question,excerpt,key\nwho\u2028\x85is\x0c?,"a\r\nb",./docs/a.md\nq,,//b.md\n'
    table.write_bytes(rows.encode())
    assert read_questions(table) == [
        Question(question="who\u2028\x85is\x0c?", excerpt="a\nb", key="docs/a.md"),
        Question(question="q", key="b.md"),
    ]
    table.write_text(f'question,key\n"{"x" * 140_000}",a.md\n')
    with pytest.raises(InvalidSetting, match="is no CSV"):
        read_questions(table)
    table.write_text("question, key\nwho?,a.md\n")
    with pytest.raises(InvalidSetting, match="line 2: ' key' is none of"):
        read_questions(table)
    table.write_text("question,key\nwho?,a.md\nHow, exactly?,a.md\n")
    with pytest.raises(InvalidSetting, match="line 3 has more columns"):
        read_questions(table)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\n", "no question"),
        (b"who?\n", "line 1"),
        (b'{"question": "q", "key": "a"}\n{"question": "q"}', "line 2"),
        (b'{"key": "a"}', "'question'"),
        (b'{"question": 1, "key": "a"}', "'question' is no text"),
        (b'{"question": "\\ud800", "key": "a"}', "half of a surrogate pair"),
        (b'{"question": ' + b"[" * 100_000, "line 1"),
        (b"\xff\xfe", "UTF-8"),
        (b'{"question": "q", "key": "a", "excerp": "b"}', "line 1: 'excerp' is none of"),
        (b'{"question": "q", "key": "a", "' + b"x" * 5000 + b'": 1}', "line 1: 'x+'? is none of"),
    ],
)
def test_a_file_without_questions_is_refused(tmp_path, content, said):
    path = tmp_path / "q.jsonl"
    path.write_bytes(content)
    with pytest.raises(InvalidSetting, match=said):
        read_questions(path)
    with pytest.raises(InvalidSetting, match=r"none cannot be read \(No such file or directory\)"):
        read_questions(tmp_path / "none")


def test_ranks_by_each_ranking(tmp_path):
    collection = MemoryCollections().open("docs", tenant="t", database="d", embedder=EMBEDDER)
    texts = ["red green", "red", "blue sky", "green sky over"]
    collection.upsert(
        [
            Record(id=f"r{n}", document=t, embedding_text=t, metadata={"document_key": f"{n}.md"})
            for n, t in enumerate(texts)
        ],
        EMBEDDER.embed_documents(texts),
    )
    index = FtsWordIndex(tmp_path / "words.db")
    index.follow(collection, versions_by_scan(collection))
    questions = [Question(question="red", key="1.md"), Question(question="sky", key="none.md")]
    measured = measure(Searcher(collection, EMBEDDER, index), questions)
    index.close()
    assert unknown_keys(collection, questions, measured) == ["none.md"]
    assert unknown_keys(collection, questions[:1], measured) == []
    assert [one.ranking for one in measured] == ["dense", "words", "hybrid"]
    for one in measured:
        assert one.ranks == (1, None)
        assert (one.recall(1), one.recall(50), one.mrr()) == (0.5, 0.5, 0.5)


def test_excerpts_that_no_record_holds_are_told(tmp_path):
    """A question whose excerpt is misspelt counts against each ranking, whatever these find."""
    collection = MemoryCollections().open("docs", tenant="t", database="d", embedder=EMBEDDER)
    texts = ["red  green", *("red" for _ in range(60)), "sky over\nall of it"]
    collection.upsert(
        [
            Record(id=f"r{n}", document=t, embedding_text=t, metadata={"document_key": f"{n}.md"})
            for n, t in enumerate(texts)
        ],
        EMBEDDER.embed_documents(texts),
    )
    questions = [
        Question(question="?", excerpt="sky over all"),
        Question(question="?", excerpt="sky under all"),
        Question(question="?", excerpt="sky over all", key="0.md"),
        Question(question="?", excerpt="nor this", key="none.md"),
        Question(question="?", excerpt="answered once, and gone since"),
    ]
    measured = [Measured("words", (None, None, None, None, 1))]
    collection.calls.clear()
    assert unknown_excerpts(collection, questions, measured, keys=["none.md"]) == [
        "sky over all",
        "sky under all",
    ]
    collection.calls.clear()
    assert unknown_excerpts(collection, questions[4:], [Measured("words", (1,))], keys=()) == []
    assert collection.calls == []


def test_questions_are_made_from_headings_and_docstrings():
    collection = MemoryCollections().open("docs", tenant="t", database="d", embedder=EMBEDDER)
    chunks = [
        ("a-0", "## Install\n\nRun make, then wait.", {"heading_path": "Guide > Install"}),
        ("a-1", "## Overview\n\nWords.", {"heading_path": "Guide > Overview"}),
        ("b-0", GUIDE["docs/shelf.py"], {"symbol": "add"}),
        ("c-0", "no place at all", {}),
        ("d-0", COMMENTED, {"symbol": "put"}),
    ]
    records = [
        Record(id=i, document=t, embedding_text=t, metadata={"document_key": f"{i[0]}.md"} | m)
        for i, t, m in chunks
    ]
    collection.upsert(records, EMBEDDER.embed_documents([t for _, t, _ in chunks]))
    made = propose(collection, 10)
    assert sorted(made, key=lambda one: str(one.key)) == [
        Question(question="Guide: Install", key="a.md", excerpt="Run make, then wait."),
        Question(
            question="Put a book where its first letter says",
            key="b.md",
            excerpt="shelf[book.title[0]].append(book)",
        ),
        # Of one line with a comment in it, what stands on one side: both are nowhere in the text.
        Question(
            question="Puts a book where its first letter says",
            key="d.md",
            excerpt="void put(Book book,",
        ),
    ]
    assert propose(collection, 10) == made
    assert propose(collection, 1) == made[:1]


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        (
            (
                'def name(self):\n    """Short."""\n    return self.value + other.thing\n\n\n'
                'def more(self):\n    """Say what is more than that and why."""\n    return 1\n'
            ),
            "Say what is more than that and why.",
        ),
        ('def name(self):\n    """Short."""\n    return self.value + other.thing_\n\n', None),
        ('def a():\n    """"""\n    return other.thing(one, two, three)\n', None),
        ('QUERY = """\nSELECT name FROM table WHERE name IS NULL\n"""\nrun(QUERY)\n', None),
        ('run(\n    """\n    SELECT name FROM table WHERE name IS NULL\n\n    """\n)\n', None),
        ('of the docstring\'s end.\n    """\n    value = other.thing(1) + 2\n\n    x\n', None),
        ("/**/ int value = other_thing(one, two) + 2. ;\nint x; \n", None),
        ("/*******/\nint value = other_thing(one, two) + 2. ;\nint x; \n", None),
        (
            'def name() -> str:  # x\n    r"""Say what is more than that and why.\n"""\n    pass\n',
            "Say what is more than that and why",
        ),
        (
            '# A comment.\n\n"""Say what is more than that and why."""\nimport one\n',
            "Say what is more than that and why.",
        ),
        (
            'use A\n@doc """\nSay what is more than that and why.\n"""\ndef one, do: 1\n',
            "Say what is more than that and why",
        ),
        ('"""Short.\n\n>>> other.thing(1) + 2 + 3 + 4\n"""\nvalue = 1\n', None),
        (
            '/**\n * Says "what" is\n * more than that.\n * @return it\n */\nint one();\n',
            'Says "what" is more than that',
        ),
        (
            "int x;\n/** Say what is more than that and why. */\nint one();\n",
            "Say what is more than that and why",
        ),
    ],
)
def test_no_code_is_asked(text, asked):
    """What stands between two comments is none, however short the first is."""
    collection = MemoryCollections().open("docs", tenant="t", database="d", embedder=EMBEDDER)
    metadata = {"document_key": "a.py", "language": "python"}
    record = Record(id="a-0", document=text, embedding_text=text, metadata=metadata)
    collection.upsert([record], EMBEDDER.embed_documents([text]))
    assert [one.question for one in propose(collection, 5)] == ([asked] if asked else [])


def test_a_collection_is_evaluated_with_questions_of_its_own(s3sync, aws_endpoint, tmp_path):
    bucket, collection = aws_endpoint.make_bucket(), f"c-{uuid.uuid4().hex[:12]}"
    for key, text in GUIDE.items():
        aws_endpoint.put(bucket, f"guide/{key}", text)
    done = s3sync(
        "sync", f"s3://{bucket}/guide/", "--collection", collection,
        "--endpoint-url", aws_endpoint.url, "--embedding", "hash",
    )  # fmt: skip
    assert done.code == 0, done.err
    path = tmp_path / "questions.jsonl"
    path.write_text(
        json.dumps({"question": "28 days in a year", "key": "docs/guide.md", "excerpt": "28 days"})
        + "\n"
        + json.dumps({"question": "unheard of", "key": "docs/none.md"})
        + "\n"
        + json.dumps({"question": "misspelt", "excerpt": "28 dais"})
    )
    told = s3sync("evaluate", collection, "--questions", str(path), "-k", "2")
    assert told.code == 0, told.err
    lines = told.out.splitlines()
    assert lines[0].split() == ["ranking", "recall@1", "recall@2", "in", "reach", "(50)", "MRR"]
    assert [line.split()[0] for line in lines[1:4]] == ["dense", "words", "hybrid"]
    assert "2 of 3 not among the first 2" in told.out
    assert lines[-6].split() == ["-", "-", "-", "unheard", "of"]
    assert lines[-3] == "No record has these keys, so nothing can answer: docs/none.md"
    assert lines[-1] == "No record holds these excerpts, so nothing can answer: '28 dais'"
    answer = s3sync("evaluate", collection, "--questions", str(path), "--json").json
    assert answer["rankings"]["hybrid"]["recall_at_k"] == pytest.approx(1 / 3)
    assert (answer["unknown_keys"], answer["unknown_excerpts"]) == (["docs/none.md"], ["28 dais"])
    assert answer["ranks"][1] == {
        "question": "unheard of", "dense": None, "words": None, "hybrid": None,
    }  # fmt: skip
    misspelt = s3sync("evaluate", f"{collection}x", "--questions", str(path))
    assert (misspelt.code, f"there are '{collection}'" in misspelt.err) == (1, True), misspelt.err
    made = tmp_path / "made.jsonl"
    arguments = ("evaluate", collection, "--questions", str(made), "--make", "5")
    assert "questions in" in s3sync(*arguments).out
    assert {one.key for one in read_questions(made)} <= {f"guide/{key}" for key in GUIDE}
    assert s3sync("evaluate", collection, "--questions", str(made)).code == 0
    again = s3sync(*arguments)
    assert (again.code, "is there already" in again.err) == (1, True)
