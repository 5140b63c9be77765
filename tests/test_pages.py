"""The report and the README as Chromium lays them out, on a wide screen and on a phone."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "results" / "reference" / "report" / "index.html"
PHONE, WIDE = 400, 1400
CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)

LIKE_GITHUB = """
body { margin: 0; font: 16px/1.5 sans-serif; }
article { max-width: 1012px; box-sizing: border-box; margin: 0 auto; padding: 32px;
  overflow-wrap: break-word; }
@media (max-width: 767px) { article { padding: 16px; } }
h1 { font-size: 2em; padding-bottom: 0.3em; margin: 0 0 16px; }
h2 { font-size: 1.5em; padding-bottom: 0.3em; margin: 24px 0 16px; }
p, ul, pre, table { margin: 0 0 16px; }
img { max-width: 100%; }
pre { padding: 16px; overflow: auto; font-size: 85%; line-height: 1.45; }
table { display: block; width: max-content; max-width: 100%; overflow: auto; }
"""
"""The sizes of a README's page there."""

MEASURE = """
addEventListener("load", () => {
  const place = one => {
    const box = one.getBoundingClientRect();
    const name = one.closest("figure")?.id || one.getAttribute("src") || one.innerText;
    return {name, left: box.left, top: box.top, right: box.right, bottom: box.bottom};
  };
  const found = [...document.querySelectorAll("iframe")].map(frame => {
    const page = frame.contentDocument;
    const places = what => [...page.querySelectorAll(what)].map(place);
    return {
      width: page.documentElement.scrollWidth,
      figures: places("figure svg, img"), tables: places("table"), blocks: places("pre"),
      headings: places("h1, h2"),
    };
  });
  document.getElementById("found").textContent = JSON.stringify(found);
});
"""


@pytest.fixture(scope="module")
def places(tmp_path_factory):
    """Where things stand in the report and the README, by page and width."""
    if not CHROMIUM:
        pytest.skip("needs Chromium: apt-get install chromium")
    folder = tmp_path_factory.mktemp("pages")
    markdown = MarkdownIt("commonmark").enable("table").render((ROOT / "README.md").read_text())
    readme = folder / "readme.html"
    readme.write_text(
        f'<!doctype html><meta charset="utf-8"><base href="{ROOT.as_uri()}/">'
        f"<style>{LIKE_GITHUB}</style><article>{markdown}</article>"
    )
    shown = [(page, width) for page in (PAGE, readme) for width in (PHONE, WIDE)]
    frames = "".join(
        f'<iframe src="{page.as_uri()}" style="border:0;width:{width}px;height:900px"></iframe>'
        for page, width in shown
    )
    whole = folder / "whole.html"
    whole.write_text(f'<pre id="found"></pre>{frames}<script>{MEASURE}</script>')
    options = ("--headless", "--no-sandbox", "--hide-scrollbars", "--allow-file-access-from-files")
    options += (f"--user-data-dir={folder}/profile", "--window-size=1600,1000", "--dump-dom")
    done = subprocess.run(
        [CHROMIUM, *options, whole.as_uri()],
        capture_output=True,
        text=True,
        check=True,
        timeout=600,
    )
    found = json.loads(unescape(re.search(r'<pre id="found">(.*?)</pre>', done.stdout)[1]))
    return {
        ("report" if page == PAGE else "readme", width): one
        for (page, width), one in zip(shown, found, strict=True)
    }


@pytest.mark.parametrize("width", [PHONE, WIDE])
@pytest.mark.parametrize("page", ["report", "readme"])
def test_nothing_is_wider_than_its_page(places, page, width):
    seen = places[page, width]
    assert seen["width"] <= width
    assert len(seen["tables"]) >= 4
    for one in (*seen["tables"], *seen["figures"]):
        assert 0 <= one["left"] < one["right"] <= width, one["name"]


def test_the_readme_opens_with_the_clean_slot_and_the_commands(places):
    seen = places["readme", WIDE]
    assert seen["figures"][0]["name"].endswith("clean_slot.svg")
    assert seen["figures"][0]["bottom"] < 900
    assert seen["blocks"][0]["name"].startswith("make study")
    assert seen["blocks"][0]["bottom"] < 1300


@pytest.mark.parametrize("page", ["report", "readme"])
def test_break_evens_stand_beside_the_curves_and_below_them_on_a_phone(places, page):
    def pair(width):
        names = ("at_a_glance", "break_evens")
        return [next(f for f in places[page, width]["figures"] if n in f["name"]) for n in names]

    curves, dots = pair(WIDE)
    assert dots["left"] >= curves["right"]
    assert dots["top"] < curves["bottom"]
    curves, dots = pair(PHONE)
    assert dots["top"] >= curves["bottom"]
    assert abs(dots["left"] - curves["left"]) < 1


def test_advice_and_published_times_follow_the_answer(places):
    headings = {
        page: [one["name"] for one in places[page, WIDE]["headings"]]
        for page in ("report", "readme")
    }
    assert headings["report"][1:5] == [
        "The answer",
        "Advice and published times",
        "Advice for some deployments",
        "Against published times",
    ]
    place = headings["readme"].index("The answer")
    assert headings["readme"][place + 1] == "Ask for advice"


def test_the_least_letters_of_a_figure_are_readable_on_a_phone(places):
    inches, points = 6.4, 9
    for one in places["report", PHONE]["figures"]:
        assert points / 72 * (one["right"] - one["left"]) / inches >= 7, one["name"]
