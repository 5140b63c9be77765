"""The bound for trackers that do not know the future: the game, and what it says of POWER."""

from functools import cache

import numpy as np
import pytest

from analysis.model.online import PAGES, SHARES, Game, excess, game_of, least_ratio
from analysis.model.profile import load_profile
from analysis.model.scenario import Scenario

EPOCHS, STORES = 6, 3
GAMES = (
    Game(50, 2, 60, 15, 5, np.array([0, 60]), np.array([160, 80])),
    Game(50, 2, 60, 0, 0, np.array([1, 60]), np.array([160, 75])),
    Game(30, 9, 70, 100, 300, np.array([0, 70]), np.array([95, 100])),
)
"""A sweep costs so much that the adversary may write in every epoch."""


def played(game, ratio):
    """Return what `excess` does, by all choices of both."""

    @cache
    def rest(is_open, epoch, noisy):
        if epoch == EPOCHS:
            return -ratio * min(game.silent * (EPOCHS - noisy) + game.noisy * noisy)
        return max(answer(is_open, epoch, noisy, stores) for stores in (0, STORES))

    def answer(is_open, epoch, noisy, stores):
        noisy += stores > 0
        stay_open, close = rest(True, epoch + 1, noisy), rest(False, epoch + 1, noisy)
        if is_open:
            return game.sweep + stores * game.written + min(stay_open, close + game.closing)
        options = [stores * game.fault + min(close, game.opening + stay_open)]
        if stores:
            first = game.fault + (stores - 1) * game.written + game.opening
            options.append(first + game.sweep + min(stay_open, close + game.closing))
        return min(options)

    return min(rest(True, 0, 0), rest(False, 0, 0))


@pytest.mark.parametrize("game", GAMES)
@pytest.mark.parametrize("ratio", [1.0, 1.3, 2.5])
def test_the_game_is_played_as_its_rules_say(game, ratio):
    assert excess(game, STORES, EPOCHS, ratio) == pytest.approx(played(game, ratio))


@pytest.mark.parametrize("name", ["power9", "power8"])
def test_what_two_states_take_for_granted(name):
    at = load_profile(name).at(Scenario(8192, np.array([0.0]), 10e6)).values()
    games = [game_of(load_profile(name), 8192, 10e6, max(PAGES), share) for share in SHARES]
    opened_by_faults = max(PAGES) * at["page_protect"]
    for share, game in zip(SHARES, games, strict=True):
        assert 8192 * at["page_pass"] > game.sweep / share, "to look one by one costs less"
        assert game.sweep > opened_by_faults, "a look costs less than what faults open for nothing"
        assert game.opening > 0


@pytest.mark.parametrize(("name", "ratio"), [("power9", 1.56), ("power8", 1.67)])
def test_no_rule_can_promise_1_2_on_power_even_with_one_flush_for_many_tlbies(name, ratio):
    """What results/README.md says of 8,192 pages and 300 epochs of 10 ms."""
    assert ratio < least_ratio(load_profile(name), 8192, 10e6, 300) < ratio + 0.01
