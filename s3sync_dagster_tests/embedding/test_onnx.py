"""Any model's folder: how tokens become a vector stands in its files; others are refused."""

import json
import shutil
import uuid
from pathlib import Path

import numpy as np
import pytest

from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.embedding.minilm_files import _wheel_folder, find_minilm
from s3sync_dagster.embedding.model_folder import read_recipe
from s3sync_dagster.engine.ports import ModelLimits
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.errors import InvalidSetting, LimitExceeded, MissingEngine
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster_tests.opened import open_collections, stock_client

TEXTS = ["A short text.", "word " * 1000, "def add(a, b):\n    return a + b\n", "x"]


@pytest.fixture
def folder(model_dir, tmp_path) -> Path:
    """MiniLM as sentence-transformers would save it with an ONNX file beside."""
    made = tmp_path / "models" / "my-model"
    weights = _wheel_folder()
    assert weights is not None
    ignored = shutil.ignore_patterns("*.safetensors", "README.md", "data_config.json")
    shutil.copytree(weights, made, ignore=ignored)
    (made / "onnx").mkdir()
    (made / "onnx" / "model.onnx").symlink_to(find_minilm(model_dir) / "model.onnx")
    return made


def change(path: Path, **values) -> None:
    content = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(content | values))


def embed(folder, texts=TEXTS, **options):
    config = EmbeddingConfig(kind="onnx", model=str(folder), **options)
    return open_embedder(config, workers=2).embed_documents(texts)


def test_minilm_as_a_folder_gives_the_vectors_of_minilm(folder, model_dir):
    minilm = open_embedder(EmbeddingConfig(kind="minilm"), model_dir=model_dir)
    theirs = minilm.embed_documents(TEXTS)
    ours = open_embedder(EmbeddingConfig(kind="onnx", model="my-model"), model_dir=folder.parent)
    np.testing.assert_allclose(ours.embed_documents(TEXTS), theirs, atol=2e-6)
    np.testing.assert_allclose(ours.embed_query(TEXTS[0]), theirs[0], atol=2e-6)
    assert ours.limits == ModelLimits(
        default_size_bytes=1024, max_tokens=256, tokenizer_file=str(folder / "tokenizer.json")
    )


def test_pooling_length_and_norm_are_those_of_the_folder(folder):
    plain = embed(folder)
    pooling = folder / "1_Pooling" / "config.json"
    change(pooling, pooling_mode_mean_tokens=False, pooling_mode_cls_token=True)
    first = embed(folder)
    assert np.abs(first - plain).max() > 0.01
    change(pooling, pooling_mode_mean_tokens=True)
    both = embed(folder)
    assert both.shape == (len(TEXTS), 768)
    for part, alone in ((both[:, :384], first), (both[:, 384:], plain)):
        length = np.linalg.norm(part, axis=1, keepdims=True)
        np.testing.assert_allclose(part / length, alone, atol=2e-6)
    pooling.write_text(json.dumps({"pooling_mode": "lasttoken", "word_embedding_dimension": 384}))
    alone, beside = embed(folder, ["x"]), embed(folder, ["x", "a much longer text than that"])
    np.testing.assert_allclose(alone[0], beside[0], atol=1e-5)  # the padding is no token
    modules = json.loads((folder / "modules.json").read_text())[:2]
    (folder / "modules.json").write_text(json.dumps(modules))
    assert np.abs(np.linalg.norm(embed(folder), axis=1) - 1).min() > 0.01
    change(folder / "sentence_bert_config.json", max_seq_length=16)
    cut = embed(folder, ["word " * 14, "word " * 400])
    np.testing.assert_allclose(cut[0], cut[1], atol=1e-5)


def test_prompts_are_those_of_the_folder_or_of_the_task(folder):
    plain = embed(folder, ["query: cats", "passage: cats", "find: cats"])
    prompts = {"query": "query: ", "passage": "passage: "}
    change(folder / "config_sentence_transformers.json", prompts=prompts)
    config = EmbeddingConfig(kind="onnx", model=str(folder))
    embedder = open_embedder(config)
    np.testing.assert_allclose(embedder.embed_query("cats"), plain[0], atol=1e-5)
    np.testing.assert_allclose(embedder.embed_documents(["cats"])[0], plain[1], atol=1e-5)
    asked = open_embedder(
        EmbeddingConfig(kind="onnx", model=str(folder), task={"query_prompt": "find: "})
    )
    np.testing.assert_allclose(asked.embed_query("cats"), plain[2], atol=1e-5)
    assert asked.cache_key() != embedder.cache_key()


