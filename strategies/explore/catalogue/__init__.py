"""The catalogue of losses: known defects, each a mutated copy of the functions concerned.

A defect lives here and nowhere in the machine's kernels; `substituted` puts it in place while a
program runs. `dirtylog explore --catalogue` shows them all. The kernel commits, with their months,
are those of Linux; where a date or a fix is not known, the defect says so.
"""

from strategies.explore.catalogue import (
    ahead,
    batches,
    bitmaps,
    buffered,
    buffers,
    groups,
    handlers,
    heat,
    hypercalls,
    logs,
    scan,
    slots,
    summaries,
    tlbs,
    unmapped,
)
from strategies.explore.catalogue.programs import PROGRAMS as PROGRAMS

DEFECTS = (
    *hypercalls.DEFECTS,
    *scan.DEFECTS,
    *batches.DEFECTS,
    *ahead.DEFECTS,
    *handlers.DEFECTS,
    *bitmaps.DEFECTS,
    *buffers.DEFECTS,
    *tlbs.DEFECTS,
    *buffered.DEFECTS,
    *logs.DEFECTS,
    *groups.DEFECTS,
    *summaries.DEFECTS,
    *heat.DEFECTS,
    *slots.DEFECTS,
    *unmapped.DEFECTS,
)
