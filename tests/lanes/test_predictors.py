"""What branch predictors learnt is forgotten: by a walk through code that ends."""

import platform

import pytest

from strategies.lanes import predictors


def test_the_walk_takes_each_jump_once_and_returns():
    if platform.machine() != "x86_64":
        pytest.skip("its jumps are x86-64 code")
    code = predictors._walk().code.tobytes()
    taken, at = [], 0
    while code[at] == predictors.JUMP:
        taken.append(at)
        at += 5 + int.from_bytes(code[at + 1 : at + 5], "little", signed=True)
    assert code[at] == predictors.RETURN
    assert len(set(taken)) == len(taken) == predictors.JUMPS - 1
    predictors.forget_branches()


def test_another_processor_walks_through_nothing(monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(predictors, "_walk", lambda: pytest.fail("x86 code"))
    predictors.forget_branches()
