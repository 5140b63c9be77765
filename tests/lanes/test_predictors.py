"""What branch predictors learnt is forgotten: by a walk through code that ends."""

import platform

import pytest

from strategies.lanes import predictors


def test_the_walk_takes_each_jump_once_and_returns():
    if platform.machine() != "x86_64":
        pytest.skip("its jumps are x86-64 code")
    code = predictors._walk().region[:]
    taken, at = 0, 0
    while code[at] == predictors.JUMP[0]:
        assert at == 2 * taken
        taken, at = taken + 1, at + 2 + int.from_bytes(code[at + 1 : at + 2], signed=True)
    assert code[at : at + 1] == predictors.RETURN
    assert taken == predictors.JUMPS
    predictors.forget_branches()


def test_another_processor_walks_through_nothing(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(predictors, "_walk", lambda: pytest.fail("x86 code"))
    predictors.forget_branches()
