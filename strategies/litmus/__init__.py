"""The order of each tracker's steps as AArch64 litmus tests, judged by Arm's own memory model.

The explorer sees what x86 does to loads and stores. These tests ask the same of arm64, whose stage
of translation, TLB invalidation and hardware dirty bit herd7 knows (`Variant=vmsa`, `TTHM=HD`).
"""
