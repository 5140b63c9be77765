"""The contract of every tracker that logs: each clause, in each of its cases."""

import pytest

from strategies.contract.hold import CLAUSES

CASES = [
    pytest.param(one.check, case, id="-".join([one.check.__name__, *map(str, case.values())]))
    for one in CLAUSES
    for case in one.cases
]


@pytest.mark.parametrize(("check", "case"), CASES)
def test_clause(strategy, check, case):
    check(strategy, **case)
