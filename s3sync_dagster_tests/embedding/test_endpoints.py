"""``openai`` and ``chroma-cloud`` against local servers that speak their wire."""

import base64
import itertools
import json
import uuid

import numpy as np
import pytest
from chromadb.utils.embedding_functions import ChromaCloudQwenEmbeddingFunction

from s3sync_dagster.embedding import open_embedder
from s3sync_dagster.embedding.endpoint import BATCH_TEXTS, Endpoint
from s3sync_dagster.embedding.openai import OpenAiModel
from s3sync_dagster.model import errors
from s3sync_dagster.model.document import Record
from s3sync_dagster.model.embedding_kinds import QWEN
from s3sync_dagster.model.source import EmbeddingConfig
from s3sync_dagster_tests.conftest_catalog import HandClock
from s3sync_dagster_tests.opened import open_collections, stock_client
from s3sync_dagster_tests.scripted_http import scripted_server

PLACE = {"tenant": "default_tenant", "database": "default_database"}


def vector(text: str, dimension: int = 16) -> np.ndarray:
    """A vector that depends on the text alone."""
    seed = int.from_bytes(text.encode()[:8].ljust(8), "little") + len(text)
    return np.random.default_rng(seed).random(dimension, dtype=np.float32)


class OpenAiServer:
    """The answers of an OpenAI-compatible server, with the habits that they differ in."""

    def __init__(self, *, base64_known=True, most_texts=10_000, longest=10_000):
        self.base64_known, self.most_texts, self.longest = base64_known, most_texts, longest

    def __call__(self, body):
        request = json.loads(body)
        texts = request["input"]
        if request.get("encoding_format") == "base64" and not self.base64_known:
            return 422, "unknown field", {}
        if len(texts) > self.most_texts or any(len(t) > self.longest for t in texts):
            return 413, "batch size too large", {}
        data = [{"index": n, "embedding": self._form(request, t)} for n, t in enumerate(texts)]
        answer = {"data": data[::-1], "usage": {"total_tokens": sum(map(len, texts))}}
        return 200, json.dumps(answer), {}

    @staticmethod
    def _form(request, text):
        if request.get("encoding_format") == "base64":
            return base64.b64encode(vector(text).tobytes()).decode()
        return vector(text).tolist()


@pytest.fixture
def server():
    with scripted_server() as made:
        made.decide = OpenAiServer()
        yield made


def open_openai(server, **changes):
    config = EmbeddingConfig(
        **{"kind": "openai", "model": "m", "endpoint_url": f"{server.url}/v1/"} | changes
    )
    return open_embedder(config, api_key={"KEY": "sk-secret"}.get)


def texts_asked(server):
    return [json.loads(body)["input"] for *_, body in server.asked]


@pytest.mark.parametrize("base64_known", [True, False])
def test_vectors_come_in_the_order_of_the_texts(server, base64_known):
    server.decide = OpenAiServer(base64_known=base64_known)
    texts = [f"text {n}" for n in range(BATCH_TEXTS * 2 + 5)]
    embedder = open_openai(server)
    made = embedder.embed_documents(texts)
    np.testing.assert_allclose(made, [vector(t) for t in texts], rtol=1e-6)
    assert embedder.dimension == 16
    assert {path for _, path, _, _ in server.asked} == {"/v1/embeddings"}
    server.asked.clear()
    np.testing.assert_allclose(embedder.embed_query("q"), vector("q"), rtol=1e-6)
    assert len(server.asked) == 1, "what the server can do is learnt once"


def test_the_dimension_can_be_asked_before_the_first_text(server):
    embedder = open_openai(server)
    assert embedder.dimension == 16
    assert embedder.dimension == 16
    assert len(server.asked) == 1


def test_batches_shrink_to_what_the_server_takes_and_stay_small(server):
    server.decide = OpenAiServer(most_texts=10)
    embedder = open_openai(server)
    texts = [f"text {n}" for n in range(64)]
    np.testing.assert_allclose(
        embedder.embed_documents(texts), [vector(t) for t in texts], rtol=1e-6
    )
    server.asked.clear()
    embedder.embed_documents([f"other {n}" for n in range(64)])
    assert max(map(len, texts_asked(server))) == 8
    assert len(server.asked) == 8


