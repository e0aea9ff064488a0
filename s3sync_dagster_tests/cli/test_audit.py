"""``s3sync audit``: what commands changed, and by whom."""

import getpass


def test_commands_that_change_something_are_in_the_log(s3sync):
    assert s3sync("token", "create", "--tenant", "acme", "--role", "member").code == 0
    secret = s3sync("token", "create", "--tenant", "acme", "--role", "owner").out.strip()
    assert s3sync("token", "revoke", "77").code == 1
    assert s3sync("token", "list").code == 0
    found = s3sync("audit", "--json").json
    told = [(one["action"], one["subject"], one["outcome"]) for one in reversed(found)]
    assert told == [
        ("token create", "tenant=acme role=member", "done"),
        ("token create", "tenant=acme role=owner", "done"),
        ("token revoke", "token_id=77", "token_not_found"),
    ]
    assert {one["who"] for one in found} == {f"os user {getpass.getuser()}"}
    assert secret not in str(found)
    lines = s3sync("audit").out.splitlines()
    assert len(lines) == 4
    assert "token revoke" in lines[1]
    assert s3sync("audit", "--tenant", "acme", "--json").json == []
    revoked = s3sync("audit", "--what", "revoke", "--since", "2020-01-01", "--json").json
    assert [one["action"] for one in revoked] == ["token revoke"]
    assert s3sync("audit", "--who", "nobody", "--json").json == []
    assert s3sync("audit", "--until", "2020-01-01", "--json").json == []
    assert len(s3sync("audit", "--before", str(found[0]["number"]), "--json").json) == 2
