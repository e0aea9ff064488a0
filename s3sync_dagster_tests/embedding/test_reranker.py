"""A cross-encoder in a folder: what it scores, what a search makes of it, what is refused."""

import json
import math
from dataclasses import replace
from pathlib import Path

import pytest

from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.embedding.reranker import CrossEncoder, open_reranker
from s3sync_dagster.engine.hybrid import RERANKED, Searcher
from s3sync_dagster.evaluating import Question, measure
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import MissingEngine
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster.ports.memory_chroma import MemoryCollections
from s3sync_dagster_tests.cross_encoder import make_cross_encoder

EMBEDDER = open_embedder(EmbeddingConfig(kind="hash"))
WORDS = "the ferry leaves at dawn bread is baked moon tide pulls sea when does filler other"


@pytest.fixture
def folder(tmp_path) -> Path:
    return make_cross_encoder(tmp_path / "models" / "tiny", WORDS)


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def test_question_and_text_are_read_together(folder):
    model = CrossEncoder(folder, workers=2)
    texts = ["the ferry leaves at dawn", "bread is baked", "the ferry", "filler " * 20]
    scores = model.score("when does the ferry leaves", texts)
    # One [SEP] of the question equals that of the text; 3 are taken away.
    assert scores == pytest.approx([sigmoid(3 + 1 - 3), sigmoid(-2), sigmoid(0), sigmoid(-2)])
    assert scores == model.score("when does the ferry leaves", texts), "the same each time"
    alone = [model.score("when does the ferry leaves", [text])[0] for text in texts]
    assert alone == pytest.approx(scores), "what stands beside a text does not matter"
    assert model.score("bread", []) == []


def test_what_fills_up_shorter_texts_is_not_read(folder):
    """Whatever token the model fills up with: here a word that both have."""
    ferry = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]["ferry"]
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"pad_token_id": ferry}))
    short, _ = CrossEncoder(folder).score("ferry", ["ferry", "filler " * 20])
    assert short == pytest.approx(sigmoid(-1))


def test_a_pair_is_cut_to_what_the_model_reads(folder):
    model = CrossEncoder(folder)
    assert model.max_tokens == 32
    [late] = model.score("ferry", ["filler " * 100 + "ferry"])
    assert late == pytest.approx(sigmoid(-2)), "what lies behind the length is not read"
    [both] = model.score("ferry " * 500, ["ferry " * 500])
    assert both > 0.99, "a question that is too long is cut too"
    config = folder / "config.json"
    config.write_text(config.read_text().replace(": 32,", ": 200,"))
    [read] = CrossEncoder(folder).score("ferry", ["filler " * 100 + "ferry"])
    assert read == pytest.approx(sigmoid(-1))


def test_it_is_found_where_models_of_kind_onnx_are(folder, tmp_path, monkeypatch):
    assert open_reranker(str(folder), model_dir=None).score("tide", ["tide"])
    assert open_reranker("tiny", model_dir=folder.parent).score("tide", ["tide"])
    monkeypatch.setenv("HOME", str(tmp_path))
    hub = tmp_path / ".cache/huggingface/hub/models--some--tiny/snapshots/0123"
    hub.parent.mkdir(parents=True)
    hub.symlink_to(folder, target_is_directory=True)
    assert open_reranker("some/tiny", model_dir=None).score("tide", ["tide"])


def test_one_that_is_not_at_hand_is_refused_with_one_sentence(tmp_path):
    for name in ("no/such-model", str(tmp_path)):
        with pytest.raises(MissingEngine, match="^S3SYNC_RERANKER names a model") as caught:
            open_reranker(name, model_dir=tmp_path)
        assert caught.value.reason == "missing_model"
        assert name in caught.value.message
        assert "huggingface-cli download" in caught.value.message


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("config.json", '{"id2label": {"0": "a", "1": "b"}}', "2 labels"),
        ("config.json", "{", "config.json cannot be read"),
        ("config.json", "[" * 100_000, "config.json cannot be read"),
        ("sentence_bert_config.json", '{"max_seq_length": 1' + "0" * 30 + "}", "length"),
        ("sentence_bert_config.json", '{"max_seq_length": "long"}', "length"),
        ("sentence_bert_config.json", '{"max_seq_length": 2}', "too small"),
        ("onnx/model.onnx", "no model", "files cannot be loaded"),
        ("tokenizer.json", "{}", "files cannot be loaded"),
    ],
    ids=lambda value: value[:40],
)
def test_files_that_are_no_cross_encoder_s_are_refused(folder, file, content, said):
    (folder / file).write_text(content)
    with pytest.raises(MissingEngine, match=said) as caught:
        open_reranker(str(folder), model_dir=None).score("tide", ["tide", "moon"])
    assert caught.value.reason == "damaged_model"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"outputs": 3}, "more than one number"),
        ({"scale": math.nan}, "numbers that are none"),
        ({"rows": 5}, "its weights refuse what its files say"),
    ],
)
def test_weights_that_are_no_cross_encoder_s_are_refused(folder, options, said):
    make_cross_encoder(folder, WORDS, **options)
    with pytest.raises(MissingEngine, match=said) as caught:
        open_reranker(str(folder), model_dir=None).score("tide", ["tide", "moon"])
    assert caught.value.reason == "damaged_model"


