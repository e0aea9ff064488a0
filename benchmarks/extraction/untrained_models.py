"""A folder of docling's layout and table models of their real shape, with random weights.

``python -m benchmarks.extraction.untrained_models FOLDER`` makes it; then ``python -m
benchmarks.extraction.untrained_models FOLDER FILE`` reads a PDF or picture with it. The models know
nothing, but the whole path runs: loading from the folder, inference on each page, assembly,
Markdown. Prints the engine, wall time and words kept. Needs the extra ``pdf-models``.
"""

import json
import os
import sys
import time
from pathlib import Path

from s3sync_dagster.extraction.words import word_recall

_LABELS = """caption footnote formula list_item page_footer page_header picture section_header table
text title document_index code checkbox_selected checkbox_unselected form key_value_region"""
_TAGS = (
    *("<pad>", "<unk>", "<start>", "<end>", "ecel", "fcel", "lcel", "ucel", "xcel", "nl"),
    *("ched", "rhed", "srow"),
)


def make_layout_model(folder: Path) -> None:
    """Save an RT-DETR v2 of heron's shape (ResNet 50)."""
    from transformers import RTDetrImageProcessor, RTDetrV2Config, RTDetrV2ForObjectDetection

    labels = dict(enumerate(_LABELS.split()))
    config = RTDetrV2Config(
        id2label=labels,
        label2id={name: number for number, name in labels.items()},
        num_queries=2,  # boxes of a page: it would find tables everywhere
    )
    RTDetrV2ForObjectDetection(config).save_pretrained(folder)
    RTDetrImageProcessor(size={"height": 640, "width": 640}).save_pretrained(folder)


def make_table_model(folder: Path) -> None:
    """Save a TableFormer of the accurate one's shape."""
    from docling_ibm_models.tableformer.models.table04_rs.tablemodel04_rs import TableModel04_rs
    from safetensors.torch import save_model

    folder.mkdir(parents=True)
    tags = {tag: number for number, tag in enumerate(_TAGS)}
    config = {
        "dataset": {
            "name": "TF_prepared",
            "image_normalization": {"mean": [0.94, 0.94, 0.94], "std": [0.18, 0.18, 0.18]},
            "resized_image": 448,
        },
        "dataset_wordmap": {"word_map_tag": tags, "word_map_cell": tags},
        "model": {
            "type": "TableModel04_rs",
            "name": "14_128_256_4_true",
            "save_dir": str(folder),
            "enc_image_size": 28,
            "tag_embed_dim": 16,
            "hidden_dim": 512,
            "tag_decoder_dim": 512,
            "bbox_embed_dim": 256,
            "tag_attention_dim": 256,
            "bbox_attention_dim": 512,
            "enc_layers": 4,
            "dec_layers": 6,
            "nheads": 8,
            "dropout": 0.1,
            "bbox_classes": 2,
        },
        "train": {"bbox": True, "epochs": 1},
        # It would never end a table: the trained one may take 1,024 steps.
        "predict": {"max_steps": 16, "beam_size": 1, "bbox": True, "pdf_cell_iou_thres": 0.05},
    }
    (folder / "tm_config.json").write_text(json.dumps(config))
    model = TableModel04_rs(config, {"word_map": config["dataset_wordmap"]}, "cpu")
    save_model(model, str(folder / "tableformer_accurate.safetensors"))


def read(file: Path) -> None:
    """Read a file with the engine, as a source that names it does."""
    from s3sync_dagster.extraction import extract_document
    from s3sync_dagster.model.source import ExtractionConfig
    from s3sync_dagster.workers import open_pool

    config = ExtractionConfig(engines={file.suffix: "docling-models"})
    started = time.monotonic()
    with open_pool(workers=1) as pool:
        document = extract_document(file, name=file.name, config=config, pool=pool)
        seconds = time.monotonic() - started
        plain = extract_document(file, name=file.name, config=ExtractionConfig(), pool=pool)
    recall = word_recall(plain.text, document.text)
    print(f"{document.engine}: {document.page_count} pages, {seconds:.1f} s, recall {recall:.3f}")
    print(*document.warnings, sep="\n")
    print(document.text)


def main() -> None:
    folder = Path(sys.argv[1])
    if len(sys.argv) > 2:
        os.environ["DOCLING_ARTIFACTS_PATH"] = str(folder.resolve())
        read(Path(sys.argv[2]))
        return
    make_layout_model(folder / "docling-project--docling-layout-heron")
    models = folder / "docling-project--docling-models"
    make_table_model(models / "model_artifacts" / "tableformer" / "accurate")


if __name__ == "__main__":
    main()