def test_vectors_of_other_weights_are_never_taken_from_the_cache(folder, tmp_path):
    first = open_embedder(EmbeddingConfig(kind="onnx", model=str(folder))).cache_key()
    assert open_embedder(EmbeddingConfig(kind="onnx", model=str(folder))).cache_key() == first
    weights = folder / "onnx" / "model.onnx"
    other = weights.read_bytes() + b"\0"
    weights.unlink()
    weights.write_bytes(other)
    assert open_embedder(EmbeddingConfig(kind="onnx", model=str(folder))).cache_key() != first


@pytest.mark.parametrize("told", ["Infinity", "NaN", "-1", "null", "1" + "0" * 30])
def test_a_tokenizer_that_has_no_end_does_not_say_how_much_is_read(folder, told):
    (folder / "sentence_bert_config.json").unlink()
    (folder / "tokenizer_config.json").write_text(f'{{"model_max_length": {told}}}')
    assert read_recipe(folder).max_tokens == 512


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("modules.json", '[{"type": "sentence_transformers.models.Dense", "path": "2"}]', "Dense"),
        ("modules.json", "{", "modules.json"),
        ("modules.json", '[{"type": "a.Pooling", "path": "2_Pooling"}]', "pooling that"),
        ("modules.json", '[{"type": "a.Pooling", "path": "%s"}]' % ("x" * 5000), "cannot be read"),
        ("1_Pooling/config.json", '{"pooling_mode": "weightedmean"}', "weightedmean"),
        ("1_Pooling/config.json", '{"pooling_mode_mean_sqrt_len_tokens": true}', "mean_sqrt_len"),
        ("config.json", "[]", "config.json"),
        ("config.json", "[" * 100_000, "config.json"),
        ("config.json", '{"pad_token_id": "x"}', "pad_token_id"),
        ("config.json", '{"pad_token_id": 1000000000}', "weights refuse"),
        ("1_Pooling/config.json", '{"word_embedding_dimension": true}', "width"),
        ("1_Pooling/config.json", '{"word_embedding_dimension": 768}', "384 numbers.* say 768"),
        ("sentence_bert_config.json", '{"max_seq_length": -5}', "length"),
        ("sentence_bert_config.json", '{"max_seq_length": NaN}', "length"),
        ("sentence_bert_config.json", '{"max_seq_length": 1' + "0" * 30 + "}", "length"),
        ("sentence_bert_config.json", '{"max_seq_length": 100000}', "positions"),
        ("config_sentence_transformers.json", '{"default_prompt_name": ["a"]}', "prompts"),
        ("tokenizer.json", '{"version": "1.0", ', "cannot be loaded"),
        ("onnx/model.onnx", "\b\a", "cannot be loaded"),
    ],
    ids=lambda value: value[:40],
)
def test_a_folder_that_asks_for_more_is_refused(folder, file, content, said):
    (folder / file).unlink(missing_ok=True)  # the weights are a link
    (folder / file).write_text(content)
    with pytest.raises(MissingEngine, match=said) as caught:
        embed(folder)
    assert caught.value.reason == "damaged_model"


def test_a_model_that_is_nowhere_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("BAAI/bge-small-en-v1.5", str(tmp_path)):
        with pytest.raises(MissingEngine, match=name) as caught:
            open_embedder(EmbeddingConfig(kind="onnx", model=name), model_dir=tmp_path)
        assert caught.value.reason == "missing_model"
    with pytest.raises(InvalidSetting, match=r"embedding\.model"):
        open_embedder(EmbeddingConfig(kind="onnx"))


