"""KVM's dirty bitmap as it always was: one call fetches, clears and protects."""

from strategies.lanes.kvm import KvmLane


class KvmBitmap(KvmLane):
    """KVM_GET_DIRTY_LOG: faults mark a bitmap; the harvest walks its words and protects again."""

    name = "kvm_bitmap"
