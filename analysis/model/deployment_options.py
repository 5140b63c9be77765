"""The options that describe a deployment, for all commands that take one."""

import click

from strategies.units import DENSITY, DURATION, FRACTION, RATE, SIZE

DEPLOYMENT = (
    click.option("--slot", type=SIZE, help="Memory of the slot; a trace is scaled to it."),
    click.option(
        "--page-size",
        type=SIZE,
        help="4KiB, 64KiB, 2MiB or 16MiB, as the platform has them.  [default: its usual one]",
    ),
    click.option(
        "--density",
        type=DENSITY,
        help="Pages written per interval / pages of the slot; or by the second, as 0.5%/s.",
    ),
    click.option("--dirty-rate", type=RATE, help="Instead of --density, as 264MiB/s."),
    click.option(
        "--interval",
        type=DURATION,
        help="Time between two harvests, as 100ms or 60Hz; of a trace the nearest multiple.",
    ),
    click.option("--trace", help="Take slot, density and interval from a recording instead."),
    click.option("--vcpus", type=click.IntRange(1, 4096), default=1, show_default=True),
    click.option(
        "--reads",
        type=FRACTION,
        default="0",
        show_default=True,
        help="Pages only read per interval / pages of the slot.",
    ),
    click.option(
        "--mapping",
        type=click.Choice(["linear", "scattered"]),
        default="linear",
        show_default=True,
        help="How the guest's addresses map to its memory (hashed page tables).",
    ),
    click.option(
        "--resend",
        type=DURATION,
        help="What sending a page costs: the price of one reported in excess.  [default: none]",
    ),
)


def deployment_options(command):
    """Add the options that describe a deployment to a command."""
    for option in reversed(DEPLOYMENT):
        command = option(command)
    return command
