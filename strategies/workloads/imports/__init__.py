"""Other people's data as traces: one format one file, and a line in the table.

A reader takes the files' paths and the options of `dirtylog import`, and returns a Trace. What it
cannot read is refused with the number of the line.
"""

FORMATS = {
    "gfns": ("pages:read_gfns", "page numbers: an epoch a line, or CSV with epoch,gfn"),
    "addresses": ("pages:read_addresses", "the same with addresses; they are made into a slot"),
    "bitmap": (
        "bitmap:read_bitmaps",
        "dirty bitmaps of KVM, one file an epoch; bit i is page i",
    ),
    "lackey": ("lackey:read_lackey", "valgrind --tool=lackey --trace-mem=yes"),
    "dirty-rate": ("dirty_rate:read_dirty_rate", "QEMU's query-dirty-rate, JSON: made up after it"),
}
"""Name: module below this one, colon, function; and what it is."""
