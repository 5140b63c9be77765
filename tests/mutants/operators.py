"""Mutants of the machine and its trackers, generated from the syntax tree.

A mutant is one edit of one function. Each operator stands for a mistake that loses pages in code
like this: a read-modify-write split, a lock left out, two statements in the other order, a wrong
bit or half. What cannot matter is not generated: hints to the cache, event counts in another order.
"""

import ast
import hashlib
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("core", "scan", "fault", "log", "mixed", "history")
LEFT_OUT = {
    *("__init__", "atomics", "cache", "clock", "events", "jit", "machine", "memory", "vm", "words")
}
"""Files of core without rules of their own: layouts, names, what checks arguments."""

HINTS = {"prefetch", "_prefetch_group", "_fetch", "relax"}
PURE = HINTS | {
    *("U64", "I64", "int", "bool", "min", "max", "range", "len", "bit", "ctz", "popcount"),
    *("pages_of", "hpte_gfn", "hpte_gpa", "hpte_page_shift", "hpte_is_writable", "gfn_of"),
    *("hpte_make_readonly", "ring_head", "tlb_tag", "tlb_entry", "va_of_hpte", "view_shift"),
    *("pages_of_entry", "bitmap_words", "count", "counted", "monotonic_ns", "address_of"),
    *("group_of", "hpte_v_of", "slot_of_gfn", "_count_fault"),
    *("bitmap_start", "load_own", "store_own", "clear_log", "report_pages", "set_gpr", "get_gpr"),
}
"""Calls of which the order among others cannot matter: nobody else sees what they touch."""

ZEROS = {"SLOT_BASE_GFN", "VCPU_ACCESS", "LOG_PUSHED", "TLB_TAG"}
"""Offsets that are 0, and so are not missed."""

FAMILIES = (
    ("HPTE_V_VALID", "HPTE_V_ABSENT"),
    ("HPTE_R_C", "HPTE_R_R"),
    ("HPTE_R_RC", "HPTE_R_C"),
    ("RMAP_PRESENT", "RMAP_CHANGED"),
    ("EACH", "IN_PLACE"),
    ("EACH_WRITABLE", "EACH"),
    ("ABSENT_WRITABLE", "ABSENT"),
    ("FINISH", "EACH"),
    ("READONLY_TLBIE", "READONLY", "CLEAN"),
    ("RESTORE", "READONLY"),
    ("LOG_OFF", "LOG_C_BIT"),
    ("LOG_WRITE_PROTECT", "LOG_RING", "LOG_PML", "LOG_GROUPS", "LOG_ABSENT"),
    ("VCPU_ACCESS", "VCPU_HANDLER"),
    ("LOG_PUSHED", "LOG_TAKEN"),
    ("SLOT_DIRTY", "SLOT_ACTIVE"),
    ("H_AVPN", "H_ANDCOND"),
    ("H_NOT_FOUND", "H_PARAMETER", "H_PTEG_FULL"),
    ("GUEST_PROTECTION", "HASH_MISS"),
    ("PP_RXRX", "PP_RXXX"),
    ("True", "False"),
)
"""Names that are easily taken for one another: each becomes the next, the last the first."""

SIBLING = {}
for family in reversed(FAMILIES):
    SIBLING |= dict(zip(family, (*family[1:], family[0]), strict=True))

SPLIT = {
    "exchange": ("value", "value"),
    "fetch_or": ("value", "old | value"),
    "fetch_and": ("value", "old & value"),
    "fetch_add": ("value", "old + value"),
    "compare_and_swap": ("expected, value", "value if old == expected else old"),
}


class Mutant(NamedTuple):
    """One edit of one function.

    Attributes
    ----------
    file : str
        Below the repository's root.
    function : str
        Qualified name, or `<module>`.
    operator : str
    occurrence : int
        Among those of the operator in the function.
    digest : str
        Of the function's source.
    change : str
        What became what, in one line.
    edit : tuple of (int, int, str)
        Start and end in the file's text, and what stands there instead.
    """

    file: str
    function: str
    operator: str
    occurrence: int
    digest: str
    change: str
    edit: tuple

    @property
    def name(self):
        """The identifier, which edits of other functions leave as it is."""
        return f"{self.file}:{self.function}:{self.operator}:{self.occurrence}"

    def source(self):
        """Return the text of the file with the mutant in it."""
        text = (ROOT / self.file).read_text()
        start, end, new = self.edit
        mutated = text[:start] + new + text[end:]
        return mutated + _split_helper(new) if self.operator == "split" else mutated


def _split_helper(new):
    """Return the source of the function that a split read-modify-write calls, if it calls one."""
    name = new.removeprefix("_split_")
    if name not in SPLIT:
        return ""
    parameters, value = SPLIT[name]
    return (
        "\n\nfrom strategies.core.jit import inlined as _inlined\n\n\n@_inlined\n"
        f"def _split_{name}(words, index, {parameters}):\n"
        "    old = atomics.load(words, index)\n"
        f"    atomics.store(words, index, {value})\n"
        "    return old\n"
    )


