"""Cost profiles: what ships is complete, what is wrong in a user's own is one clear line."""

import tomllib
from importlib import resources

import pytest

from analysis.model.estimate import Scenario
from analysis.model.profile import CONSTANTS, KINDS, bundled, load_profile
from strategies.errors import InputError
from strategies.registry import names

CONSTANT = (
    '[constants.{}]\nvalue = 2\nlow = 1\nhigh = 3\nunit = "ns"\nkind = "cited"\nsource = "x"\n'
)
HEAD = 'name = "mine"\ntitle = "My host"\n'
FAULT = CONSTANT.format("fault")
VALID = HEAD + "".join(CONSTANT.format(name) for name in CONSTANTS)


def test_the_platforms_are_there():
    assert bundled() == ("arm64", "arm64-dbm", "power8", "power9", "x86-kvm")


@pytest.mark.parametrize("name", bundled())
def test_a_bundled_profile_says_of_each_constant_its_range_kind_and_source(name):
    profile = load_profile(name)
    assert profile.name == name
    assert tuple(profile.constants) == tuple(CONSTANTS)
    assert set(profile.unavailable) <= set(names())
    for constant in profile.constants.values():
        assert constant.low <= constant.value <= constant.high
        assert constant.kind in KINDS
        assert len(constant.source) > 10


def test_a_users_own_profile_is_one_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(VALID)
    profile = load_profile(path)
    assert profile.title == "My host"
    assert profile.costs(Scenario(64, 1, 1.0), "high") == dict.fromkeys(CONSTANTS, 3.0)


WRONG = {
    "not toml": ("name = ", "is not TOML"),
    "no name": (VALID.replace('name = "mine"\n', ""), "name must be text"),
    "no constants": (HEAD, r"lacks \[constants"),
    "missing": (VALID.replace("constants.fault]", "constants.grace_]"), "lacks constants fault;"),
    "unknown": (VALID + CONSTANT.format("magic"), "unknown constants magic; accepted: page_scan"),
    "negative": (VALID.replace("low = 1", "low = -1", 1), "0 or more, not -1"),
    "infinite": (VALID.replace("high = 3", "high = inf", 1), "0 or more, not inf"),
    "text": (VALID.replace("value = 2", 'value = "2"', 1), "must be a number"),
    "boolean": (VALID.replace("value = 2", "value = true", 1), "must be a number"),
    "order": (VALID.replace("value = 2", "value = 9", 1), "low <= value <= high"),
    "unit": (VALID.replace('unit = "ns"', 'unit = "us"', 1), "page_scan must be 'ns' or 'ref"),
    "no walk": (VALID.replace(FAULT, FAULT.replace('"ns"', '"reference"')), "fault must be 'ns'$"),
    "kind": (VALID.replace('kind = "cited"', 'kind = "sure"', 1), "one of cited, derived"),
    "source": (VALID.replace('source = "x"', 'source = ""', 1), "where the figure comes from"),
    "unavailable": ("unavailable = 3\n" + VALID, "list of strategy names"),
}


@pytest.mark.parametrize(("text", "saying"), WRONG.values(), ids=WRONG)
def test_a_wrong_profile_is_one_clear_line(tmp_path, text, saying):
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(InputError, match=saying) as raised:
        load_profile(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["nowhere.toml", "."])
def test_no_such_profile_names_those_there_are(name):
    with pytest.raises(InputError, match="one of arm64, arm64-dbm"):
        load_profile(name)


def test_what_tests_the_model_is_not_in_the_profiles():
    """Published cases that the model is compared with must not be its input."""
    text = (resources.files("analysis.model") / "profiles" / "arm64-dbm.toml").read_text()
    sources = [c["source"] for c in tomllib.loads(text)["constants"].values()]
    assert not any("Zhu" in source or "Kolothum" in source for source in sources)
