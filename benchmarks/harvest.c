/*
 * The harvest kernels of the trackers c_bit_scan, c_bit_scan_pipelined, write_protect and
 * double_buffer once more, in C and over the same tables: the yardstick for the compiled Python.
 */
#include "machine.h"

#include <string.h>

const u64 machine_bytes = sizeof(struct machine);

enum action { READONLY_TLBIE, READONLY };

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
	u64 cleared = 0;
	for (u64 first = 0; first < npages; first++) {
		u64 end = first + test_clear_dirty(&m, base + first);
		cleared += end > first;
		for (u64 page = first; page < end; page++)
			out[page / PAGES_PER_WORD] |= 1ULL << page % PAGES_PER_WORD;
	}
	count(&m, PAGES_SCANNED, npages);
	count(&m, PAGES_CLEARED, cleared);
	return monotonic_ns() - start;
}

/* c_bit_scan_pipelined */

INLINE void fetch(vm_t m, u64 gfn)
{
	u64 word = load(m->rmap + gfn), index = word & RMAP_INDEX;
	if (word & RMAP_PRESENT) {
		__builtin_prefetch(m->hpt + 2 * index, 1);
		__builtin_prefetch(m->rev + 2 * index, 1);
	}
}

INLINE bool is_clean(vm_t m, u64 gfn)
{
	u64 word = load(m->rmap + gfn), index = word & RMAP_INDEX;
	if (word & (RMAP_LOCK | RMAP_CHANGED))
		return false;
	if (!(word & RMAP_PRESENT))
		return true;
	if (load(m->hpt + 2 * index + 1) & HPTE_R_C || ring_next(m, index) != index)
		return false;
	return load(m->rmap + gfn) == word;
}

INLINE u64 pass_clean(vm_t m, u64 base, u64 page, u64 npages)
{
	for (; page < npages; page++) {
		u64 ahead = page + AHEAD;
		fetch(m, base + (ahead < npages ? ahead : npages - 1));
		if (!is_clean(m, base + page))
			break;
	}
	return page;
}

i64 c_bit_scan_pipelined(struct machine m, u64 slot, u64 *out, u64 words)
{
	i64 start = monotonic_ns();
	memset(out, 0, words * sizeof(*out));
	u64 base = load(slot_word(&m, slot, SLOT_BASE_GFN));
	u64 npages = load(slot_word(&m, slot, SLOT_NPAGES));
	u64 scanned = 0, cleared = 0;
	u64 first = pass_clean(&m, base, 0, npages);
	while (first < npages) {
		u64 end = first + test_clear_dirty(&m, base + first);
		cleared += end > first;
		for (u64 page = first; page < end; page++)
			out[page / PAGES_PER_WORD] |= 1ULL << page % PAGES_PER_WORD;
		scanned++;
		first = pass_clean(&m, base, first + 1, npages);
	}
	count(&m, PAGES_PASSED, npages - scanned);
	count(&m, PAGES_SCANNED, scanned);
	count(&m, PAGES_CLEARED, cleared);
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
	count(m, PAGES_REARMED, __builtin_popcountll(mask));
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
	memset(out, 0, words * sizeof(*out));
	u64 *bitmap = bitmap_start(&m, slot, 0);
	for (u64 word = 0; word < words; word++) {
		if (load(bitmap + word)) {
			count(&m, WORDS_TAKEN, 1);
			u64 mask = exchange(bitmap + word, 0);
			change_dirty_pages(&m, slot, word, mask, READONLY_TLBIE);
			out[word] = mask;
		}
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
			count(m, WORDS_TAKEN, 1);
			store(bitmap + word, 0);
			change_dirty_pages(m, slot, word, mask, READONLY);
			out[word] = mask;
		}
	}
	count(m, BITMAP_WORDS_READ, words);
	store(slot_word(m, slot, SLOT_DIRTY + half), 0);
}

i64 double_buffer(struct machine m, u64 slot, u64 *out, u64 words)
{
	i64 start = monotonic_ns();
	memset(out, 0, words * sizeof(*out));
	u64 half = load(slot_word(&m, slot, SLOT_ACTIVE));
	if (load(slot_word(&m, slot, SLOT_DIRTY + half))) {
		exchange(slot_word(&m, slot, SLOT_ACTIVE), 1 - half);
		wait_for_handlers(&m);
		count(&m, GRACE_PERIODS, 1);
		hand_over(&m, slot, half, out, words);
		flush_tlbs(&m);
	}
	return monotonic_ns() - start;
}
