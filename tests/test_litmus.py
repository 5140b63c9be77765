"""The order of each tracker's steps as litmus tests, and what Arm's memory model says of them."""

import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest
from llvmlite import binding

from strategies import registry
from strategies.cli import main
from strategies.litmus import herd
from strategies.litmus.left_out import LEFT_OUT
from strategies.litmus.session import TESTS
from strategies.litmus.text import Litmus, litmus

VERSION, VERDICTS = herd.recorded()
BY_NAME = {test.name: test for test in TESTS}

CATALOGUE = """
from strategies.explore import catalogue
print(*(defect.name for defect in catalogue.DEFECTS))
"""

SCAN = """\
AArch64 scan
"Clear D, invalidate, wait, copy."
Variant=vmsa
TTHM=HD
{
 [PTE(z)]=(oa:PA(x));
 [PTE(x)]=(oa:PA(x), db:1, dbm:1);
 0:X0=x; 0:X30=1;
 1:X0=x; 1:X1=PTE(x); 1:X11=z; 1:X12=(oa:PA(x), db:0, dbm:1);
}
 P0           | P1               ;
 STR W30,[X0] | STR X12,[X1]     ;
              | DSB ISH          ;
              | LSR X29,X0,#12   ;
              | TLBI VAAE1IS,X29 ;
              | DSB ISH          ;
              | LDR W21,[X11]    ;
exists ([x]=1 /\\ [PTE(x)]=(oa:PA(x), db:0, dbm:1) /\\ 1:X21=0)
"""

ATOMICS = """
define i64 @look(ptr %word) {
  %value = load atomic i64, ptr %word acquire, align 8
  ret i64 %value
}
define i64 @mark(ptr %word, i64 %mask) {
  %old = atomicrmw or ptr %word, i64 %mask seq_cst
  ret i64 %old
}
define i64 @take(ptr %word) {
  %old = atomicrmw xchg ptr %word, i64 0 seq_cst
  ret i64 %old
}
"""
"""As `core/atomics` asks for them: load, fetch_or, exchange."""


def test_a_test_is_written_in_the_language_of_arms_model():
    assert litmus(BY_NAME["scan"]) == SCAN


def test_each_test_has_a_name_of_its_own_and_a_recorded_verdict():
    assert len(BY_NAME) == len(TESTS) > 40
    assert VERDICTS.keys() == BY_NAME.keys()
    assert VERSION.startswith("herd7 7.")


def test_the_order_of_every_tracker_is_judged():
    known = {name.partition(":")[0] for name in registry.judged()}
    assert {test.tracker for test in TESTS if test.is_right} == known | {"all"}


@pytest.mark.parametrize("test", [t for t in TESTS if t.is_right], ids=lambda t: t.name)
def test_a_trackers_own_order_never_loses_a_page(test):
    assert VERDICTS[test.name].word == "Never"
    assert VERDICTS[test.name].other > 0


def test_where_the_explorer_finds_otherwise_it_is_said_why():
    lost = {test.name: VERDICTS[test.name].word != "Never" for test in TESTS if not test.why}
    assert lost == {test.name: bool(test.defect) for test in TESTS if not test.why}


@pytest.mark.parametrize(
    ("name", "word", "lost", "other"),
    [
        ("scan", "Never", 0, 4),
        ("scan-without-tlbi", "Sometimes", 1, 3),
        ("scan-without-wait", "Sometimes", 1, 3),
        ("scan-copy-first", "Sometimes", 1, 5),
    ],
)
def test_a_verdict_counts_the_executions(name, word, lost, other):
    assert VERDICTS[name] == herd.Verdict(word, lost, other)


def test_every_defect_of_the_catalogue_has_a_test_or_a_reason():
    done = subprocess.run(
        [sys.executable, "-c", CATALOGUE],
        env=os.environ | {"NUMBA_DISABLE_JIT": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    written = {test.defect for test in TESTS} - {""}
    left_out = [name for names in LEFT_OUT.values() for name in names]
    assert written & set(left_out) == set()
    assert sorted([*written, *left_out]) == sorted(done.stdout.split())


@pytest.mark.parametrize(
    ("features", "instructions"),
    [
        ("", ["ldar", "ldaxr", "stlxr", "ldaxr", "stlxr"]),
        ("+lse", ["ldar", "ldsetal", "swpal"]),
        ("+lse,+rcpc", ["ldapr", "ldsetal", "swpal"]),
        ("+rcpc", ["ldapr", "ldaxr", "stlxr", "ldaxr", "stlxr"]),
    ],
)
def test_llvm_makes_the_instructions_that_are_judged(features, instructions):
    binding.initialize_all_targets()
    binding.initialize_all_asmprinters()
    target = binding.Target.from_triple("aarch64-linux-gnu")
    machine = target.create_target_machine(cpu="generic", features=features)
    code = machine.emit_assembly(binding.parse_assembly(ATOMICS))
    assert re.findall(r"^\t((?:ld|st|swp|cas)\w*)", code, re.MULTILINE) == instructions


def test_registers_that_a_thread_does_not_use_are_not_set():
    threads = {"P0": ("STR {one},[{page}]",), "P1": ("LDR {copy},[{page}]",)}
    text = litmus(Litmus("name", "all", "What.", threads, "1:copy=1"))
    assert " 0:X0=x; 0:X30=1;\n 1:X0=x;\n}" in text
    assert text.endswith("exists (1:X21=1)\n")


def test_the_command_shows_what_is_recorded(capsys):
    assert main(["litmus"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split()[:3] == ["scan", "c_bit_scan_batched", "Never"]
    assert any(f"recorded, by {VERSION}" in line for line in lines)


def test_the_command_writes_the_tests(tmp_path, capsys):
    folder = tmp_path / "new" / "folder"
    assert main(["litmus", "--out", str(folder)]) == 0
    assert capsys.readouterr().out == f"{len(TESTS)} tests written to {folder}\n"
    assert {path.name for path in folder.iterdir()} == {f"{name}.litmus" for name in BY_NAME}
    assert (folder / "scan.litmus").read_text() == SCAN


def test_without_herd7_the_command_says_what_it_needs(capsys, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert main(["litmus", "--run"]) == 2
    assert capsys.readouterr().err == f"dirtylog: error: {herd.MISSING}\n"


@pytest.mark.skipif(not herd.is_installed(), reason=herd.MISSING)
def test_herd7_judges_as_it_is_recorded(capsys):
    assert main(["litmus", "--run"]) == 0
    assert "not as recorded" not in capsys.readouterr().out


@pytest.mark.skipif(not herd.is_installed(), reason=herd.MISSING)
def test_with_lse_no_trackers_order_needs_more_than_ldapr():
    """LLVM makes LDAPR, not LDAR, of a load with acquire where the machine has it."""

    def weaker(lines):
        return tuple(line.replace("LDAR ", "LDAPR ") for line in lines)

    tests = [
        replace(test, threads={name: weaker(lines) for name, lines in test.threads.items()})
        for test in TESTS
        if test.is_right and "STLXR" not in str(test.threads)
    ]
    assert {verdict.word for verdict in herd.judge(tests).values()} == {"Never"}
