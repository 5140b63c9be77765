"""The small pieces of which the tests are made: each an instruction or a few.

There are no branches and no loops, which a memory model pays dearly for. What a lock keeps apart is
written as two tests: one has the handler first, the other the harvest. Who comes first says so
(`UNLOCK`), and of the outcomes those count where the other has heard it (`LOCK`).
"""

from strategies.litmus.text import steps

BARRIER = "DSB ISH"
INVALIDATE = ("LSR {vpn},{page},#12", "TLBI VAAE1IS,{vpn}")
INVALIDATE_OTHER = ("LSR {vpn},{other},#12", "TLBI VAAE1IS,{vpn}")
INVALIDATE_ALL = "TLBI VMALLE1IS"
FLUSH = steps(BARRIER, INVALIDATE, BARRIER)
"""What ends an invalidation as the architecture has it: DSB, TLBI, DSB."""

STORE = "STR {one},[{page}]"
COPY = "LDR {copy},[{view}]"
SAY = "STLR {one},[{flag}]"
HEAR = "LDAR {seen},[{flag}]"

LOCK = "LDAR {got},[{lock}]"
UNLOCK = "STLR {one},[{lock}]"

PROTECT = "STR {readonly},[{pte}]"
OPEN = "STR {writable},[{pte}]"
MARK = "LDSETAL {one},{any},[{mark}]"
TAKE = "SWPAL WZR,{took},[{mark}]"

AGAIN = ("ISB", STORE)
"""The handler returns, and the store is tried again."""
