"""Mutants that no operator makes: mistakes of kernels, and such as once passed every check."""

import ast

from operators import ROOT, Mutant, digest_of, functions, span_of

MISTAKES = (
    (  # a store through an HPTE that was removed while a harvest had it absent
        "strategies/core/papr.py:invalidate_hpte",
        "    tlbie(machine, cpu, v, atomics.load(machine.rev, 2 * index), index)",
        "    if v & HPTE_V_VALID:\n"
        "        tlbie(machine, cpu, v, atomics.load(machine.rev, 2 * index), index)",
    ),
    (  # what is there now may map another address
        "strategies/core/hostfault.py:handle_fault",
        "if index == find_hpte(machine, va, shift, HPTE_V_VALID | HPTE_V_ABSENT):",
        "if v & (HPTE_V_VALID | HPTE_V_ABSENT):",
    ),
    (  # H_PTEG_FULL where a place is only locked
        "strategies/core/h_enter.py:_lock_free_hpte",
        "        v = lock_hpte(machine, vcpu, free)\n        if not v & PRESENT:",
        "        v = PRESENT\n        if try_lock_hpte(machine.hpt, free, PRESENT):",
    ),
    (  # the guest's condition on what the host has made of dword 0
        "strategies/core/h_remove.py:_bulk_remove_one",
        "guest_view(v) & condition",
        "v & condition",
    ),
    ("strategies/core/papr.py:is_named", "guest_view(v) & avpn", "v & avpn"),
    (  # Linux until 6dbf79e7164e: a harvest may have left a more permissive translation in a TLB
        "strategies/core/h_change.py:h_protect",
        "    r = invalidate_hpte(machine, vcpu, index, v)",
        "    r = atomics.load(machine.hpt, 2 * index + 1)\n"
        "    if hpte_is_writable(r):\n"
        "        r = invalidate_hpte(machine, vcpu, index, v)",
    ),
)
"""Where, what stands there, and what instead."""


def by_hand():
    """Return these mutants, named as the generated ones."""
    mutants = []
    for place, old, new in MISTAKES:
        file, name = place.split(":")
        text = (ROOT / file).read_text()
        node = dict(functions(ast.parse(text)))[name]
        start = text.index(old, span_of(text, node)[0])
        number = sum(each.name.startswith(f"{place}:") for each in mutants)
        change = " -> ".join(" ".join(part.split()) for part in (old, new))
        edit = start, start + len(old), new
        mutants.append(Mutant(file, name, "hand", number, digest_of(text, node), change, edit))
    return mutants
