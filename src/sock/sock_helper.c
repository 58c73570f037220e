// SPDX-License-Identifier: GPL-2.0-only
/*
 * Gives helpers to programs: a program that loads a claimed socket map gets the
 * helpers of sock_redirect.c. All other programs keep the kernel's.
 *
 * The verifier asks a function of the program type for the description of each
 * helper that a program calls, several times; the program calls the function of
 * the last answer. This file owns probes on the returns of these functions, and
 * descriptions, which are copies of the kernel's with another function. So
 * argument types and restrictions follow the kernel.
 *
 * The handlers run in bpf(2), in the task that loads a program, with preemption
 * off. A program with helpers of this module has a reference to the claimed map
 * that it loads, or to the outer map whose template is a claimed map, and these
 * maps have references to the module: the verifier has taken the program's
 * references before it asks. If the kernel misses a probe, or the module is too
 * far from the kernel's code for a call, the program gets the kernel's helper,
 * and its redirects are not counted.
 *
 * sock_helper_lock guards the descriptions and the notes about programs.
 */
#include <linux/bpf.h>
#include <linux/filter.h>
#include <linux/hash.h>
#include <linux/kernel.h>
#include <linux/spinlock.h>
#include <linux/uaccess.h>

#include "hook.h"
#include "kind.h"
#include "sock_helper.h"
#include "sock_redirect.h"

/*
 * Concurrent calls of one function whose return is observed. The functions do
 * not sleep, but a task may be preempted in them.
 */
#define HELPER_ACTIVE 256

/* A raw lock, because handlers run with preemption off. */
static DEFINE_RAW_SPINLOCK(sock_helper_lock);

/**
 * struct helper_desc - the description of a helper of this module
 * @stock: the kernel's description; NULL until a program gets @ours
 * @ours: a copy with another function
 */
struct helper_desc {
	const struct bpf_func_proto *stock;
	struct bpf_func_proto ours;
};

static struct helper_desc helper_descs[SOCK_HELPERS];

/**
 * struct helper_note - result of a search in a program that is being loaded
 * @aux: the program's; the program itself moves when it is patched
 * @load_time: the program's, because @aux may be used again
 * @at: number of an instruction that has loaded a claimed map
 * @none: no instruction loads a claimed map
 */
struct helper_note {
	const struct bpf_prog_aux *aux;
	u64 load_time;
	u32 at;
	bool none;
};

/* Notes, 6 KiB: programs that are loaded at the same time rarely share one. */
#define HELPER_NOTES_BITS 8
static struct helper_note helper_notes[1 << HELPER_NOTES_BITS];

/*
 * Is this the address of a claimed socket map, or of an outer map whose
 * template is one? The verifier has resolved descriptors to maps before it asks
 * for helpers. If a kernel asked earlier, the address might be any number, so
 * it is read by get_kernel_nofault(). The redirects of the program would then
 * not be counted, because helper_prog_loads() remembers the first answer.
 */
static bool helper_map_is_claimed(unsigned long address)
{
	struct bpf_map *map = (struct bpf_map *)address, *meta;
	const struct bpf_map_ops *ops;
	const struct kind *kind;
	enum bpf_map_type type;

	if (get_kernel_nofault(type, &map->map_type))
		return false;
	if (type == BPF_MAP_TYPE_ARRAY_OF_MAPS ||
	    type == BPF_MAP_TYPE_HASH_OF_MAPS) {
		if (get_kernel_nofault(meta, &map->inner_map_meta) ||
		    get_kernel_nofault(type, &meta->map_type))
			return false;
		map = meta;
	}
	if (type != BPF_MAP_TYPE_SOCKMAP && type != BPF_MAP_TYPE_SOCKHASH)
		return false;
	kind = rmap_kind_find(type);
	return !get_kernel_nofault(ops, &map->ops) && ops == &kind->ops;
}

/* Does the instruction load a claimed map? */
static bool helper_insn_loads(const struct bpf_insn *insn)
{
	if (insn->code != (BPF_LD | BPF_IMM | BPF_DW) ||
	    (insn->src_reg != BPF_PSEUDO_MAP_FD &&
	     insn->src_reg != BPF_PSEUDO_MAP_IDX))
		return false;
	/* The address is in two instructions. */
	return helper_map_is_claimed((u32)insn[0].imm |
				     (u64)(u32)insn[1].imm << 32);
}

/* The first instruction of a range that loads a claimed map, or @end. */
static u32 helper_search_range(const struct bpf_prog *prog, u32 begin, u32 end)
{
	while (begin < end && !helper_insn_loads(&prog->insnsi[begin]))
		begin++;
	return begin;
}

/*
 * Search for an instruction that loads a claimed map, from @start on, and then
 * from the beginning. Returns its number, or prog->len. A program has at most a
 * million instructions.
 */
static u32 helper_search(const struct bpf_prog *prog, u32 start)
{
	/* The last instruction cannot be the first half of a load. */
	u32 at, end = prog->len - 1;

	start = min(start, end);
	at = helper_search_range(prog, start, end);
	if (at < end)
		return at;
	at = helper_search_range(prog, 0, start);
	return at < start ? at : prog->len;
}

