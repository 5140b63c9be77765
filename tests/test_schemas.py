"""What commands print as JSON keeps its schema: `tests/schemas`, one file for each command."""

import json
from pathlib import Path

import pytest
from jsonschema import validate

from strategies.cli import main
from strategies.contract import score

SCHEMAS = Path(__file__).parent / "schemas"
SLOT = "--slot 1GiB --density 1% --interval 100ms"

LINES = [
    ("strategies", "strategies"),
    ("model", "model --profile arm64"),
    ("model", f"model --profile power9 {SLOT}"),
    ("model", "model --trace vga_desktop --strategy c_bit_scan"),
    ("advise", f"advise {SLOT}"),
    ("advise", f"advise {SLOT} --profile arm64 --vcpus 64"),
    ("advise", f"advise --profile power8 {SLOT} --page-size 16MiB --resend 1us"),
    ("advise", "advise --trace vga_desktop --profile power9-radix --max-harvest 10us"),
    ("advise", f"advise {SLOT} --max-harvest 1ns"),
    ("replay", "replay vga_desktop --strategy write_protect --strategy null --profile power9"),
    ("replay", "replay vga_desktop --strategy null"),
    ("replay", "replay vga_desktop --strategy null --lane plain"),  # tests/lanes has all of them
    ("lanes", "lanes"),
    ("trace", "trace vga_desktop --interval 1s"),
    ("contract", "contract write_protect"),
]


@pytest.mark.parametrize(("name", "line"), LINES, ids=[line for _, line in LINES])
def test_what_a_command_prints_fits_its_schema(name, line, capsys, monkeypatch):
    monkeypatch.setattr(score, "bundled", lambda: ("vga_desktop",))  # all of them take long
    assert main([*line.split(), "--format", "json"]) in (0, 3)
    document = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    validate(document, json.loads((SCHEMAS / f"{name}.json").read_text()))


def test_every_schema_is_used():
    with_a_dataset = {"fleet"}  # tests/test_fleet.py
    used = {name for name, _ in LINES} | with_a_dataset
    assert {path.stem for path in SCHEMAS.glob("*.json")} == used
