"""The contract of every tracker that logs: each clause, in all of its cases."""

import pytest

from strategies.contract.hold import CLAUSES


@pytest.mark.parametrize("one", CLAUSES, ids=[one.check.__name__ for one in CLAUSES])
def test_clause(strategy, one):
    for case in one.cases:
        try:
            one.check(strategy, **case)
        except Exception as error:
            error.add_note(f"in the case {case}")
            raise