def test_a_name_longer_than_a_file_may_have_is_that_of_no_model(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("x" * 5000, "/" + "x" * 5000, "a/" * 3000):
        with pytest.raises(MissingEngine, match="there is no model") as caught:
            open_embedder(EmbeddingConfig(kind="onnx", model=name), model_dir=tmp_path)
        assert (caught.value.reason, len(caught.value.message) < 1000) == ("missing_model", True)


def write_table(folder, values, *, number="float16", outside=False) -> None:
    """Put weights into a folder that give each token a row of a table, and say so."""
    import onnx
    from onnx import helper, numpy_helper

    folder.mkdir(exist_ok=True)
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(number))
    table = numpy_helper.from_array(values.astype(number), "table")
    node = helper.make_node("Gather", ["table", "input_ids"], ["hidden"])
    given = helper.make_tensor_value_info("input_ids", onnx.TensorProto.INT64, ["b", "l"])
    hidden = helper.make_tensor_value_info("hidden", kind, ["b", "l", values.shape[1]])
    graph = helper.make_graph([node], "table", [given], [hidden], [table])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = {"save_as_external_data": True, "location": "numbers.bin", "size_threshold": 0}
    weights = folder / "onnx" / "model.onnx"
    weights.unlink()
    (weights.parent / "numbers.bin").unlink(missing_ok=True)
    onnx.save_model(model, str(weights), **(options if outside else {}))
    pooling = {"pooling_mode": "cls", "word_embedding_dimension": values.shape[1]}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling))


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "lasttoken"])
def test_numbers_of_sixteen_bits_are_reckoned_with_as_of_more(folder, pooling):
    """The squares of a few hundreds are more than sixteen bits hold: all would be divided away."""
    values = np.random.default_rng(1).normal(scale=300, size=(31_000, 8))
    write_table(folder, values)
    change(folder / "1_Pooling" / "config.json", pooling_mode=pooling)
    vectors = embed(folder, ["cats", "dogs and mice"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    write_table(folder, values.astype("float16"), number="float32")
    change(folder / "1_Pooling" / "config.json", pooling_mode=pooling)
    np.testing.assert_allclose(embed(folder, ["cats", "dogs and mice"]), vectors, atol=1e-5)


@pytest.mark.parametrize("number", [np.nan, np.inf, 0])
@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "lasttoken"])
def test_a_text_that_a_model_makes_no_numbers_of_is_refused_alone(folder, pooling, number):
    """As weights of sixteen bits do not of some texts: others beside it are none of its affair."""
    values = np.random.default_rng(1).normal(size=(31_000, 8))
    tokenizer = json.loads((folder / "tokenizer.json").read_text()) | {"post_processor": None}
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    values[tokenizer["model"]["vocab"]["zebra"]] = number
    write_table(folder, values)
    change(folder / "1_Pooling" / "config.json", pooling_mode=pooling)
    embedder = open_embedder(EmbeddingConfig(kind="onnx", model=str(folder)))
    plain = embedder.embed_documents(["cats and dogs", "mice"])
    if number == 0:  # as sentence-transformers has it: nothing to divide by
        beside = embedder.embed_documents(["cats and dogs", "zebra", "mice"])
        np.testing.assert_array_equal(beside[[0, 2]], plain)
        assert not beside[1].any()
        return
    for ask in (
        lambda: embedder.embed_documents(["cats and dogs", "zebra", "mice"]),
        lambda: embedder.embed_query("zebra"),
    ):
        with pytest.raises(LimitExceeded, match="no numbers") as caught:
            ask()
        assert caught.value.reason == "text_refused"
    np.testing.assert_array_equal(embedder.embed_documents(["cats and dogs", "mice"]), plain)


def test_a_text_with_a_token_that_the_weights_lack_is_refused_alone(folder):
    vocabulary = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    words = [one for one in vocabulary if one.isalpha() and one.isascii()]
    late = max(words, key=vocabulary.__getitem__)
    values = np.random.default_rng(1).normal(size=(vocabulary[late], 8))
    write_table(folder, values)
    change(folder / "1_Pooling" / "config.json", pooling_mode="mean")
    embedder = open_embedder(EmbeddingConfig(kind="onnx", model=str(folder)))
    plain = embedder.embed_documents(["cats and dogs", "mice"])
    for ask in (
        lambda: embedder.embed_documents(["cats and dogs", f"a {late} here", "mice"]),
        lambda: embedder.embed_documents([late]),
    ):
        with pytest.raises(LimitExceeded, match="no numbers") as caught:
            ask()
        assert caught.value.reason == "text_refused"
    np.testing.assert_array_equal(embedder.embed_documents(["cats and dogs", "mice"]), plain)


@pytest.mark.parametrize("pooling", ["cls", "mean", "max", "lasttoken"])
def test_what_stands_where_a_shorter_text_has_no_token_counts_nothing(folder, pooling):
    values = np.random.default_rng(1).normal(size=(31_000, 8))
    values[7] = np.nan
    write_table(folder, values)
    change(folder / "1_Pooling" / "config.json", pooling_mode=pooling)
    change(folder / "config.json", pad_token_id=7)
    beside = embed(folder, ["cats", "mice and a dog"])
    np.testing.assert_allclose(beside[0], embed(folder, ["cats"])[0], atol=1e-5)


