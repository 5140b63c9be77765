/*
 * The harvest kernels of the trackers c_bit_scan, write_protect and double_buffer once more, in C
 * and over the same tables: the yardstick for the compiled Python. Atomics, memory orders, event
 * counts and the order of every step are those of the trackers; see there for the reasons.
 *
 * The constants (HPTE_V_VALID, SLOT_BASE_GFN, ...) come from the Python sources by -D.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

typedef uint64_t u64;
typedef int64_t i64;

#define NONE (~0ULL)
#define INLINE static inline __attribute__((always_inline))

struct machine { /* in the order of Machine */
	u64 *hpt, *rev, *rmap, *stamps, *bitmap, *slots, *vcpus, *tlb, *gpr, *events, *pte_locks;
	u64 nvcpus, page_shift, group_mask, scatter_bits, seed;
};

typedef const struct machine *vm_t;

const u64 machine_bytes = sizeof(struct machine);

enum action { READONLY_TLBIE, READONLY };

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
	return (r & LP_MASK) == 0 ? SHIFT_16M : 0;
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

/* c_bit_scan */

INLINE u64 clear_c(vm_t m, u64 index)
{
	u64 *hpte = m->hpt + 2 * index;
	u64 v = load(hpte), npages = 0;
	if (v & HPTE_V_VALID && load(hpte + 1) & HPTE_R_C) {
		store(hpte + 1, invalidate_hpte(m, index, v) & ~HPTE_R_C);
		u64 guest_r = load(m->rev + 2 * index);
		store(m->rev + 2 * index, guest_r | HPTE_R_C);
		npages = pages_of(m, hpte_page_shift(v, guest_r));
	}
	unlock_hpte(hpte, v);
	return npages;
}

INLINE u64 scan_ring(vm_t m, u64 word, u64 *npages)
{
	if (!(word & RMAP_PRESENT))
		return NONE;
	u64 head = word & RMAP_INDEX, index = head;
	do {
		count(m, RMAP_STEPS, 1);
		if (load(m->hpt + 2 * index + 1) & HPTE_R_C) {
			if (!try_lock_hpte(m->hpt + 2 * index))
				return index;
			*npages = max(*npages, clear_c(m, index));
		}
		index = ring_next(m, index);
	} while (index != head);
	return NONE;
}

INLINE u64 test_clear_dirty(vm_t m, u64 gfn)
{
	u64 npages = 0, busy;
	for (;;) {
		u64 word = lock_rmap(m->rmap + gfn);
		if (word & RMAP_CHANGED) {
			u64 order = (word & RMAP_CHANGED_ORDER) >> RMAP_CHANGED_SHIFT;
			npages = max(npages, 1ULL << order);
			word &= ~(RMAP_CHANGED | RMAP_CHANGED_ORDER);
		}
		busy = scan_ring(m, word, &npages);
		store(m->rmap + gfn, word);
		if (busy == NONE)
			return npages;
		wait_hpte_unlocked(m, busy);
	}
}

i64 c_bit_scan(struct machine m, u64 slot, u64 *out, u64 words)
{
	i64 start = monotonic_ns();
	memset(out, 0, words * sizeof(*out));
	u64 base = load(slot_word(&m, slot, SLOT_BASE_GFN));
	u64 npages = load(slot_word(&m, slot, SLOT_NPAGES));
	for (u64 first = 0; first < npages; first++) {
		u64 end = first + test_clear_dirty(&m, base + first);
		for (u64 page = first; page < end; page++)
			out[page / PAGES_PER_WORD] |= 1ULL << page % PAGES_PER_WORD;
	}
	return monotonic_ns() - start;
}

/* protect */

INLINE void set_permission(u64 *r_word, u64 permission)
{
	u64 r;
	do
		r = load(r_word);
	while (!compare_and_swap(r_word, r, (r & ~HPTE_R_PERMISSION) | permission));
}

INLINE void apply(vm_t m, u64 index, enum action action)
{
	u64 *hpte = m->hpt + 2 * index;
	u64 v = load(hpte), r = load(hpte + 1);
	if (v & HPTE_V_VALID && hpte_is_writable(r)) {
		if (action == READONLY_TLBIE)
			store(hpte + 1, hpte_make_readonly(invalidate_hpte(m, index, v)));
		else
			set_permission(hpte + 1, hpte_make_readonly(r) & HPTE_R_PERMISSION);
	}
	unlock_hpte(hpte, v);
}

INLINE u64 change_ring(vm_t m, u64 word, enum action action)
{
	if (!(word & RMAP_PRESENT))
		return NONE;
	u64 head = word & RMAP_INDEX, index = head;
	do {
		count(m, RMAP_STEPS, 1);
		if (!try_lock_hpte(m->hpt + 2 * index))
			return index;
		apply(m, index, action);
		index = ring_next(m, index);
	} while (index != head);
	return NONE;
}

INLINE void change_page(vm_t m, u64 gfn, enum action action)
{
	for (;;) {
		u64 word = lock_rmap(m->rmap + gfn);
		u64 busy = change_ring(m, word, action);
		store(m->rmap + gfn, word);
		if (busy == NONE)
			return;
		wait_hpte_unlocked(m, busy);
	}
}

INLINE void change_dirty_pages(vm_t m, u64 slot, u64 number, u64 mask, enum action action)
{
	u64 first = load(slot_word(m, slot, SLOT_BASE_GFN)) + number * PAGES_PER_WORD;
	if (load(slot_word(m, slot, SLOT_LARGE)))
		change_page(m, first & ~(pages_of(m, SHIFT_16M) - 1), action);
	for (; mask; mask &= mask - 1)
		change_page(m, first + __builtin_ctzll(mask), action);
}

/* write_protect */

i64 write_protect(struct machine m, u64 slot, u64 *out, u64 words)
{
	i64 start = monotonic_ns();
	u64 *bitmap = bitmap_start(&m, slot, 0);
	for (u64 word = 0; word < words; word++) {
		u64 mask = load(bitmap + word);
		if (mask) {
			mask = exchange(bitmap + word, 0);
			change_dirty_pages(&m, slot, word, mask, READONLY_TLBIE);
		}
		out[word] = mask;
	}
	count(&m, BITMAP_WORDS_READ, words);
	return monotonic_ns() - start;
}

/* double_buffer */

INLINE void hand_over(vm_t m, u64 slot, u64 half, u64 *out, u64 words)
{
	u64 *bitmap = bitmap_start(m, slot, half);
	for (u64 word = 0; word < words; word++) {
		u64 mask = load(bitmap + word);
		if (mask) {
			store(bitmap + word, 0);
			change_dirty_pages(m, slot, word, mask, READONLY);
		}
		out[word] = mask;
	}
	count(m, BITMAP_WORDS_READ, words);
	store(slot_word(m, slot, SLOT_DIRTY + half), 0);
}

i64 double_buffer(struct machine m, u64 slot, u64 *out, u64 words)
{
	i64 start = monotonic_ns();
	u64 half = load(slot_word(&m, slot, SLOT_ACTIVE));
	if (load(slot_word(&m, slot, SLOT_DIRTY + half)) == 0) {
		memset(out, 0, words * sizeof(*out));
		return monotonic_ns() - start;
	}
	exchange(slot_word(&m, slot, SLOT_ACTIVE), 1 - half);
	wait_for_handlers(&m);
	hand_over(&m, slot, half, out, words);
	flush_tlbs(&m);
	return monotonic_ns() - start;
}
