"""What a synthetic trace is made from, and the defaults; no library is needed to know them."""

from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Recipe:
    """What a synthetic trace is made from: the same recipe makes the same trace.

    Attributes
    ----------
    pattern : str
        A key of `synthetic.PATTERNS`.
    slot_pages : int
        Pages of the slot.
    density : float
        Distinct pages written per epoch / `slot_pages`, 0 to 1, rounded to whole pages
        but to at least one page above 0.
    epochs : int
        Number of epochs.
    seed : int
        Seed of the written pages and, independently, of `stores` and `reads`: the same
        pages are written whatever those two are.
    stores : int, optional
        Stores in every epoch that writes: one to each written page, the others
        distributed over them at random.  None means one to each.
    reads : int
        Distinct pages only read per epoch, drawn uniformly from those not written in it.
    epoch_ms : float
        Milliseconds of an epoch.
    page_size : int
        Bytes of a page.
    """

    pattern: str
    slot_pages: int = 1 << 16
    density: float = 0.01
    epochs: int = 100
    seed: int = 0
    stores: int | None = None
    reads: int = 0
    epoch_ms: float = 10.0
    page_size: int = 4096

    @property
    def meta(self) -> dict:
        """Meta of the trace, from which it could be made again."""
        return asdict(self) | {"name": self.pattern, "recorder": "synthetic"}