def test_weights_beside_the_onnx_file_and_the_tokenizer_tell_models_apart(folder):
    """Weights of some size lie in files of their own: two models may have one graph."""
    random = np.random.default_rng(1)
    keys, graphs = set(), set()
    for _ in range(2):
        write_table(folder, random.normal(size=(31_000, 8)), number="float32", outside=True)
        graphs.add((folder / "onnx" / "model.onnx").read_bytes())
        keys.add(open_embedder(EmbeddingConfig(kind="onnx", model=str(folder))).cache_key())
    assert (len(graphs), len(keys)) == (1, 2)
    (folder / "onnx" / "other.bin").write_bytes(b"of another model")
    keys.add(open_embedder(EmbeddingConfig(kind="onnx", model=str(folder))).cache_key())
    assert len(keys) == 2
    change(folder / "tokenizer.json", normalizer=None)
    keys.add(open_embedder(EmbeddingConfig(kind="onnx", model=str(folder))).cache_key())
    assert len(keys) == 3


@pytest.mark.parametrize(
    "mode",
    ["cls", *(pytest.param(one, marks=pytest.mark.long) for one in ("mean", "max", "lasttoken"))],
)
def test_a_text_without_tokens_fails_nothing(folder, mode):
    """Tokenizers that put nothing around a text give none for an empty one: its vector is zero."""
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer | {"post_processor": None}))
    pooling = folder / "1_Pooling" / "config.json"
    pooling.write_text(json.dumps({"pooling_mode": mode, "word_embedding_dimension": 384}))
    alone = embed(folder, ["cats"])
    beside = embed(folder, ["", "cats", " \n", "dogs"])
    np.testing.assert_allclose(beside[1], alone[0], atol=1e-5)
    assert not beside[[0, 2]].any()
    assert not embed(folder, [""]).any()
    assert not open_embedder(EmbeddingConfig(kind="onnx", model=str(folder))).embed_query("").any()


def test_a_tokenizer_that_gives_no_tokens_at_all_is_damaged(folder):
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    tokenizer |= {"post_processor": None}
    tokenizer["normalizer"] = {"type": "Replace", "pattern": {"Regex": "(?s).+"}, "content": ""}
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    with pytest.raises(MissingEngine, match="tokenizer"):
        embed(folder, ["cats"])


def test_a_model_of_the_hubs_cache_is_found_by_its_name(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    snapshots = tmp_path / ".cache/huggingface/hub/models--me--mine/snapshots"
    snapshots.mkdir(parents=True)
    (snapshots / "abc").symlink_to(folder)
    embedder = open_embedder(EmbeddingConfig(kind="onnx", model="me/mine"))
    assert embedder.dimension == 384


def test_a_collection_says_which_model_made_it(folder, chroma_server):
    embedder = open_embedder(EmbeddingConfig(kind="onnx", model=str(folder)))
    name = f"c-{uuid.uuid4().hex}"
    collections = open_collections(url=chroma_server)
    place = {"tenant": "default_tenant", "database": "default_database"}
    collection = collections.open(name, **place, embedder=embedder)
    records = [Record(id=f"r{n}", document=t, embedding_text=t, metadata={"n": n})
               for n, t in enumerate(TEXTS)]  # fmt: skip
    collection.upsert(records, embedder.embed_documents(TEXTS))
    again = collections.open(name, **place, embedder=embedder, create=False)
    assert again.query(embedder.embed_query("a function that adds"), limit=1)[0].id == "r2"
    host, port = chroma_server.removeprefix("http://").split(":")
    stock = stock_client(host=host, port=int(port)).get_collection(name)
    persisted = stock.configuration_json["embedding_function"]
    assert persisted["name"] == "sentence_transformer"
    assert persisted["config"]["model_name"] == str(folder)
    answer = stock.query(query_embeddings=[embedder.embed_query(TEXTS[0])], n_results=1)
    assert answer["ids"] == [["r0"]]


def test_the_recipe_of_minilm(folder):
    recipe = read_recipe(folder)
    assert (recipe.max_tokens, recipe.poolings, recipe.width) == (256, ("mean",), 384)
    assert (recipe.normalize, recipe.document_prompt, recipe.padding) == (True, "", 0)