def files():
    """Return the files that are mutated, below the root."""
    package = ROOT / "strategies"
    found = [package / "base.py"]
    for folder in FOLDERS:
        found += sorted(p for p in (package / folder).glob("*.py") if p.stem not in LEFT_OUT)
    return [str(path.relative_to(ROOT)) for path in found]


def generate(file, text=None):
    """Return the mutants of a file, in the order of its text."""
    text = (ROOT / file).read_text() if text is None else text
    source = _Source(text)
    mutants = []
    mutated = (pair for pair in functions(ast.parse(text)) if pair[0] not in HINTS)
    for function, node in mutated:
        digest = digest_of(text, node)
        seen, numbers = set(), Counter()
        for operator, old, new in _edits(source, node):
            edit = (*old, new)
            if edit in seen:
                continue
            seen.add(edit)
            change = f"{_one_line(text[slice(*old)])} -> {_one_line(new)}"
            number = numbers[operator]
            numbers[operator] += 1
            mutants.append(Mutant(file, function, operator, number, digest, change, edit))
    return mutants


def span_of(text, node):
    """Return where a node begins and ends in a text."""
    return _Source(text).span(node)


def digest_of(text, node):
    """Return the digest of a function, as the table keeps it."""
    return hashlib.blake2b(_Source(text).of(node).encode(), digest_size=4).hexdigest()


def _one_line(text):
    return " ".join(text.split())


class _Source:
    """The text of a file, and where in it the nodes of its tree stand."""

    def __init__(self, text):
        self.text = text
        lines = text.splitlines(keepends=True)
        self._lines = lines
        self._starts = [0]
        for line in lines:
            self._starts.append(self._starts[-1] + len(line))

    def _at(self, line, column):
        prefix = self._lines[line - 1].encode()[:column].decode()
        return self._starts[line - 1] + len(prefix)

    def span(self, node):
        """Return where a node begins and ends, with parentheses that are its alone left out."""
        return (
            self._at(node.lineno, node.col_offset),
            self._at(node.end_lineno, node.end_col_offset),
        )

    def of(self, node):
        """Return a node's text; of a module its own statements'."""
        if isinstance(node, ast.Module):
            return "\n".join(self.of(each) for each in node.body)
        return self.text[slice(*self.span(node))]


def functions(tree, prefix=""):
    """Yield (qualified name, node) of each function, and of the module's own assignments."""
    if not prefix:
        constants = [each for each in tree.body if isinstance(each, ast.Assign)]
        yield "<module>", ast.Module(constants, [])
    for node in tree.body:
        if isinstance(node, ast.ClassDef):
            yield from functions(node, f"{prefix}{node.name}.")
        elif isinstance(node, ast.FunctionDef):
            yield prefix + node.name, node


def _edits(source, function):
    """Yield (operator, span, new text) of each edit of a function."""
    is_module = isinstance(function, ast.Module)
    for node in _walk(function.body):
        if not is_module:
            yield from _of_statement(source, node)
        yield from _of_expression(source, node)
    for body in () if is_module else _bodies(function):
        yield from _swaps(source, body)


def _walk(nodes):
    """Yield what may be mutated: no docstring, message, hint to the cache or time."""
    for node in nodes:
        if isinstance(node, ast.Raise) or _called(node) in HINTS | {"monotonic_ns"}:
            continue
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, ast.BinOp) and _called(node.left) == "monotonic_ns":
            continue
        yield node
        yield from _walk(ast.iter_child_nodes(node))


def _called(node):
    """Return the last name of what a call calls, or None."""
    if not isinstance(node, ast.Call):
        return None
    return getattr(node.func, "attr", getattr(node.func, "id", None))


def _calls(node):
    return {_called(inner) for inner in ast.walk(node)} - {None}


def _bodies(function):
    """Yield each list of statements within a function."""
    for node in ast.walk(function):
        for name in ("body", "orelse", "finalbody"):
            body = getattr(node, name, None)
            if isinstance(body, list):
                yield body


def _swaps(source, body):
    """Swap neighbours that others can see, unless the second needs what the first makes."""
    for first, second in pairwise(body):
        pair = (first, second)
        if not all(isinstance(each, ast.Expr | ast.Assign | ast.AugAssign) for each in pair):
            continue
        if not all(_calls(each) - PURE for each in pair):
            continue
        if any(_called(each.value) == "count" for each in pair):
            continue
        made = _names(first, ast.Store)
        if made & (_names(second, ast.Load) | _names(second, ast.Store)):
            continue
        start, middle = source.span(first)
        between, end = source.span(second)
        texts = source.text[between:end], source.text[middle:between], source.text[start:middle]
        yield "swap", (start, end), "".join(texts)


def _names(node, context):
    return {
        inner.id
        for inner in ast.walk(node)
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, context)
    }


