"""The ONNX form of all-MiniLM-L6-v2, built from its published weights with numpy and onnx alone.

Inputs and the first output are those of the file that Chroma's default embedding function
loads: ``input_ids``, ``attention_mask``, ``token_type_ids`` of shape (batch, tokens) in,
``last_hidden_state`` of shape (batch, tokens, 384) out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADS = 12
HIDDEN = 384
LAYERS = 6
EPSILON = 1e-12
OPSET = 20
"""The first with GELU as one operator."""


def build_onnx(weights: Mapping[str, Any]) -> Any:
    """Return the ``onnx.ModelProto`` for the weights of the Hugging Face file, by their names."""
    from onnx import TensorProto, helper

    graph = _Graph(weights)
    hidden = graph.embeddings()
    mask = graph.attention_mask()
    for layer in range(LAYERS):
        hidden = graph.layer(layer, hidden, mask)
    graph.node("Identity", [hidden], output="last_hidden_state")
    shape = ["batch", "tokens"]
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "all-MiniLM-L6-v2",
            [
                helper.make_tensor_value_info(name, TensorProto.INT64, shape)
                for name in ("input_ids", "attention_mask", "token_type_ids")
            ],
            [
                helper.make_tensor_value_info(
                    "last_hidden_state", TensorProto.FLOAT, [*shape, HIDDEN]
                )
            ],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        producer_name="s3sync-dagster",
    )
    # The newest format that ONNX Runtime 1.20, the oldest we allow, can read.
    model.ir_version = 9
    return model


class _Graph:
    """Nodes and constants of the network, added in order."""

    def __init__(self, weights: Mapping[str, Any]) -> None:
        self.weights = weights
        self.nodes: list[Any] = []
        self.constants: list[Any] = []
        self._names: set[str] = set()

    def node(self, kind: str, inputs: list[str], *, output: str = "", **attributes: Any) -> str:
        from onnx import helper

        output = output or f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def constant(self, name: str, value: Any, dtype: str = "float32") -> str:
        import numpy as np
        from onnx import numpy_helper

        if name not in self._names:
            array = np.ascontiguousarray(value, dtype=dtype)
            self.constants.append(numpy_helper.from_array(array, name))
            self._names.add(name)
        return name

    def weight(self, name: str) -> str:
        return self.constant(name, self.weights[name])

    def dense(self, name: str, inputs: str) -> str:
        matrix = self.constant(f"{name}.matrix", self.weights[f"{name}.weight"].T)
        product = self.node("MatMul", [inputs, matrix])
        return self.node("Add", [product, self.weight(f"{name}.bias")])

    def normed(self, name: str, inputs: str) -> str:
        scale, bias = self.weight(f"{name}.weight"), self.weight(f"{name}.bias")
        return self.node("LayerNormalization", [inputs, scale, bias], axis=-1, epsilon=EPSILON)

    def embeddings(self) -> str:
        """Word, position and token type embeddings, summed and normalised."""
        words = self.node("Gather", [self.weight("embeddings.word_embeddings.weight"), "input_ids"])
        kinds = self.node(
            "Gather", [self.weight("embeddings.token_type_embeddings.weight"), "token_type_ids"]
        )
        tokens = self.node("Shape", ["input_ids"], start=1, end=2)
        positions = self.node(
            "Slice",
            [
                self.weight("embeddings.position_embeddings.weight"),
                self.constant("zero", [0], "int64"),
                tokens,
            ],
        )
        total = self.node("Add", [self.node("Add", [words, kinds]), positions])
        return self.normed("embeddings.LayerNorm", total)

    def attention_mask(self) -> str:
        """0 for tokens, a very negative number for padding, as (batch, 1, 1, tokens)."""
        mask = self.node("Cast", ["attention_mask"], to=1)
        mask = self.node("Unsqueeze", [mask, self.constant("axes", [1, 2], "int64")])
        mask = self.node("Sub", [self.constant("one", 1.0), mask])
        return self.node("Mul", [mask, self.constant("never", -1e9)])

    def layer(self, number: int, hidden: str, mask: str) -> str:
        name = f"encoder.layer.{number}"
        attended = self.dense(f"{name}.attention.output.dense", self._attention(name, hidden, mask))
        hidden = self.normed(
            f"{name}.attention.output.LayerNorm", self.node("Add", [attended, hidden])
        )
        inner = self.node("Gelu", [self.dense(f"{name}.intermediate.dense", hidden)])
        outer = self.dense(f"{name}.output.dense", inner)
        return self.normed(f"{name}.output.LayerNorm", self.node("Add", [outer, hidden]))

    def _attention(self, name: str, hidden: str, mask: str) -> str:
        size = HIDDEN // HEADS
        split = self.constant("split_heads", [0, 0, HEADS, size], "int64")
        join = self.constant("join_heads", [0, 0, HIDDEN], "int64")

        def heads(part: str, order: list[int]) -> str:
            rows = self.dense(f"{name}.attention.self.{part}", hidden)
            return self.node("Transpose", [self.node("Reshape", [rows, split])], perm=order)

        query, key = heads("query", [0, 2, 1, 3]), heads("key", [0, 2, 3, 1])
        scores = self.node("MatMul", [query, key])
        scores = self.node("Div", [scores, self.constant("root", size**0.5)])
        weights = self.node("Softmax", [self.node("Add", [scores, mask])], axis=-1)
        values = self.node("MatMul", [weights, heads("value", [0, 2, 1, 3])])
        return self.node("Reshape", [self.node("Transpose", [values], perm=[0, 2, 1, 3]), join])
