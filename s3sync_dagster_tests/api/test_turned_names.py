"""A name that turns the direction of what is read looks like no other name at the console."""

from s3sync_dagster.api.console.rendering import rendered
from s3sync_dagster_tests.api.test_add_file import upload

TURNED = "report\u202efdp.md"


def test_what_turns_a_name_is_shown_as_what_it_is(fresh_api):
    with fresh_api.client() as http:
        upload(http, TURNED, b"x", collection="ccc")
        [row] = fresh_api.parts.catalog.sources.rows()
        shown = http.get(f"/sources/{row.source.id}/object", params={"key": TURNED})
        assert shown.status_code == 200
        assert "report\\u202efdp.md" in shown.text
        assert f">{TURNED}" not in shown.text


def test_what_a_form_sends_stays_as_it_is():
    values = {"session": None, "form_token": "f", "here": "/login", "problem": TURNED, "title": "x"}
    page = rendered("login.html", target=f"/?q={TURNED}", **values)
    assert f'value="/?q={TURNED}"' in page
