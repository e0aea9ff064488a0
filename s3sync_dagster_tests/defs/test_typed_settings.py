"""What a type checker of somebody else's project reads of our sources."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from s3sync_dagster.defs import typed_settings as written
from s3sync_dagster_tests.typed_settings import NAMES, typed_settings

ROOT = Path(__file__).parents[2]
PYTHON = re.compile(r"^ *```python\n(.*?)^ *```", re.DOTALL | re.MULTILINE)
MISSPELT = """
from s3sync_dagster import S3Source

S3Source(name="docs", bucket_name="bucket", collection_name="docs", path_prefx="x/")
"""


def test_the_written_settings_are_those_of_the_table():
    assert Path(written.__file__).read_text("utf-8") == typed_settings()
    for name, resource in NAMES.items():
        known = getattr(written, name).model_fields
        missing = set(resource.model_fields) - set(known) - {"owners", "group_name"}
        assert not missing, name
        lacking = {field for field, one in known.items() if one.is_required()}
        assert lacking == {name for name, one in resource.model_fields.items() if one.is_required()}


@pytest.mark.long
def test_the_python_of_the_documents_passes_a_type_checker(tmp_path):
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for number, code in enumerate(PYTHON.findall(page.read_text("utf-8"))):
            if "from s3sync_dagster import" in code:
                lines = code.splitlines()
                indent = len(lines[0]) - len(lines[0].lstrip())
                text = "\n".join(line[indent:] for line in lines)
                (tmp_path / f"{page.stem}_{number}.py").write_text(text)
    names = {one.name.rpartition("_")[0] for one in tmp_path.iterdir()}
    assert {"README", "dagster"} <= names
    (tmp_path / "misspelt.py").write_text(MISSPELT)
    (tmp_path / "pyrightconfig.json").write_text(json.dumps({"extraPaths": [str(ROOT)]}))
    ran = subprocess.run(
        [
            Path(sys.executable).with_name("pyright"), "--outputjson",
            "--pythonpath", sys.executable, "--project", str(tmp_path),
        ],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    told = json.loads(ran.stdout)["generalDiagnostics"]
    wrong = [(Path(one["file"]).name, one["message"]) for one in told]
    assert wrong == [("misspelt.py", 'No parameter named "path_prefx"')]
