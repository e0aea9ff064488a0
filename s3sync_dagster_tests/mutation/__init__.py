"""Mutation testing of the pure rooms: ``make test-mutants``.

A mutant is the source with one small mistake in it. The tests that touch its line are run against
it; a mutant that they let pass shows what no test holds.

    python -m s3sync_dagster_tests.mutation --seed 1 --sample 300

``operators`` makes the mistakes, ``recording`` learns which test touches which line, ``run`` runs
the tests against a copy of the tree.
"""
