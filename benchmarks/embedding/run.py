"""MiniLM by engine and precision: CPU a text, cosine to the exact vectors, what is found again.

    python benchmarks/embedding/run.py [--texts N] [--pairs N] [--turns N]

All ways take turns in one process, one thread each, with the product's own tokens and batches.
OpenVINO is measured where it is installed (`pip install openvino nncf`), a graphics card where
ONNX Runtime can use one.
"""

import argparse
import importlib.util
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "chroma"))
from labelled import docstring_pairs, heading_pairs

from s3sync_dagster.embedding import device
from s3sync_dagster.embedding.minilm import MiniLmModel
from s3sync_dagster.embedding.minilm_bf16 import Bf16MiniLm, _Session, import_openvino
from s3sync_dagster.embedding.minilm_files import find_minilm
from s3sync_dagster.model.errors import MissingEngine

CALIBRATION_TEXTS = 300
TOP = 10


class Quantized(MiniLmModel):
    """ONNX Runtime with weights of 8 bits, and what they meet made 8 bits as it comes."""

    def open_session(self, weights):
        from onnxruntime.quantization import QuantType, quantize_dynamic

        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "int8.onnx"
            quantize_dynamic(weights, target, weight_type=QuantType.QInt8, per_channel=True)
            return device.open_session(target)


class OpenVino(MiniLmModel):
    """OpenVINO in whole floats."""

    def open_session(self, weights):
        core = import_openvino().Core()
        return _Session(core.compile_model(self.read(core, weights), "CPU", SETTINGS), 1)

    def read(self, core, weights):
        return core.read_model(weights)


class OpenVinoInt8(OpenVino):
    """OpenVINO in 8 bits, with the range of numbers learnt from other texts than are measured."""

    def read(self, core, weights):
        import nncf

        tokenizer = self.tokenizer
        texts = [pair.answer for pair in docstring_pairs()[-CALIBRATION_TEXTS:]]

        def given(text):
            ids = np.array([tokenizer.encode(text).ids], dtype=np.int64)
            names = ("input_ids", "attention_mask", "token_type_ids")
            return dict(zip(names, (ids, np.ones_like(ids), np.zeros_like(ids)), strict=True))

        return nncf.quantize(
            core.read_model(weights),
            nncf.Dataset(texts, given),
            model_type=nncf.ModelType.TRANSFORMER,
            subset_size=CALIBRATION_TEXTS,
        )


SETTINGS = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1}


def open_ways(folder):
    """Return the models by name, and why others cannot be measured here."""
    from s3sync_dagster.embedding.minilm import _load_tokenizer

    OpenVinoInt8.tokenizer = _load_tokenizer(folder)
    wanted = {
        "minilm: ONNX Runtime": MiniLmModel(folder),
        "ONNX Runtime, 8 bits": Quantized(folder),
        "OpenVINO, whole floats": OpenVino(folder),
        "minilm-bf16: OpenVINO, bfloat16": Bf16MiniLm(folder),
        "OpenVINO, 8 bits": OpenVinoInt8(folder),
        "minilm on a card: CUDA": MiniLmModel(folder, device="cuda"),
    }
    missing = {}
    if importlib.util.find_spec("nncf") is None:
        missing["OpenVINO, 8 bits"] = "nncf is not installed"
    for name, model in wanted.items():
        if name not in missing:
            try:
                model.infer(["word"])
            except MissingEngine as error:
                missing[name] = error.message.partition(":")[0]
    return {name: model for name, model in wanted.items() if name not in missing}, missing


def measure_speed(ways, texts, turns):
    """Return the least CPU and clock milliseconds of a text, by way."""
    least = dict.fromkeys(ways, (np.inf, np.inf))
    for _ in range(turns):
        for name, model in ways.items():
            cpu, clock = time.process_time(), time.perf_counter()
            model.infer(texts)
            spent = time.process_time() - cpu, time.perf_counter() - clock
            least[name] = tuple(
                min(old, 1000 * new / len(texts))
                for old, new in zip(least[name], spent, strict=True)
            )
    return least


def found_again(questions, answers):
    """Return recall@1, recall@10 and MRR, and the ten nearest of each question."""
    scores = questions @ answers.T
    ranks = 1 + (scores > np.diag(scores)[:, None]).sum(axis=1)
    nearest = [set(row) for row in np.argsort(-scores, axis=1)[:, :TOP]]
    return (np.mean(ranks == 1), np.mean(ranks <= TOP), np.mean(1 / ranks)), nearest


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--texts", type=int, default=160)
    parser.add_argument("--pairs", type=int, default=500)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    tasks = {
        "docstring to body": docstring_pairs(options.pairs),
        "heading to section": heading_pairs(options.pairs),
    }
    ways, missing = open_ways(find_minilm(None))
    texts = [pair.answer for pairs in tasks.values() for pair in pairs]
    texts = texts[:: max(1, len(texts) // options.texts)]
    speed = measure_speed(ways, texts, options.turns)
    exact_name = next(iter(ways))
    print(f"{len(texts)} texts, the best of {options.turns} turns, one thread\n")
    print("| way | CPU ms a text | clock ms | times |\n|---|---|---|---|")
    for name, (cpu, clock) in speed.items():
        print(f"| {name} | {cpu:.1f} | {clock:.1f} | {speed[exact_name][0] / cpu:.2f} |")
    for name, why in missing.items():
        print(f"| {name} | not measured: {why} | | |")
    print("\n| task | way | cosine mean | least | recall@1 | recall@10 | MRR | first ten kept |")
    print("|---|---|---|---|---|---|---|---|", flush=True)
    for task, pairs in tasks.items():
        exact = None
        for name, model in ways.items():
            made = model.infer([one for pair in pairs for one in (pair.question, pair.answer)])
            scores, nearest = found_again(made[::2], made[1::2])
            if exact is None:
                exact, exact_nearest = made, nearest
            cosines = (made * exact).sum(axis=1)
            kept = np.mean([len(a & b) / TOP for a, b in zip(nearest, exact_nearest, strict=True)])
            cells = [f"{cosines.mean():.5f}", f"{cosines.min():.5f}"]
            cells += [f"{one:.3f}" for one in (*scores, kept)]
            print(f"| {task} ({len(pairs)}) | {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
