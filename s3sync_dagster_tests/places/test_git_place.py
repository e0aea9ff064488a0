"""A repository as a value: how it is written, what it may be, who may have it."""

import re

import pytest

from s3sync_dagster.defs.resources import GitSource
from s3sync_dagster.model.errors import InvalidSetting
from s3sync_dagster.model.place import Admission, parse_place
from s3sync_dagster.model.s3_place import S3Place
from s3sync_dagster.places.git import GIT_PROTOCOLS, GitPlace


@pytest.mark.parametrize(
    ("text", "repository", "ref", "url"),
    [
        ("github:o/r", "o/r", None, "https://github.com/o/r.git"),
        ("github:o/r.js#v1", "o/r.js", "v1", "https://github.com/o/r.js.git"),
        ("https://github.com/o/r", "https://github.com/o/r", None, "https://github.com/o/r"),
        ("https://h:8443/a/b.git#x/y", "https://h:8443/a/b.git", "x/y", "https://h:8443/a/b.git"),
        ("git+https://h/b", "https://h/b", None, "https://h/b"),
        ("git@h:a/b.git", "git@h:a/b.git", None, "ssh://git@h/a/b.git"),
        ("u@h:a/b.git", "u@h:a/b.git", None, "ssh://u@h/~/a/b.git"),
        ("h:a/b.git", "h:a/b.git", None, "ssh://h/~/a/b.git"),
        ("h:~u/b.git", "h:~u/b.git", None, "ssh://h/~u/b.git"),
        ("u@github.com:o/r.git", "u@github.com:o/r.git", None, "ssh://u@github.com/o/r.git"),
        ("ssh://u@h/b.git", "ssh://u@h/b.git", None, "ssh://u@h/b.git"),
        ("file:///srv/r.git", "file:///srv/r.git", None, "file:///srv/r.git"),
    ],
)
def test_a_written_repository(text, repository, ref, url):
    place = parse_place(text)
    assert place == GitPlace(repository=repository, ref=ref)
    assert place.url == url
    place.check()


def test_one_repository_has_one_identity_however_it_is_written():
    forms = ["o/R", "https://github.com/o/r.git", "https://github.com/O/r", "git@github.com:o/r"]
    assert {GitPlace(repository=form).identity() for form in forms} == {
        ("github", "github.com", "o/r", "")
    }
    assert GitPlace(repository="https://h/O/r").identity() == ("github", "h", "O/r", "")
    assert GitPlace(repository="https://h:1/O/r").identity() != ("github", "h", "O/r", "")
    shared = ["https://h/t/r", "git@h:t/r.git", "ssh://git@h/t/r"]
    assert {GitPlace(repository=form).identity() for form in shared} == {("github", "h", "t/r", "")}


def test_what_lies_at_the_home_of_one_user_is_not_what_lies_at_anothers():
    forms = ["ssh://a@h/t/r", "a@h:t/r", "b@h:t/r", "h:t/r"]
    assert len({GitPlace(repository=form).identity() for form in forms}) == 4
    assert (
        GitPlace(repository="a@h:t/r").identity()
        == GitPlace(repository="ssh://a@h/~/t/r").identity()
    )


@pytest.mark.parametrize(
    ("repository", "pushed", "same"),
    [
        ("git@h:t/r.git", "https://h/t/r.git", True),
        ("u@h:t/r.git", "https://h/t/r.git", True),
        ("https://h/~u/r.git", "https://h/~u/r.git", True),
        ("git@h:t/r.git", "https://h/~t/r.git", None),
        ("git@h:t/r.git", "https://h:99999/t/r.git", None),
        ("git@h:t/r.git", "https://[h/t/r.git", None),
    ],
)
def test_a_push_is_known_however_its_repository_is_written(repository, pushed, same):
    place = GitPlace(repository=repository)
    assert place.is_changed_by([pushed], "refs/heads/main", default_branch="main") is same


@pytest.mark.parametrize(
    "text", ["https://[docs/", "https://u:hidden@h\u2100/x", "https://h:99999/x"]
)
def test_what_is_no_address_is_refused_without_showing_what_stands_in_it(text):
    with pytest.raises(InvalidSetting) as caught:
        parse_place(text)
    assert "hidden" not in caught.value.message