@pytest.mark.parametrize(
    ("text_seconds", "then"),
    [
        (0.4, {2: [2], 5: [1, 4], 16: [4] * 4, 64: [8] * 8, 300: [34, *[38] * 7]}),
        (0.0099, {2: [2], 16: [16], 64: [64], 1000: [91, *[101] * 9]}),  # none takes a second
        (0.001, {64: [64], 500: [52, *[64] * 7], 800: [100] * 8, 2048: [128] * 16}),
    ],
)
def test_a_slow_endpoint_is_asked_for_few_texts_side_by_side(text_seconds, then):
    clock, asked = HandClock(), []
    endpoint = Endpoint("http://127.0.0.1:9/v1", clock=clock)

    def ask(texts):
        asked.append(len(texts))
        clock.seconds += text_seconds * len(texts)
        return [np.zeros(1)] * len(texts)

    endpoint.embed_rows(["text"], ask)
    endpoint.embed_rows(["text"] * 16, ask)
    assert asked == [1, 16], "one text alone tells what a request costs, not what a text does"
    for number, sizes in then.items():
        asked.clear()
        assert len(endpoint.embed_rows(["text"] * number, ask)) == number
        assert sorted(asked) == sizes


def test_a_text_that_is_refused_alone_says_so(server):
    server.decide = OpenAiServer(longest=50)
    with pytest.raises(errors.LimitExceeded) as caught:
        open_openai(server).embed_documents(["short", "x" * 51])
    assert caught.value.reason == "text_refused"


def test_the_key_is_sent_and_never_shown(server):
    embedder = open_openai(server, api_key_env="KEY")
    embedder.embed_query("x")
    assert server.asked[0][2]["authorization"] == "Bearer sk-secret"
    assert "sk-secret" not in json.dumps(embedder.configuration())
    assert embedder.configuration()["config"]["api_key_env_var"] == "KEY"
    server.decide = lambda _body: (401, "sk-secret is wrong", {})
    with pytest.raises(errors.AccessDenied) as caught:
        embedder.embed_query("x")
    assert "sk-secret" not in str(caught.value)
    with pytest.raises(errors.InvalidSetting, match="OTHER") as caught:
        open_openai(server, api_key_env="OTHER")
    assert caught.value.reason == "missing_key"


@pytest.mark.parametrize(
    ("model", "prompt", "asked"),
    [
        ("m", "query: ", "query: x"),
        ("m", "find <{text}>", "find <x>"),
        ("Qwen/Qwen3-Embedding-0.6B", "Given a question", "Instruct: Given a question\nQuery:x"),
    ],
)
def test_prompts_stand_before_texts(server, model, prompt, asked):
    task = {"task_name": "t", "document_prompt": "passage: ", "query_prompt": prompt}
    embedder = open_openai(server, model=model, task=task)
    embedder.embed_documents(["doc"])
    embedder.embed_query("x")
    assert texts_asked(server) == [["passage: doc"], [asked]]
    assert embedder.cache_key() != open_openai(server, model=model).cache_key()
    assert embedder.configuration() != open_openai(server, model=model).configuration()


@pytest.mark.parametrize(
    ("answer", "kind", "reason"),
    [
        ((404, "no model", {}), errors.NotFound, "not_found"),
        ((405, "", {}), errors.InvalidSetting, "invalid_setting"),
        ((200, "<html>", {}), errors.Unavailable, "bad_vectors"),
        ((200, '{"data": [{"embedding": 7}]}', {}), errors.Unavailable, "bad_vectors"),
        ((200, '{"data": []}', {}), errors.Unavailable, "bad_vectors"),
        ((200, '{"data": [{"embedding": [NaN, 1]}]}', {}), errors.Unavailable, "bad_vectors"),
        ((503, "", {}), errors.Unavailable, "embedding_unavailable"),
        ((429, "", {"retry-after": "9"}), errors.Throttled, "throttled"),
        ((429, "", {"retry-after": "\u00b2"}), errors.Throttled, "throttled"),
    ],
)
def test_what_comes_back_wrong_is_one_of_our_errors(
    server, answer, kind, reason, clock: HandClock, monkeypatch
):
    monkeypatch.setattr("s3sync_dagster.embedding.endpoint.Clock", lambda: clock)
    embedder = open_openai(server)
    embedder.embed_query("learn the dimension")
    server.decide = lambda _body: answer
    with pytest.raises(kind) as caught:
        embedder.embed_query("x")
    assert type(caught.value) is kind
    assert caught.value.reason == reason


ROWS = [
    ["5", "5"],
    ["[1]", "[1, 2]"],
    ["[[1]]", "[[1]]"],
    [f"[{'9' * 400}]", "[1]"],  # what no number of a vector holds
    ['"AAAA"', "[1]"],
    ["{}", "[1]"],
]


@pytest.mark.parametrize("rows", ROWS)
def test_vectors_of_another_shape_are_none(server, cloud, rows):
    entries = ",".join(f'{{"embedding": {one}}}' for one in rows)
    server.decide = lambda _body: (200, f'{{"data": [{entries}]}}', {})
    cloud.decide = lambda _body: (200, f'{{"embeddings": [{",".join(rows)}]}}', {})
    for embedder in (open_openai(server), open_cloud(cloud)):
        with pytest.raises(errors.Unavailable) as caught:
            embedder.embed_documents(["a", "b"])
        assert caught.value.reason == "bad_vectors"


