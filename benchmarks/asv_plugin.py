"""What asv does differently here; `asv.conf.json` names this file, and asv calls `setup`.

1. This machine is described as it is found, at every run: nobody has to register it first, and
   `~/.asv-machine.json`, which all projects of a user share, is neither read nor written.
   `--machine NAME` gives it another name.
2. Tables show what ran: parameters that were not selected have no row, and one value is one line.
   `asv continuous` shows what failed and its own table, no line for each benchmark and commit.
3. What `asv publish` writes needs no network: its scripts come from `benchmarks/vendor`.

asv's internals are replaced, so its version is pinned; `tests/test_asv.py` runs all of it.
"""

import itertools
import logging
import re
import shutil
from pathlib import Path

VENDOR = Path(__file__).with_name("vendor")

_publishers = []
"""asv knows its publishers by weak references."""


def setup():
    """Replace what asv has; called by asv, and only there is it imported."""
    from asv import machine, publishing, results, runner
    from asv.commands import continuous, run, show

    machine.MachineCollection.load = staticmethod(
        lambda name, _path=None: machine.Machine.get_defaults() | {"machine": name}
    )
    machine.MachineCollection.save = staticmethod(lambda *_args, **_options: None)

    whole_table, whole_result = results._format_benchmark_result, results.format_benchmark_result
    results._format_benchmark_result = lambda *arguments: table_of_what_ran(whole_table, *arguments)
    runner.format_benchmark_result = show.format_benchmark_result = lambda *arguments: (
        one_line_if_one(*whole_result(*arguments))
    )

    compare, run_benchmarks = continuous.Continuous.run, run.run_benchmarks

    def compare_with_few_words(*arguments, **options):
        runner.log_benchmark_result = lambda *_arguments, **_options: None
        run.run_benchmarks = lambda *of, **more: quietly(run_benchmarks, *of, **more)
        return compare(*arguments, **options)

    continuous.Continuous.run = compare_with_few_words

    class Offline(publishing.OutputPublisher):
        """Runs after the other writers of pages, which asv finds as subclasses."""

        order = 99
        name, button_label, description = "offline", None, None

        @staticmethod
        def publish(conf, *_args):
            vendor_scripts(Path(conf.html_dir))

    _publishers.append(Offline)


def what_ran(result, params):
    """Return the parameters for which something ran, a list for each of `params`; None if nothing.

    Parameters
    ----------
    result : list of (value, error)
        In the order of the product of the parameters; NaN did not run, None failed.
    params : list of list of str
    """
    cells = zip(itertools.product(*params), result, strict=True)
    ran = [cell for cell, (value, _) in cells if value is None or value == value]
    columns = zip(params, zip(*ran, strict=True), strict=True)
    return [[one for one in values if one in column] for values, column in columns] if ran else None


def table_of_what_ran(whole_table, result, benchmark):
    """Return the lines of a table without what did not run.

    A parameter with a single value is not in the table: a line above names the value.
    """
    from asv.results import _format_param_value
    from asv.util import human_value

    kept = what_ran(result, benchmark["params"])
    if kept is None:
        return ["n/a"]
    selected = set(itertools.product(*kept))
    cells = zip(itertools.product(*benchmark["params"]), result, strict=True)
    left = [value for cell, value in cells if cell in selected]
    said = ", ".join(_format_param_value(values[0]) for values in kept if len(values) == 1)
    if len(left) == 1:
        value, error = left[0]
        return [f"{human_value(value, benchmark['unit'], err=error)} ({said})"]
    is_open = [len(values) > 1 for values in kept]
    names = itertools.compress(benchmark["param_names"], is_open)
    params = itertools.compress(kept, is_open)
    table = whole_table(left, benchmark | {"param_names": [*names], "params": [*params]})
    return [f"{said}:", *table] if said else table


def one_line_if_one(info, details):
    """Show a single value beside the benchmark's name, in place of "ok"."""
    is_one = info == "ok" and details and "\n" not in details
    return (details, None) if is_one else (info, details)


def quietly(run_benchmarks, *arguments, results, **options):
    """Run benchmarks without a line for each; say which failed."""
    from asv.console import log

    with log.set_level(logging.WARNING):
        done = run_benchmarks(*arguments, results=results, **options)
    for name in (name for name, code in results.errcode.items() if code):
        log.error(f"{name} failed\n{results.stderr.get(name, '')}")
    return done


def vendor_scripts(html):
    """Let a published page have its scripts from beside it and not from content networks."""
    files = {path.name: path for path in VENDOR.iterdir()}

    def local(match):
        name = match[2] if match[2] in files else match[2].replace(".min.", ".")
        shutil.copy(files[name], html / name)
        return f'{match[1]}="{name}"'

    page = html / "index.html"
    text = re.sub(r'(src|href)="https://[^"]*/([^"/]+\.(?:js|css))"', local, page.read_text())
    page.write_text(re.sub(r' (?:integrity|crossorigin|referrerpolicy)="[^"]*"', "", text))