@pytest.mark.parametrize("text", ["file:///srv/docs", "ssh://git.example.org/team/docs"])
def test_a_repository_without_git_at_its_end_is_told_how_it_is_written(text):
    """`source create --repository` takes it as it is: a bare "no place" was a riddle."""
    with pytest.raises(InvalidSetting, match=re.escape(f"'git+{text}'")):
        parse_place(text)
    assert parse_place(f"git+{text}") == GitPlace(repository=text)


@pytest.mark.parametrize(
    "repository",
    ["", "o", "-o/r", "o/r/x", "https://u:p@h/r", "https://u@h/r", "ftp://h/r", "https://h/",
     "https://h/r?x", "--upload-pack=x", "ext::sh -c x", "ssh://-oProxyCommand=x/r", "-h:x",
     "file://h/r", "https://h:x/r", "ssh://u:p@h/r", "https://a%2eh/r", "https://h./r",
     "ext::id", "file::x.git", "git@h::x",
     "https://h\u3002x/r", "https://h\\x/r", "https://[::1%25lo]/r", "ssh://u@a%2eh/r"],
)  # fmt: skip
def test_what_names_no_repository_or_brings_a_secret_is_refused(repository):
    with pytest.raises(InvalidSetting) as caught:
        GitPlace(repository=repository).check()
    assert "u:p" not in caught.value.message


@pytest.mark.parametrize(
    "ref", ["-x", "a..b", "a b", "a:b", "/a", "a/", "", "x" * 251, "a~1", "@{u}"]
)
def test_what_is_no_ref_is_refused(ref):
    with pytest.raises(InvalidSetting, match="ref"):
        GitPlace(repository="o/r", ref=ref).check()


def test_a_token_goes_over_https_and_there_is_one():
    for wrong in ({"repository": "git@h:a/b"}, {"repository": "http://h/a"}, {"saved_token": 1}):
        declared = {"name": "n", "collection_name": "texts", "repository": "o/r", "token_env": "T"}
        with pytest.raises(InvalidSetting, match="token_env"):
            GitSource(**{**declared, **wrong}).to_source()


def test_pages_of_files_and_of_lines():
    place = GitPlace(repository="o/r", ref="main")
    assert (place.address(), place.address("a/b")) == (
        "github.com/o/r@main", "github.com/o/r@main:a/b",
    )  # fmt: skip
    assert GitPlace(repository="file:///srv/r.git").address("a") == "file:///srv/r.git:a"
    assert place.link("a b/ü.md") == "https://github.com/o/r/blob/main/a%20b/%C3%BC.md"
    assert place.permalink("a.md", "c0ffee", (3, 9)) == (
        "https://github.com/o/r/blob/c0ffee/a.md#L3-L9"
    )
    gitlab = GitPlace(repository="https://gitlab.com/g/s/r.git")
    assert gitlab.permalink("a.md", "c0ffee", (3, 9)) == (
        "https://gitlab.com/g/s/r/-/blob/c0ffee/a.md#L3-9"
    )
    assert GitPlace(repository="https://h/r.git").permalink("a", "c", (1, 1)) is None
    assert S3Place(bucket_name="b").permalink("a", "c", (1, 1)) is None


def test_another_ref_of_a_known_repository_is_told():
    known = GitPlace(repository="o/r", ref="main")
    assert GitPlace(repository="o/r", ref="work").contradicts(known) == "ref"
    assert GitPlace(repository="o/r").contradicts(known) is None
    assert known.contradicts(known) is None


@pytest.mark.parametrize(
    ("repository", "named", "trusted", "stranger"),
    [
        ("o/r", "", True, True),
        ("git@h:a/b", "", True, False),
        ("http://h/r", "", False, False),
        ("http://h/r", "http https", True, False),
        ("file:///srv/r", "file https", False, False),
        ("o/r", "ssh", False, False),
    ],
)
def test_who_may_have_which_repository(repository, named, trusted, stranger):
    place = GitPlace(repository=repository)
    for who, may in ((True, trusted), (False, stranger)):
        admission = Admission(trusted=who, environment={GIT_PROTOCOLS: named} if named else {})
        if may:
            assert place.admitted(admission) == place
        else:
            with pytest.raises(InvalidSetting):
                place.admitted(admission)
