"""The audit log on SQLite and Postgres: newest first, by tenant, bounded by age and number."""

from dataclasses import replace

from s3sync_dagster.catalog.audit import BEGUN, MAX_TEXT, AuditEntry


def entry(clock, **changes):
    values = {
        "at": clock.seconds, "tenant": "t", "who": "token 1", "role": "owner", "door": "api",
        "address": "10.0.0.1", "action": "DELETE /x", "subject": "source_id=1", "outcome": "204",
    }  # fmt: skip
    return AuditEntry(**(values | changes))


def test_entries_come_back_newest_first_and_of_one_tenant_alone(catalog, clock):
    first = entry(clock)
    clock.seconds += 10
    other, last = entry(clock, tenant="other"), entry(clock, outcome="404")
    catalog.audit.add([first])
    catalog.audit.add([other, last])
    assert [one for _, one in catalog.audit.rows()] == [last, other, first]
    mine = catalog.audit.rows(tenant="t")
    assert [one for _, one in mine] == [last, first]
    assert catalog.audit.rows(tenant="t", before=mine[0][0]) == mine[1:]
    assert catalog.audit.rows(tenant="t", since=clock.seconds) == mine[:1]
    assert catalog.audit.rows(limit=1) == mine[:1]


def test_entries_are_found_by_who_what_and_time(catalog, clock):
    ann, bob = entry(clock, who="user Ann"), entry(clock, who="token 1 (bo_b)", tenant=None)
    late = entry(clock, at=clock.seconds + 50, outcome="forbidden")
    catalog.audit.add([ann, bob, late])

    def found(**filters):
        return [one for _, one in catalog.audit.rows(**filters)]

    assert found(who="ann") == [ann]
    assert found(who="_b") == [bob]
    assert found(who="%") == []
    assert found(what="FORBID") == [late]
    assert found(what="source_id=1") == [late, bob, ann]
    assert found(until=clock.seconds) == [bob, ann]
    assert found(tenant="t") == [late, ann]
    assert found(tenant="t", of_nobody=True) == [late, bob, ann]


def test_what_begins_is_there_before_it_ends_and_ends_once(catalog, clock):
    command = entry(clock, tenant=None, door="cli", outcome="done")
    number = catalog.audit.begin(command)
    assert catalog.audit.rows() == [(number, replace(command, outcome=BEGUN))]
    catalog.audit.end(number, command)
    assert catalog.audit.rows() == [(number, command)]
    catalog.audit.end(number, replace(command, outcome="failed"))
    other = entry(clock, at=clock.seconds + 1)
    late = catalog.audit.begin(other)
    catalog.audit.end(late, command)  # its own went with the catalog that was replaced
    catalog.audit.end(None, command)
    outcomes = [one.outcome for _, one in catalog.audit.rows()]
    assert outcomes[::-1] == ["done", "failed", BEGUN, "done", "done"]


def test_what_people_send_is_bounded_and_has_no_zero_bytes(catalog, clock):
    catalog.audit.add([entry(clock, subject="a\0" + "x" * 10_000)])
    [(_, kept)] = catalog.audit.rows()
    assert kept.subject.startswith("ax")
    assert len(kept.subject) <= MAX_TEXT


def test_old_entries_go(catalog, clock):
    catalog.audit.add([entry(clock)])
    clock.seconds += 100
    catalog.audit.add([entry(clock)])
    assert catalog.audit.prune(older_than_seconds=50) == 1
    assert len(catalog.audit.rows()) == 1


def test_the_newest_entries_are_kept_of_owners_of_members_and_of_nobody(catalog, clock):
    owner, command = entry(clock, who="ann"), entry(clock, tenant=None, role="operator")
    guesses = [entry(clock, tenant=None, role="nobody", subject=f"{n}") for n in range(5)]
    other = [entry(clock, tenant="other", role="member", subject=f"{n}") for n in range(2)]
    asked = [entry(clock, role="member", subject=f"{n}") for n in range(6)]
    catalog.audit.add([owner, *asked, *guesses, *[command] * 4, *other])
    assert catalog.audit.prune(older_than_seconds=50, most=3) == 3 + 2
    kept = [one for _, one in catalog.audit.rows()]
    assert kept[::-1] == [owner, *asked[3:], *guesses[2:], *[command] * 4, *other]
    assert catalog.audit.prune(older_than_seconds=50, most=3) == 0
