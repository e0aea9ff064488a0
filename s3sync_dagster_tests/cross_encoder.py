"""A cross-encoder of a few hundred bytes: it counts the words that question and text share.

A real ONNX file under a real ONNX Runtime with a real tokenizer, in the layout of the hub.
"""

import json
from pathlib import Path


def make_cross_encoder(
    folder: Path, words: str, *, outputs: int = 1, scale: float = 1.0, rows: int = 1000
) -> Path:
    """Write the model into a folder and return it.

    Args:
        folder: made where it is missing.
        words: those that its tokenizer knows, lower case.
        outputs: numbers for each pair.
        scale: of the count; ``nan`` for a model that is broken.
        rows: tokens that its weights know.
    """
    import onnx
    from onnx import TensorProto, helper
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    (folder / "onnx").mkdir(parents=True, exist_ok=True)
    known = ["[PAD]", "[CLS]", "[SEP]", "[UNK]", *dict.fromkeys(words.lower().split())]
    tokenizer = Tokenizer(
        models.WordLevel({word: n for n, word in enumerate(known)}, unk_token="[UNK]")
    )
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 1), ("[SEP]", 2)],
    )
    tokenizer.save(str(folder / "tokenizer.json"))

    names = ("input_ids", "attention_mask", "token_type_ids")
    one = helper.make_tensor("one", TensorProto.FLOAT, [], [1.0])
    nodes = [
        helper.make_node("Cast", [name], [f"{name}_f"], to=TensorProto.FLOAT) for name in names[1:]
    ]
    nodes += [
        helper.make_node("Constant", [], ["one"], value=one),
        helper.make_node("Constant", [], ["first"], value_ints=[2]),
        helper.make_node("Constant", [], ["second"], value_ints=[1]),
        helper.make_node("Sub", ["one", "token_type_ids_f"], ["is_question"]),
        helper.make_node("Mul", ["is_question", "attention_mask_f"], ["question"]),
        helper.make_node("Mul", ["token_type_ids_f", "attention_mask_f"], ["text"]),
        helper.make_node("Unsqueeze", ["input_ids", "first"], ["rows"]),
        helper.make_node("Unsqueeze", ["input_ids", "second"], ["columns"]),
        helper.make_node("Equal", ["rows", "columns"], ["equal_b"]),
        helper.make_node("Cast", ["equal_b"], ["equal"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["question", "first"], ["question_rows"]),
        helper.make_node("Unsqueeze", ["text", "second"], ["text_columns"]),
        helper.make_node("Mul", ["equal", "question_rows"], ["of_question"]),
        helper.make_node("Mul", ["of_question", "text_columns"], ["shared"]),
        helper.make_node("Constant", [], ["axes"], value_ints=[1, 2]),
        helper.make_node("ReduceSum", ["shared", "axes"], ["count_flat"], keepdims=0),
        helper.make_node("Constant", [], ["table"], value_floats=[0.0] * rows),
        helper.make_node("Gather", ["table", "input_ids"], ["zeros"]),
        helper.make_node("ReduceSum", ["zeros", "second"], ["nothing"]),
        helper.make_node("Unsqueeze", ["count_flat", "second"], ["counted"]),
        helper.make_node("Add", ["counted", "nothing"], ["count"]),
        helper.make_node("Constant", [], ["least"], value_float=3.0),
        helper.make_node("Sub", ["count", "least"], ["moved"]),
        helper.make_node("Constant", [], ["scale"], value_float=scale),
        helper.make_node("Mul", ["moved", "scale"], ["scaled"]),
        helper.make_node("Concat", ["scaled"] * outputs, ["logits"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "overlap",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["b", "l"]) for name in names],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["b", outputs])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, folder / "onnx" / "model.onnx")
    config = {"max_position_embeddings": 32, "pad_token_id": 0, "id2label": {"0": "LABEL_0"}}
    (folder / "config.json").write_text(json.dumps(config))
    return folder