@pytest.mark.parametrize("told", ['"many"', "Infinity", "[1]", "-5", "1e400", "null", "true"])
def test_tokens_that_are_no_number_cost_no_vector(server, told):
    body = f'{{"data": [{{"embedding": [1, 2]}}], "usage": {{"total_tokens": {told}}}}}'
    server.decide = lambda _body: (200, body, {})
    model = OpenAiModel(
        Endpoint(f"{server.url}/embeddings"), model="m", api_base=server.url, api_key_env=None
    )
    assert model.infer(["a"]).tolist() == [[1, 2]]
    assert model.tokens == 0


@pytest.mark.parametrize("texts", [2, 200])
def test_vectors_of_different_lengths_are_the_endpoint_s_fault(server, texts):
    """In one answer, or between answers of several machines behind one address."""
    asked = itertools.count()

    def answer(body):
        uneven = texts == 2 or next(asked) % 2
        rows = [
            {"index": n, "embedding": [1.0] * (3 + (n % 2 if texts == 2 else uneven))}
            for n, _ in enumerate(json.loads(body)["input"])
        ]
        return 200, json.dumps({"data": rows}), {}

    server.decide = answer
    with pytest.raises(errors.Unavailable, match=r"different lengths \(3, 4\)") as caught:
        open_openai(server).embed_documents([f"text {n}" for n in range(texts)])
    assert caught.value.reason == "bad_vectors"


def test_an_endpoint_that_fails_for_a_moment_is_asked_again(server, clock):
    server.decide = None
    good = OpenAiServer()(json.dumps({"input": ["x"]}).encode())
    server.script = [(503, "", {}), (429, "", {"retry-after": "3"}), good]
    endpoint = Endpoint(server.url, clock=clock)
    assert endpoint.address.startswith(server.url), "messages name the port too"
    before = clock.seconds
    assert endpoint.post({"input": ["x"]})["usage"]["total_tokens"] == 1
    assert clock.seconds - before >= 3
    assert endpoint.requests == 3


def test_an_endpoint_with_a_limit_is_asked_little_more_than_it_takes(server, clock):
    """Two requests a second. Pauses of each request alone would ask for more than a hundred."""
    taken_at = [clock.seconds]

    def limited(body):
        if clock.seconds < taken_at[-1] + 0.5:
            return 429, "", {}
        taken_at.append(clock.seconds)
        return OpenAiServer()(body)

    server.decide = limited
    endpoint = Endpoint(server.url, clock=clock)
    began = clock.seconds
    for _ in range(40):
        endpoint.post({"input": ["x"]})
    assert endpoint.requests == len(server.asked) <= 55
    assert clock.seconds - began <= 1.5 * 40 / 2


def test_a_question_does_not_wait_for_long_pauses_nor_behind_texts(server, clock):
    def ask(texts):
        endpoint.post({"input": list(texts)})
        return [np.zeros(2, dtype=np.float32) for _ in texts]

    server.decide = lambda _body: (429, "", {})
    endpoint, began = Endpoint(server.url, clock=clock), clock.seconds
    with pytest.raises(errors.Throttled):
        endpoint.embed_question("q", ask)
    assert clock.seconds - began <= 20
    with pytest.raises(errors.Throttled):
        endpoint.embed(["a text"], ask)
    assert clock.seconds - began > 90
    server.decide = None
    clock.seconds += 20
    endpoint._pace._distance, endpoint._pace._next = 8.0, clock.seconds + 64.0
    endpoint._pace._asked_at = clock.seconds
    began = clock.seconds
    endpoint.embed_question("q", ask)
    assert clock.seconds == began


def test_a_pause_that_an_endpoint_asks_for_holds_for_all_its_requests(server, clock):
    server.decide = None
    server.script = [(429, "", {"retry-after": "50"})] * 3
    endpoint = Endpoint(server.url, clock=clock)
    with pytest.raises(errors.Throttled) as caught:
        endpoint.post({"input": ["x"]})
    assert len(server.asked) == 3, "a fourth would be asked after the two minutes that it has"
    assert 0 < caught.value.retry_after_seconds <= 50
    began = clock.seconds
    assert endpoint.post({"input": ["x"]}) == {}
    assert clock.seconds - began >= 50


def test_settings_that_are_missing_are_named(server):
    for changes in ({"model": None}, {"endpoint_url": None}, {"endpoint_url": "localhost"}):
        with pytest.raises(errors.InvalidSetting, match="endpoint_url"):
            open_openai(server, **changes)


