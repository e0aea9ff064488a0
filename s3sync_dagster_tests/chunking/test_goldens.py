"""Every language has a sample whose cuts a person has looked at."""

import pytest

from s3sync_dagster.chunking.languages import GRAMMARS
from s3sync_dagster_tests.chunking import goldens


@pytest.mark.parametrize("name", goldens.names())
def test_cuts_are_those_of_the_golden_file(name):
    drawn = goldens.read(name)
    text = goldens.sample(drawn)
    assert goldens.draw(text, goldens.chunks(name, text)) == drawn


def test_every_grammar_has_a_golden_file():
    made = [goldens.chunks(name, goldens.sample(goldens.read(name))) for name in goldens.names()]
    assert len(GRAMMARS) >= 38
    # A header file of OCaml has a grammar of its own and the language of its implementation.
    assert set(GRAMMARS) - {"ocaml_interface"} <= {chunks[0].language for chunks in made}
    assert all(len(chunks) > 1 for chunks in made)