# --- searches -------------------------------------------------------------------------------------


class Words:
    """A word index whose best are the first records."""

    def __init__(self, count):
        self.count = count

    def search(self, text, *, limit, offset=0):
        scored = [(f"r{n}", float(self.count - n)) for n in range(self.count)]
        return scored[offset : offset + limit]

    def known(self, ids):
        return set(ids)

    def ceiling(self, text):
        return float(self.count)  # words alone decide


@pytest.fixture
def searcher(folder):
    """Of 120 records the 40th, 60th and 110th answer; words and vectors say nothing of it."""
    made = MemoryCollections().open("docs", tenant="t", database="d", embedder=EMBEDDER)
    answers = (40, 60, 110)
    texts = [f"filler {n} " + ("ferry dawn" if n in answers else "other") for n in range(120)]
    records = [
        Record(id=f"r{n}", document=text, embedding_text=text, metadata={"document_key": f"{n}.md"})
        for n, text in enumerate(texts)
    ]
    made.upsert(records, EMBEDDER.embed_documents(["all the same"] * len(records)))
    return Searcher(made, EMBEDDER, Words(120), CrossEncoder(folder))


def ids(hits):
    return [hit.id for hit in hits]


def test_the_first_fifty_are_ordered_anew(searcher):
    plain = replace(searcher, reranker=None).search("ferry dawn", limit=RERANKED)
    assert ids(plain)[:3] == ["r0", "r1", "r2"]
    hits = searcher.search("ferry dawn", limit=4)
    assert ids(hits) == ["r40", "r0", "r1", "r2"], "equal scores stay as they were"
    assert hits[0].reranked == hits[0].score > hits[1].score
    assert hits[1].words is not None
    assert ids(searcher.search("ferry dawn", limit=60))[:2] == ["r40", "r0"]
    assert ids(searcher.search("ferry dawn", limit=100))[:3] == ["r40", "r60", "r0"], (
        "where more are asked for, all of them are read"
    )


def test_rankings_that_were_chosen_stay_what_they_are(searcher):
    for ranking in ("dense", "words"):
        hits = searcher.search("ferry dawn", ranking=ranking, limit=3)
        assert hits == replace(searcher, reranker=None).search(
            "ferry dawn", ranking=ranking, limit=3
        )
        assert [hit.reranked for hit in hits] == [None] * 3


def test_an_evaluation_measures_what_it_adds(searcher):
    questions = [Question(question="ferry dawn", key="40.md")]
    measured = {one.ranking: one for one in measure(searcher, questions)}
    assert list(measured) == ["dense", "words", "hybrid", "reranked"]
    assert (measured["hybrid"].ranks, measured["reranked"].ranks) == ((41,), (1,))
    without = measure(replace(searcher, reranker=None), questions)
    assert [one.ranking for one in without] == ["dense", "words", "hybrid"]
    assert json.dumps(measured["reranked"].mrr()) == "1.0"


def test_a_text_of_which_the_weights_make_no_number_answers_nothing_and_ends_no_search(folder):
    import onnx

    make_cross_encoder(folder, WORDS)
    file = folder / "onnx" / "model.onnx"
    model = onnx.load(str(file))
    known = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *dict.fromkeys(WORDS.lower().split())]
    for node in model.graph.node:
        if node.output[0] == "table":
            floats = list(node.attribute[0].floats)
            floats[known.index("moon")] = math.inf  # as weights of 16 bits overflow
            del node.attribute[0].floats[:]
            node.attribute[0].floats.extend(floats)
    onnx.save(model, str(file))
    scores = open_reranker(str(folder), model_dir=None).score("tide", ["tide", "moon", "sea"])
    assert scores[1] == 0.0 < min(scores[0], scores[2])
    assert scores[0] > scores[2]


def test_a_text_with_a_token_that_the_weights_lack_answers_nothing_and_ends_no_search(folder):
    make_cross_encoder(folder, WORDS, rows=4 + len(dict.fromkeys(WORDS.split())) - 1)
    last = list(dict.fromkeys(WORDS.split()))[-1]
    model = open_reranker(str(folder), model_dir=None)
    scores = model.score("tide", ["tide", f"the {last}", "sea"])
    assert scores[1] == 0.0 < min(scores[0], scores[2])
    with pytest.raises(MissingEngine, match="refuse"):
        model.score("tide", [last])
