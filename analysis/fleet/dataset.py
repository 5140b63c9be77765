"""The dataset of a sweep: Parquet files that pandas, DuckDB and this project read as they are.

    DIR/part-*.parquet       one tidy row a cell, priced; derived from what lies below
    DIR/_counts/?/*.parquet  exact counts of cells, by key; written as they come, one row a cell
    DIR/_recordings.json     name, place and digest of each recording that was looked at
    DIR/_manifest.json       schema, versions, digest of the prices

Readers of Parquet pass over names that begin with `_`. Every file is written completely or not at
all. `part-` and `_counts/` are cut into 16 by the first digit of the trace's digest, so that a
recording's rows lie together and what is new touches few files.
"""

import hashlib
import io
import json
import posixpath
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from analysis.fleet.cells import PER_EPOCH, counting_digest
from analysis.fleet.recordings import Recording, Source
from strategies.errors import InputError
from strategies.files import replaced

SCHEMA = 1
DIGITS = "0123456789abcdef"
IDENTITY = {
    "key": pa.string(),
    "digest": pa.string(),
    "strategy": pa.string(),
    "page_size": pa.int64(),
    "mapping": pa.string(),
    "vcpus": pa.int64(),
    "interval_ms": pa.float64(),
    "seed": pa.int64(),
}
EXACT = {
    "epoch_ms": pa.float64(),
    "slot_pages": pa.int64(),
    "epochs": pa.int64(),
    "stored": pa.int64(),
    "reported": pa.int64(),
    "lost": pa.int64(),
    "spurious": pa.int64(),
    "state_bytes": pa.int64(),
}
RUN = {
    "seconds": pa.float64(),
    "sources": pa.string(),
    "reason": pa.string(),
    "machine": pa.string(),
    "measured/harvest_ns_p50": pa.float64(),
    "measured/harvest_ns_p99": pa.float64(),
    "measured/harvest_ns_max": pa.float64(),
}
ORDER = ["trace", "page_size", "mapping", "vcpus", "interval_ms", "seed", "strategy"]
"""How rows are sorted: no two have all of these in common."""


def counts_schema():
    """Return the schema of `_counts`: identity, exact counts, events, counts by epoch, the run."""
    from strategies.replay.run import EVENTS

    events = {f"event/{name}": pa.int64() for name in EVENTS}
    epochs = ("times", "stored", "reported", *PER_EPOCH)
    lists = {f"epoch/{name}": pa.list_(pa.int64()) for name in epochs}
    return pa.schema(list((IDENTITY | EXACT | events | lists | RUN).items()))


