"""The seam: a format is a row of suffixes, a row of engines and its reader; all else follows."""

from s3sync_dagster.core import filetypes
from s3sync_dagster.core.filetypes import FileKind, kind_of
from s3sync_dagster.extraction import engines
from s3sync_dagster.extraction.content import read_all
from s3sync_dagster.extraction.decoding import decode
from s3sync_dagster.extraction.engines import Engine
from s3sync_dagster.model.document import Document


def read_shouted(content, *, name, config):
    """Return the text in capitals, as the reader of a format called ``shout`` would."""
    del name, config
    return Document(text=decode(read_all(content)).text.upper(), format="text")


def test_a_new_format_is_two_rows_and_a_reader(read, monkeypatch):
    assert kind_of("a.shout") is None
    kind = FileKind(reader="shout", format="text")
    engine = Engine(name="shout", function=f"{__name__}:read_shouted", seconds=10)
    monkeypatch.setitem(filetypes._SUFFIXES, ".shout", kind)
    monkeypatch.setitem(engines._ENGINES, "shout", (engine,))
    found = read(b"hello there", "a.shout")
    assert (found.text, found.format) == ("HELLO THERE", "text")
