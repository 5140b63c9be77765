"""Cost profiles: what ships is complete, what is wrong in a user's own is one clear line."""

import pytest

from analysis.model.profile import (
    CONSTANTS,
    KINDS,
    MECHANISMS,
    NUMBER,
    bundled,
    load_profile,
)
from analysis.model.scenario import Scenario
from analysis.model.terms import TERMS
from strategies.errors import InputError
from strategies.registry import choices, names

CONSTANT = (
    '[constants.{}]\nvalue = {}\nlow = {}\nhigh = {}\nunit = "{}"\nkind = "cited"\nsource = "x"\n'
)


def constant(name, *numbers, unit=None):
    unit = unit or ("1" if name in MECHANISMS else "ns")
    return CONSTANT.format(
        name, *(numbers or ((1, 0, 1) if name in MECHANISMS else (2, 1, 3))), unit
    )


HEAD = 'name = "mine"\ntitle = "My host"\n'
FAULT = constant("fault")
VALID = HEAD + "".join(map(constant, CONSTANTS))


def test_the_platforms_are_there():
    assert bundled() == ("arm64", "arm64-dbm", "power8", "power9", "power9-radix", "x86-kvm")


@pytest.mark.parametrize("name", bundled())
def test_a_bundled_profile_says_of_each_constant_its_range_kind_and_source(name):
    profile = load_profile(name)
    assert profile.name == name
    assert tuple(profile.constants) == tuple(CONSTANTS)
    for key, one in profile.constants.items():
        assert one.low <= one.value <= one.high
        assert one.kind in KINDS
        assert (one.unit == NUMBER) == (key in MECHANISMS)
        assert len(one.source) > 10


@pytest.mark.parametrize("name", bundled())
def test_a_bundled_profile_says_of_each_strategy_what_to_set_or_why_not(name):
    profile = load_profile(name)
    assert set(profile.unavailable) | set(profile.hypothetical) <= set(names())
    for strategy in choices():
        rows = profile.settings_of(strategy)
        why_not = profile.hypothetical.get(strategy) or profile.unavailable.get(strategy)
        assert all(row["source"] for row in rows), strategy
        assert why_not or all(row["how"] and row["since"] for row in rows), strategy
        assert profile.is_offered(strategy) == (not why_not)


SCANS = {"x86-kvm": False, "arm64-dbm": False, "power8": True, "power9": True, "power9-radix": True}


@pytest.mark.parametrize(("name", "is_offered"), SCANS.items())
def test_who_scans_is_said_of_each_platform(name, is_offered):
    """No mainline kernel scans on x86 or arm64; POWER does, hashed and radix."""
    assert load_profile(name).is_offered("c_bit_scan") == is_offered


@pytest.mark.parametrize("name", [name for name in bundled() if "power" not in name])
def test_what_was_measured_elsewhere_says_so(name):
    """A walk measured on one platform and priced for another is `transferred`."""
    for one in load_profile(name).constants.values():
        assert one.kind != "measured", one.source


def test_history_is_no_choice():
    assert "pte_flush" not in {*choices(), *TERMS}
    assert all("pte_flush" not in load_profile(name).strategies() for name in bundled())


@pytest.mark.parametrize("name", ["power8", "power9"])
def test_walks_of_a_hashed_table_are_those_of_the_page_size_and_mapping(name):
    """64 KiB pages of the same memory are not priced with the walks of 4 KiB ones."""
    profile = load_profile(name)
    small = profile.at(Scenario(1 << 20, 0, 1e9, page_bytes=4096)).constants["page_scan"]
    large = profile.at(Scenario(1 << 16, 0, 1e9, page_bytes=65536)).constants["page_scan"]
    scattered = Scenario(1 << 20, 0, 1e9, page_bytes=4096, mapping="scattered")
    assert large.value != small.value
    assert profile.at(scattered).constants["page_scan"].value != small.value
    for one in (small, large):
        assert one.low < one.value / 2 < one.value * 2 < one.high  # the fit's own error, too


def test_a_users_own_profile_is_one_file(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(VALID)
    profile = load_profile(path)
    assert profile.title == "My host"
    assert profile.values("high")["fault"] == 3.0
    assert profile.page_bytes == (4096,)
    assert profile.strategies() == tuple(TERMS)


WRONG = {
    "not toml": ("name = ", "is not TOML"),
    "no name": (VALID.replace('name = "mine"\n', ""), "name must be text"),
    "no constants": (HEAD, r"lacks \[constants"),
    "missing": (VALID.replace("constants.fault]", "constants.grace_]"), "lacks constants fault;"),
    "unknown": (VALID + constant("magic"), "unknown constants magic; accepted: page_scan"),
    "negative": (VALID.replace("low = 1", "low = -1", 1), "0 or more, not -1"),
    "infinite": (VALID.replace("high = 3", "high = inf", 1), "0 or more, not inf"),
    "text": (VALID.replace("value = 2", 'value = "2"', 1), "must be a number"),
    "boolean": (VALID.replace("value = 2", "value = true", 1), "must be a number"),
    "order": (VALID.replace("value = 2", "value = 9", 1), "low <= value <= high"),
    "unit": (VALID.replace('unit = "ns"', 'unit = "us"', 1), "page_scan must be 'ns' or 'ref"),
    "no walk": (VALID.replace(FAULT, constant("fault", unit="reference")), "fault must be 'ns'$"),
    "no flag": (
        VALID.replace(constant("splits"), constant("splits", 1, 1, 2)),
        r"splits must be from 0 \(no\) to 1 \(yes\), not 2",
    ),
    "kind": (VALID.replace('kind = "cited"', 'kind = "sure"', 1), "one of cited, derived"),
    "source": (VALID.replace('source = "x"', 'source = ""', 1), "where the figure comes from"),
    "unavailable": ("unavailable = 3\n" + VALID, "strategy = sentence that says why"),
    "no reason": (VALID + "[unavailable]\nc_bit_scan = 1\n", "c_bit_scan must be text"),
    "no strategy": (VALID + '[hypothetical]\nmagic = "x"\n', "unknown strategies magic; accepted"),
    "page sizes": ("page_sizes = [4096]\n" + VALID, "list of sizes"),
    "settings": (VALID + "[settings]\nc_bit_scan = 1\n", "must be a list of tables"),
    "setting": (VALID + '[[settings.c_bit_scan]]\nwhen = "x"\n', "accepted: how, since, source"),
    "nothing left": (
        VALID + "[unavailable]\n" + "".join(f'{name} = "no"\n' for name in TERMS),
        "must leave a strategy",
    ),
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
