/*
 * The simulated machine's core (strategies/core) in C, as far as a harvest needs it. Atomics, memory
 * orders, event counts and the order of every step are those of the Python; see there for reasons.
 *
 * The constants (HPTE_V_VALID, SLOT_BASE_GFN, ...) come from the Python sources by -D.
 */
#ifndef MACHINE_H
#define MACHINE_H

#define _GNU_SOURCE
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

typedef uint64_t u64;
typedef int64_t i64;

#define NONE (~0ULL)
#define INLINE static inline __attribute__((always_inline))

struct machine { /* in the order of Machine */
	u64 *hpt, *rev, *rmap, *stamps, *bitmap, *slots, *vcpus, *tlb, *gpr, *events, *pte_locks,
		*rings, *pml, *heat, *written,
		*aside;
	u64 nvcpus, page_shift, group_mask, scatter_bits, seed, delayed_c;
};

typedef const struct machine *vm_t;

/* atomics, clock, events */

INLINE u64 load(const u64 *p) { return __atomic_load_n(p, __ATOMIC_ACQUIRE); }
INLINE void store(u64 *p, u64 value) { __atomic_store_n(p, value, __ATOMIC_RELEASE); }
INLINE u64 exchange(u64 *p, u64 value) { return __atomic_exchange_n(p, value, __ATOMIC_SEQ_CST); }
INLINE u64 fetch_add(u64 *p, u64 value) { return __atomic_fetch_add(p, value, __ATOMIC_SEQ_CST); }

INLINE bool compare_and_swap(u64 *p, u64 old, u64 new)
{
	return __atomic_compare_exchange_n(p, &old, new, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

INLINE void relax(u64 *spins)
{
#if defined(__x86_64__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield");
#endif
	if (++*spins % SPINS_BEFORE_YIELD == 0)
		sched_yield();
}

INLINE i64 monotonic_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

INLINE void count(vm_t m, unsigned event, u64 times)
{
	m->events[m->nvcpus * ROW + event] += times;
}

/* hpte, hpt */

INLINE unsigned hpte_page_shift(u64 v, u64 r)
{
	if (!(v & HPTE_V_LARGE))
		return SHIFT_4K;
	if ((r & LP_64K_MASK) == LP_64K)
		return SHIFT_64K;
	return (r & LP_16M_MASK) == 0 ? SHIFT_16M : 0;
}

INLINE bool hpte_is_writable(u64 r)
{
	u64 permission = r & HPTE_R_PERMISSION;
	return permission != PP_RXRX && permission != PP_RXXX;
}

INLINE u64 hpte_make_readonly(u64 r)
{
	if (r & HPTE_R_PP0 || (r & HPTE_R_PP) == PP_RWXX)
		return (r & ~HPTE_R_PERMISSION) | PP_RXXX;
	return r | PP_RXRX;
}

INLINE u64 pages_of(vm_t m, unsigned shift)
{
	return shift > m->page_shift ? 1ULL << (shift - m->page_shift) : 1;
}

INLINE u64 va_of_hpte(u64 v, unsigned shift, u64 index)
{
	u64 high = ((v & HPTE_V_AVPN) >> HPTE_V_AVPN_SHIFT) << AVPN_VA_SHIFT;
	u64 hash = v & HPTE_V_SECONDARY ? ~(index >> GROUP_SHIFT) : index >> GROUP_SHIFT;
	u64 vsid = high >> SEGMENT_SHIFT;
	u64 low = (hash ^ vsid ^ (vsid << 25)) << shift;
	return high | (low & ((1ULL << AVPN_VA_SHIFT) - 1));
}

/* memslot */

INLINE u64 *slot_word(vm_t m, u64 slot, u64 field) { return m->slots + slot * SLOT_WORDS + field; }

INLINE u64 *bitmap_start(vm_t m, u64 slot, u64 half)
{
	u64 words = load(slot_word(m, slot, SLOT_BITMAP_WORDS));
	return m->bitmap + load(slot_word(m, slot, SLOT_BITMAP)) + half * words;
}

/* locks */

INLINE bool try_lock_hpte(u64 *hpte)
{
	u64 v = load(hpte);
	return !(v & HPTE_V_HVLOCK) && compare_and_swap(hpte, v, v | HPTE_V_HVLOCK);
}

INLINE void unlock_hpte(u64 *hpte, u64 v) { store(hpte, v & ~HPTE_V_HVLOCK); }

INLINE void wait_hpte_unlocked(vm_t m, u64 index)
{
	u64 spins = 0;
	count(m, LOCK_RETRIES, 1);
	while (load(m->hpt + 2 * index) & HPTE_V_HVLOCK)
		relax(&spins);
}

INLINE u64 lock_rmap(u64 *rmap)
{
	for (u64 spins = 0;; relax(&spins)) {
		u64 word = load(rmap);
		if (!(word & RMAP_LOCK) && compare_and_swap(rmap, word, word | RMAP_LOCK))
			return word;
	}
}

/* tlb, hostfault */

INLINE bool wait_until_left(u64 *word)
{
	u64 spins = 0, sequence = fetch_add(word, 0);
	if (!(sequence & 1))
		return false;
	while (load(word) == sequence)
		relax(&spins);
	return true;
}

INLINE void wait_for_accesses(vm_t m)
{
	for (u64 vcpu = 0; vcpu < m->nvcpus; vcpu++)
		wait_until_left(m->vcpus + vcpu * VCPU_WORDS + VCPU_ACCESS);
}

INLINE void wait_for_handlers(vm_t m)
{
	for (u64 cpu = 0; cpu <= m->nvcpus; cpu++)
		if (wait_until_left(m->vcpus + cpu * VCPU_WORDS + VCPU_HANDLER))
			count(m, GRACE_WAITS, 1);
}

INLINE void tlbie(vm_t m, u64 v, u64 r, u64 index)
{
	count(m, TLBIES, 1);
	unsigned shift = hpte_page_shift(v, r);
	u64 page = va_of_hpte(v, shift, index) >> shift;
	u64 tag = page << shift | shift;
	for (u64 vcpu = 0; vcpu < m->nvcpus; vcpu++) {
		u64 entry = (vcpu * TLB_ENTRIES + page % TLB_ENTRIES) * TLB_WORDS;
		compare_and_swap(m->tlb + entry + TLB_TAG, tag, 0);
	}
	wait_for_accesses(m);
}

INLINE void flush_tlbs(vm_t m)
{
	count(m, FLUSHES, 1);
	for (u64 vcpu = 0; vcpu < m->nvcpus; vcpu++)
		fetch_add(m->vcpus + vcpu * VCPU_WORDS + VCPU_TLB_GENERATION, 1);
	wait_for_accesses(m);
}

INLINE u64 invalidate_hpte(vm_t m, u64 index, u64 v)
{
	u64 *hpte = m->hpt + 2 * index;
	exchange(hpte, (v & ~HPTE_V_VALID) | HPTE_V_ABSENT | HPTE_V_HVLOCK);
	tlbie(m, v, load(m->rev + 2 * index), index);
	return load(hpte + 1);
}

INLINE u64 ring_next(vm_t m, u64 index) { return load(m->rev + 2 * index + 1) & RMAP_INDEX; }

INLINE u64 max(u64 a, u64 b) { return a > b ? a : b; }

#endif