class Dataset:
    """A folder or a prefix of a bucket, and what a sweep keeps there.

    Parameters
    ----------
    place : str
        A path, or an fsspec URL such as s3://bucket/prefix.

    Raises
    ------
    InputError
        It holds something else, or a dataset of another version.
    """

    def __init__(self, place):
        import fsspec

        self.place = place
        if not place:
            raise InputError("the dataset's place is empty; accepted: a folder, new or a sweep's")
        try:
            self.files, self.root = fsspec.core.url_to_fs(place)
            self.manifest = self._read_json("_manifest.json")
            is_there = self.files.isfile(self.root) or bool(self.list(""))
        except Exception as error:  # of any storage's own kind
            raise InputError(f"cannot open the dataset {place!r}: {error}") from error
        if not isinstance(self.manifest, dict | None) or (self.manifest is None and is_there):
            raise InputError(f"{place!r} holds no dataset; accepted: a new folder, or a sweep's")
        if self.manifest is not None and self.manifest.get("schema") != SCHEMA:
            raise InputError(
                f"the dataset {place!r} has schema {self.manifest.get('schema')!r}; accepted: "
                f"{SCHEMA}, that of dirtylog {version('dirtylog')}"
            )

    def recordings(self):
        """Return what was looked at before, by name."""
        try:
            found = self._read_json("_recordings.json") or []
            rows = [Recording(Source(*one[0]), *one[1:]) for one in found]
        except (ValueError, TypeError, KeyError, IndexError) as error:
            raise InputError(f"_recordings.json of {self.place!r} is damaged ({error})") from error
        return {row.source.name: row for row in rows}

    def keep_recordings(self, recordings):
        """Write what was looked at: a dict by name."""
        self._write_json("_recordings.json", list(recordings.values()))

    def keep_manifest(self, prices, command):
        """Write the manifest: what made the rows, and the digest of their prices."""
        self.manifest = {
            "schema": SCHEMA,
            "dirtylog": version("dirtylog"),
            "sources": counting_digest(),
            "prices": prices,
            "command": command,
        }
        self._write_json("_manifest.json", self.manifest)

    def counted(self, columns=("key", "machine", "reason", "epochs")):
        """Return some columns of all counts as a frame."""
        paths = [path for digit in DIGITS for path in self.list(f"_counts/{digit}")]
        tables = [self.table(path, list(columns)) for path in paths]
        if not tables:
            return pd.DataFrame(columns=list(columns))
        return pa.concat_tables(tables).to_pandas()

    def add(self, rows):
        """Keep rows of counts, as `cells.count_all` returns them."""
        for digit in DIGITS:
            mine = [row for row in rows if row["digest"][0] == digit]
            if mine:
                table = pa.Table.from_pylist(mine, counts_schema())
                self._write_table(
                    f"_counts/{digit}/{_name_of([row['key'] for row in mine])}.parquet", table
                )

    def counts_of(self, digit):
        """Return the counts of a digit as a table, one row a cell.

        Files are put together on the way, so that many short sweeps do not leave many files.
        """
        folder = f"_counts/{digit}"
        paths = self.list(folder)
        if not paths:
            return None
        table = pa.concat_tables([self.table(path) for path in paths], promote_options="default")
        if len(paths) == 1:
            return table
        table = _best(table)
        whole = f"{folder}/{_name_of(table['key'].to_pylist())}.parquet"
        self._write_table(whole, table)
        for path in paths:
            if path != posixpath.join(self.root, whole):
                self.files.rm_file(path)
        return table

    def write_rows(self, digit, table):
        """Write the tidy rows of a digit."""
        self._write_table(f"part-{digit}.parquet", table)

    def list(self, folder):
        """Return the paths of what is in a folder, sorted; none if there is no such."""
        path = posixpath.join(self.root, folder).rstrip("/")
        if not self.files.exists(path):
            return []
        entries = self.files.ls(path, detail=True, refresh=True)
        names = (entry["name"] for entry in entries if entry["name"].rstrip("/") != path)
        return sorted(name for name in names if not posixpath.basename(name).startswith("."))

    def table(self, path, columns=None):
        """Return columns of a file as a table, all by default; KeyError if it lacks one."""
        with self.files.open(path, "rb") as file:
            try:
                whole = pq.ParquetFile(pa.PythonFile(file))
                missing = set(columns or ()) - set(whole.schema_arrow.names)
                if missing:
                    raise KeyError(min(missing))
                return whole.read(columns)
            except (pa.ArrowInvalid, OSError) as error:
                raise InputError(f"{path!r} is damaged ({error})") from error

    def _write_table(self, name, table):
        sink = io.BytesIO()
        pq.write_table(table, sink, compression="zstd")
        self._write(name, sink.getvalue())

    def _read_json(self, name):
        path = posixpath.join(self.root, name)
        return json.loads(self.files.cat_file(path)) if self.files.exists(path) else None

    def _write_json(self, name, document):
        self._write(name, json.dumps(document, indent=1).encode())

    def _write(self, name, data):
        """Write a file completely or not at all."""
        path = posixpath.join(self.root, name)
        with _said(self.place):
            if "file" not in self.files.protocol:  # an object appears when all of it is there
                self.files.pipe_file(path, data)
                return
            local = Path(path)
            local.parent.mkdir(parents=True, exist_ok=True)
            with replaced(local) as temporary:
                temporary.write_bytes(data)


@contextmanager
def _said(place):
    """Turn what goes wrong while writing into one line."""
    try:
        yield
    except OSError as error:
        raise InputError(
            f"cannot write to {place!r} ({error.strerror or error}); what was finished is kept: "
            "the same command goes on there"
        ) from error


def _name_of(keys):
    """Return a name for a file of cells, the same for the same ones."""
    return hashlib.blake2b("".join(sorted(keys)).encode(), digest_size=8).hexdigest()


def _best(table):
    """Return one row for each key: one that did not fail, with measured times if there are any."""
    frame = table.select(["key", "epochs", "machine"]).to_pandas()
    frame["failed"] = frame["epochs"].isna()
    frame["unmeasured"] = frame["machine"].isna()
    best = frame.sort_values(["failed", "unmeasured"], kind="stable").drop_duplicates("key")
    return table.take(sorted(best.index))


def read(place, columns=None, *, in_order=True):
    """Return the rows of a dataset as a frame.

    Parameters
    ----------
    place : str
        A path, or an fsspec URL.
    columns : sequence of str, optional
        Only these.
    in_order : bool
        Sort them by ORDER.

    Raises
    ------
    InputError
        No dataset, or one without rows.
    KeyError
        A column that it has not.
    """
    dataset = Dataset(str(place))
    if dataset.manifest is None:
        raise InputError(f"{place!r} holds no dataset; accepted: the --out of dirtylog sweep")
    paths = [path for path in dataset.list("") if path.endswith(".parquet")]
    if not paths:
        raise InputError(f"{place!r} has no rows yet; dirtylog sweep goes on there")
    tables = [dataset.table(path, columns) for path in paths]
    frame = pa.concat_tables(tables, promote_options="default").to_pandas()
    return frame.sort_values(ORDER, ignore_index=True) if in_order else frame


def to_xarray(frame, values):
    """Return columns of a frame as an `xarray.Dataset` whose dimensions are the axes.

    Parameters
    ----------
    frame : DataFrame
        From `read`; each combination of axes at most once.
    values : sequence of str
        Columns.
    """
    return frame.set_index(ORDER)[list(values)].to_xarray()
