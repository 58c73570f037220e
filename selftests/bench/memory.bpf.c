// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bytes that the kernel has allocated since these programs were attached. The
 * kernel's own counts are in pages, and it keeps free pages.
 */
#include <linux/bpf.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "memory.bpf.h"

/* The used part of the kernel's struct. */
struct kmem_cache {
	unsigned int size;
} __attribute__((preserve_access_index));

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u64);
	__type(value, struct bench_memory);
	__uint(max_entries, 262144);
} pieces SEC(".maps");

struct bench_memory memory;

/*
 * Objects are counted only while user space enables it, because the test for
 * idle kworkers allocates some. Per-CPU areas are always counted, because work
 * items allocate many. A freed object is recognised unless it was allocated in
 * an earlier turn: such frees are often late.
 */
SEC(".data.watch") struct bench_watch watch;

static void add(__u64 address, __s64 percpu, __s64 slab)
{
	struct bench_memory piece = { .percpu = percpu, .slab = slab, .turn = watch.turn };

	if (!address || bpf_map_update_elem(&pieces, &address, &piece, BPF_ANY))
		return;
	__sync_fetch_and_add(&memory.percpu, percpu);
	__sync_fetch_and_add(&memory.slab, slab);
}

/* Earlier allocations were not counted. */
static void sub(__u64 address)
{
	struct bench_memory *piece = bpf_map_lookup_elem(&pieces, &address);

	if (!piece)
		return;
	if (piece->turn == watch.turn) {
		__sync_fetch_and_add(&memory.percpu, -piece->percpu);
		__sync_fetch_and_add(&memory.slab, -piece->slab);
	}
	bpf_map_delete_elem(&pieces, &address);
}

SEC("raw_tp/percpu_alloc_percpu")
int BPF_PROG(percpu_alloc, unsigned long site, int reserved, int atomic, __u64 size,
	     __u64 align, void *base, int off, void *ptr)
{
	add((__u64)ptr, size, 0);
	return 0;
}

SEC("raw_tp/percpu_free_percpu")
int BPF_PROG(percpu_free, void *base, int off, void *ptr)
{
	sub((__u64)ptr);
	return 0;
}

SEC("raw_tp/kmalloc")
int BPF_PROG(slab_kmalloc, unsigned long site, void *ptr, __u64 wanted, __u64 size)
{
	if (watch.objects)
		add((__u64)ptr, 0, size);
	return 0;
}

SEC("raw_tp/kfree")
int BPF_PROG(slab_kfree, unsigned long site, void *ptr)
{
	sub((__u64)ptr);
	return 0;
}

SEC("raw_tp/kmem_cache_alloc")
int BPF_PROG(slab_alloc, unsigned long site, void *ptr, struct kmem_cache *cache)
{
	if (watch.objects)
		add((__u64)ptr, 0, BPF_CORE_READ(cache, size));
	return 0;
}

SEC("raw_tp/kmem_cache_free")
int BPF_PROG(slab_free, unsigned long site, void *ptr)
{
	sub((__u64)ptr);
	return 0;
}

char LICENSE[] SEC("license") = "GPL";