def _of_statement(source, node):
    """Leave a statement out, or the lock that it takes; decide a branch beforehand."""
    is_call = isinstance(node, ast.Expr) and _called(node.value) not in HINTS | {None}
    if is_call or isinstance(node, ast.AugAssign | ast.Delete | ast.Break):
        yield "drop", source.span(node), "pass"
    elif isinstance(node, ast.Assign):
        yield from _of_assignment(source, node)
    elif isinstance(node, ast.With):
        start, _ = source.span(node)
        yield "lock", (start, source.span(node.items[-1].context_expr)[1]), "if True"
    elif isinstance(node, ast.If) and not isinstance(node.test, ast.BoolOp):
        for decided in ("True", "False"):
            yield "decide", source.span(node.test), decided


def _of_assignment(source, node):
    """Take no lock, where a lock's word is assigned; leave out a store to a field."""
    unlocked = {
        "lock_rmap": "atomics.load({0}, {1})",
        "lock_hpte": "atomics.load({0}.hpt, 2 * {2})",
        "lock_bit": "atomics.load({0}, {1})",
    }
    called = _called(node.value)
    if called in unlocked:
        arguments = [source.of(each) for each in node.value.args]
        yield "lock", source.span(node.value), unlocked[called].format(*arguments)
    if isinstance(node.targets[0], ast.Subscript | ast.Attribute):
        yield "drop", source.span(node), "pass"


def _of_expression(source, node):
    if isinstance(node, ast.Call):
        yield from _of_call(source, node)
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield from _of_compare(source, node)
    elif isinstance(node, ast.BinOp):
        yield from _of_operation(source, node)
    elif isinstance(node, ast.BoolOp):
        for kept in range(len(node.values)):
            others = [source.of(each) for k, each in enumerate(node.values) if k != kept]
            word = " and " if isinstance(node.op, ast.And) else " or "
            yield "weaken", source.span(node), f"({word.join(f'({each})' for each in others)})"
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.Invert):
        yield "weaken", source.span(node), f"({source.of(node.operand)})"
    elif isinstance(node, ast.IfExp):
        for one in (node.body, node.orelse):
            yield "decide", source.span(node), f"({source.of(one)})"
    elif isinstance(node, ast.Name | ast.Constant):
        name = node.id if isinstance(node, ast.Name) else str(node.value)
        if name in SIBLING and isinstance(getattr(node, "ctx", ast.Load()), ast.Load):
            yield "wrong", source.span(node), SIBLING[name]


def _of_call(source, node):
    """Split a read-modify-write; start or end a range one off; take the other half, no lock."""
    called = _called(node)
    if called in SPLIT and isinstance(node.func, ast.Attribute):
        yield "split", source.span(node.func), f"_split_{called}"
    elif called == "range":
        arguments = [source.of(each) for each in node.args]
        last = 0 if len(node.args) == 1 else 1
        for place, off in (*((0, "+"),) * last, (last, "-")):
            yield "bound", source.span(node.args[place]), f"{arguments[place]} {off} 1"
    elif called == "try_lock_hpte":
        yield "lock", source.span(node), "True"
    elif called in ("min", "max"):
        for one in node.args:
            yield "bound", source.span(node), f"({source.of(one)})"
    elif called == "bitmap_start" and isinstance(node.args[-1], ast.Constant):
        yield "half", source.span(node.args[-1]), str(1 - node.args[-1].value)


WEAKER = {ast.Lt: "<=", ast.LtE: "<", ast.Gt: ">=", ast.GtE: ">", ast.Eq: "!=", ast.NotEq: "=="}


def _of_compare(source, node):
    """Take the neighbouring comparison."""
    for kind, instead in WEAKER.items():
        if isinstance(node.ops[0], kind):
            left, right = source.of(node.left), source.of(node.comparators[0])
            operator = "bound" if kind in (ast.Lt, ast.LtE, ast.Gt, ast.GtE) else "weaken"
            yield operator, source.span(node), f"({left}) {instead} ({right})"


def _of_operation(source, node):
    """Leave out one side of a combination of bits; take the other dword; forget an offset."""
    left, right = f"({source.of(node.left)})", f"({source.of(node.right)})"
    if isinstance(node.op, ast.BitAnd | ast.BitXor):
        yield "mask", source.span(node), left
        if _is_constant(node.left):
            yield "mask", source.span(node), right
    elif isinstance(node.op, ast.BitOr):
        yield "mask", source.span(node), left
        yield "mask", source.span(node), right
    elif isinstance(node.op, ast.LShift | ast.RShift):
        yield "order", source.span(node), left
    elif isinstance(node.op, ast.Mult) and source.of(node.left) == "2":
        yield "half", source.span(node), f"({source.of(node)} + 1)"
    elif isinstance(node.op, ast.Add | ast.Sub | ast.Mod | ast.FloorDiv):
        if source.of(node.right) in ZEROS:
            return
        yield "slot", source.span(node), left


def _is_constant(node):
    return isinstance(node, ast.Name) and node.id.isupper()