static struct helper_note *helper_note_of(const struct bpf_prog *prog)
{
	return &helper_notes[hash_ptr(prog->aux, HELPER_NOTES_BITS)];
}

static bool helper_note_fits(const struct helper_note *note,
			     const struct bpf_prog *prog)
{
	return note->aux == prog->aux &&
	       note->load_time == prog->aux->load_time;
}

/*
 * Does a program load a claimed map? The verifier asks for a helper each time
 * that it visits a call. So the program is searched once. Later calls test the
 * instruction that was found again, because a program without a claimed map
 * must not get helpers of this module, and search on from there: the verifier
 * may have moved the instruction, but it never adds a map.
 */
static bool helper_prog_loads(const struct bpf_prog *prog)
{
	struct helper_note *note = helper_note_of(prog);
	struct helper_note known = {
		.aux = prog->aux,
		.load_time = prog->aux->load_time,
	};

	raw_spin_lock(&sock_helper_lock);
	if (helper_note_fits(note, prog))
		known = *note;
	raw_spin_unlock(&sock_helper_lock);
	if (known.none)
		return false;

	known.at = helper_search(prog, known.at);
	known.none = known.at == prog->len;
	raw_spin_lock(&sock_helper_lock);
	*note = known;
	raw_spin_unlock(&sock_helper_lock);
	return !known.none;
}

/* The helper of this module, or SOCK_HELPERS. */
static enum sock_helper helper_of(enum bpf_func_id id)
{
	switch (id) {
	case BPF_FUNC_msg_redirect_map:
		return SOCK_HELPER_MSG_MAP;
	case BPF_FUNC_msg_redirect_hash:
		return SOCK_HELPER_MSG_HASH;
	case BPF_FUNC_sk_redirect_map:
		return SOCK_HELPER_SKB_MAP;
	case BPF_FUNC_sk_redirect_hash:
		return SOCK_HELPER_SKB_HASH;
	case BPF_FUNC_sock_map_update:
		return SOCK_HELPER_OPS_MAP;
	case BPF_FUNC_sock_hash_update:
		return SOCK_HELPER_OPS_HASH;
	default:
		return SOCK_HELPERS;
	}
}

static bool helper_asked(const unsigned long *args, unsigned long *note)
{
	enum sock_helper helper = helper_of((u32)args[0]);
	const struct bpf_prog *prog = (const struct bpf_prog *)args[1];

	*note = helper;
	return helper != SOCK_HELPERS && prog->len && helper_prog_loads(prog);
}

/* A call has 32 bits for the distance of the helper from __bpf_call_base. */
static bool helper_is_in_reach(enum sock_helper helper)
{
	long distance = (long)rmap_sock_redirect_helpers[helper] -
			(long)__bpf_call_base;

	return distance == (s32)distance;
}

/* Make the description of a helper from the kernel's, once. */
static bool helper_describe(enum sock_helper helper,
			    const struct bpf_func_proto *stock)
{
	struct helper_desc *desc = &helper_descs[helper];
	bool fits;

	raw_spin_lock(&sock_helper_lock);
	if (!desc->stock) {
		rmap_sock_redirect_stock[helper] = stock->func;
		desc->ours = *stock;
		desc->ours.func = rmap_sock_redirect_helpers[helper];
		desc->stock = stock;
	}
	/* The kernel has one description for each of these helpers. */
	fits = desc->stock == stock;
	raw_spin_unlock(&sock_helper_lock);
	return fits;
}

static unsigned long helper_answered(unsigned long ret, unsigned long note)
{
	const struct bpf_func_proto *stock = (const struct bpf_func_proto *)ret;

	if (!stock || !helper_is_in_reach(note) || !helper_describe(note, stock))
		return ret;
	return (unsigned long)&helper_descs[note].ours;
}

static struct hook_exit helper_hooks[] = {
	{ .func = "sk_msg_func_proto", .enter = helper_asked,
	  .exit = helper_answered, .active = HELPER_ACTIVE },
	{ .func = "sk_skb_func_proto", .enter = helper_asked,
	  .exit = helper_answered, .active = HELPER_ACTIVE },
	{ .func = "sock_ops_func_proto", .enter = helper_asked,
	  .exit = helper_answered, .active = HELPER_ACTIVE },
};

static void helper_remove_hooks(unsigned int n)
{
	while (n--)
		rmap_hook_exit_remove(&helper_hooks[n]);
}

/**
 * rmap_sock_helper_init() - set the probes; handlers are not called yet
 *
 * Context: insmod, sleeps.
 * Return: 0, or the error of the probe that failed, with a line in the log; no
 * probe stays set then.
 */
int __init rmap_sock_helper_init(void)
{
	unsigned int i;
	int err;

	for (i = 0; i < ARRAY_SIZE(helper_hooks); i++) {
		err = rmap_hook_exit_add(&helper_hooks[i]);
		if (err) {
			helper_remove_hooks(i);
			return err;
		}
	}
	return 0;
}

/**
 * rmap_sock_helper_exit() - remove the probes
 *
 * Context: rmmod, sleeps; no program with helpers of this module is left.
 */
void rmap_sock_helper_exit(void)
{
	helper_remove_hooks(ARRAY_SIZE(helper_hooks));
}