# --- Chroma Cloud -------------------------------------------------------------------------------


def cloud_answer(body):
    request = json.loads(body)
    vectors = [vector(request["instructions"] + t, 1024).tolist() for t in request["texts"]]
    return 200, json.dumps({"embeddings": vectors}), {}


def test_only_who_writes_asks_the_endpoint_for_its_dimension(server, chroma_server):
    name = f"c-{uuid.uuid4().hex}"
    collections = open_collections(url=chroma_server)
    embedder = open_openai(server)
    collections.open(name, **PLACE, embedder=embedder).upsert(
        [Record(id="r", document="one", embedding_text="one", metadata={"n": 1})],
        embedder.embed_documents(["one"]),
    )
    server.asked.clear()
    later = collections.open(name, **PLACE, embedder=open_openai(server), create=False)
    later.delete(["r"])
    assert later.count() == 0
    assert server.asked == []

    def shorter(body):
        data = [{"embedding": [1.0] * 8} for _ in json.loads(body)["input"]]
        return 200, json.dumps({"data": data}), {}

    server.decide = shorter  # the same name, another model
    with pytest.raises(errors.EmbeddingMismatch, match="16"):
        collections.open(name, **PLACE, embedder=open_openai(server))
    collections.close()


@pytest.fixture
def cloud():
    with scripted_server() as made:
        made.decide = cloud_answer
        yield made


def open_cloud(cloud, **changes):
    return open_embedder(
        EmbeddingConfig(**{"kind": "chroma-cloud"} | changes),
        embed_url=cloud.url,
        api_key={"CHROMA_API_KEY": "ck-secret"}.get,
    )


def test_qwen_speaks_the_wire_of_the_stock_function(cloud):
    embedder = open_cloud(cloud)
    made = embedder.embed_documents(["a", "b"])
    np.testing.assert_allclose(made, [vector("a", 1024), vector("b", 1024)], rtol=1e-6)
    _, _, headers, body = cloud.asked[0]
    assert headers["x-chroma-token"] == "ck-secret"
    assert headers["x-chroma-embedding-model"] == QWEN
    assert json.loads(body) == {"instructions": "", "texts": ["a", "b"]}
    embedder.embed_query("q")
    assert json.loads(cloud.asked[1][3])["instructions"] == "Retrieve semantically similar text"


def test_a_task_of_ones_own_brings_its_prompts(cloud):
    task = {"task_name": "mine", "document_prompt": "D", "query_prompt": "Q"}
    embedder = open_cloud(cloud, task=task)
    embedder.embed_documents(["a"])
    embedder.embed_query("q")
    assert [json.loads(body)["instructions"] for *_, body in cloud.asked] == ["D", "Q"]


@pytest.mark.parametrize(
    "task",
    [
        None,
        {"task_name": "nl_to_code"},
        {"task_name": "mine", "document_prompt": "D", "query_prompt": "Q"},
    ],
)
def test_the_persisted_configuration_is_the_stock_functions(cloud, task, monkeypatch):
    monkeypatch.setenv("CHROMA_API_KEY", "any")
    ours = open_cloud(cloud, task=task).configuration()
    rebuilt = ChromaCloudQwenEmbeddingFunction.build_from_config(ours["config"])
    assert ours["name"] == rebuilt.name()
    assert ours["config"] == rebuilt.get_config()


def test_a_stock_client_queries_through_a_compatible_service(cloud, chroma_server, monkeypatch):
    embedder = open_cloud(cloud)
    name = f"c-{uuid.uuid4().hex}"
    collection = open_collections(url=chroma_server).open(name, **PLACE, embedder=embedder)
    text = "Retrieve semantically similar textone"  # what the stub makes of the query "one"
    collection.upsert(
        [
            Record(id=f"r{n}", document=t, embedding_text=t, metadata={"n": n})
            for n, t in enumerate([text, "two"])
        ],
        embedder.embed_documents([text, "two"]),
    )
    monkeypatch.setenv("CHROMA_EMBED_URL", cloud.url)
    monkeypatch.setenv("CHROMA_API_KEY", "any")
    host, port = chroma_server.removeprefix("http://").split(":")
    stock = stock_client(host=host, port=int(port)).get_collection(name)
    answer = stock.query(query_texts=["one"], n_results=1)
    assert answer["ids"] == [["r0"]]
    assert answer["distances"][0][0] == pytest.approx(0, abs=1e-5)


def test_what_cloud_cannot_do_is_a_wrong_setting(cloud):
    with pytest.raises(errors.InvalidSetting, match="Qwen"):
        open_cloud(cloud, model="other")
    with pytest.raises(errors.InvalidSetting, match="CHROMA_API_KEY"):
        open_embedder(EmbeddingConfig(kind="chroma-cloud"))
