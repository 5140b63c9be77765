"""The command `dirtylog sweep`."""

from pathlib import Path

import click

from strategies.options import PAGE_SHIFTS


@click.command()
@click.argument("spec", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option("--traces", multiple=True, help="Pattern of recordings on any storage.  Repeatable.")
@click.option("--strategy", multiple=True, help="Only this one.  Repeatable, as all axes are.")
@click.option("--page-size", multiple=True, type=click.Choice(list(PAGE_SHIFTS)))
@click.option("--interval", multiple=True, help="Time between harvests, or 'recorded'.")
@click.option("--vcpus", multiple=True, type=int)
@click.option("--mapping", multiple=True, type=click.Choice(["linear", "scattered"]))
@click.option("--profile", multiple=True, help="Price by this one.  [default: all bundled ones]")
@click.option("--out", required=True, help="Folder or URL of the dataset; what is there is kept.")
@click.option("--scheduler", help="Address of a Dask scheduler.  [default: an embedded cluster]")
@click.option("--jobs", type=click.IntRange(1, 256), help="Processes.  [default: one a core]")
@click.option("--measure", is_flag=True, help="Keep measured times, one cell at a time, here.")
@click.option("--plan", is_flag=True, help="Only say what it would take.")
def sweep(spec, traces, profile, out, scheduler, jobs, measure, plan, **axes):
    """Count what every strategy does with every recording, and price it.

    SPEC is a TOML file of axes and synthetic workloads. What the dataset has already is not
    counted again: the same command goes on where it was interrupted.
    """
    from analysis.fleet.extra import need_extra

    need_extra()
    from analysis.fleet.spec import merge, read_spec
    from analysis.fleet.sweep import Options, cores, run_sweep
    from analysis.model.profile import bundled, load_profile

    if measure and (scheduler or (jobs or 1) > 1):
        raise click.UsageError("--measure times one cell at a time: no --scheduler, --jobs 1")
    asked = merge(read_spec(spec) if spec else None, traces, axes)
    profiles = tuple(load_profile(name) for name in dict.fromkeys(profile or bundled()))
    jobs = 1 if measure else jobs or cores()
    return run_sweep(asked, out, Options(scheduler, jobs, profiles, measure, plan))
