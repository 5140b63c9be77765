"""Defects of the explorer's catalogue that no litmus test stands for, by the reason."""

LEFT_OUT = {
    "no question of order: it is wrong with one thread": (
        "changed-overwritten",
        "large-page-one-bit",
        "read-only-taken-for-clean",
        "changed-not-taken",
        "r-cleared-with-c",
        "memset-of-the-log",
        "changed-passed-over",
        "ring-passed-by-its-head",
        "rmap-not-swept",
        "host-store-not-logged",
        "large-page-in-one-word",
        "last-word-forgotten",
        "big-endian-bits",
        "efault-after-clear",
        "ring-without-bitmap",
        "ring-overwritten",
        "pml-entered-with-c",
    ),
    "a wrong return code, a wrong value or a deadlock, not an order": (
        "absent-is-not-found",
        "fault-forgets-c",
        "hpte-lock-awaited-under-rmap-lock",
        "one-count-for-two-bitmaps",
        "group-not-looked-at-by-h-enter",
        "group-marks-before-scan",
    ),
    "a TLB keeps C back, as arm64 may not": (
        "delayed-c-trusted",
        "owed-c-not-fetched",
        "owed-c-without-lock",
        "r-by-load-and-store",
        "pml-owed-c-comes-back",
    ),
    "who must exclude each other do not, whatever the order": (
        "no-slots-lock",
        "ring-reaped-by-two",
        "pml-drained-by-two",
        "group-opened-after-restart",
    ),
    "herd7 has no log of the hardware": (
        "pml-cleared-before-drained",
        "pml-full-after-c",
    ),
    "as group-opened-before-bits": ("group-permission-before-bit",),
}
