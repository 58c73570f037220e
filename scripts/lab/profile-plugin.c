// SPDX-License-Identifier: GPL-2.0-only
/*
 * A QEMU plugin that counts the executions of each guest instruction between
 * two marks, and can record each memory access. scripts/lab/bench builds and
 * uses it.
 *
 * The marks are no-ops with a special constant (selftests/bench/bench.h). At
 * each end mark, the plugin appends the counts since the start mark to the file
 * given by out=: a line "end", then a line "ADDRESS COUNT INSTRUCTION" for each
 * instruction, in no order, possibly several times. The counts of all CPUs are
 * added up. Instructions are counted in blocks, as QEMU translates them; a
 * block that an exception ends early is counted completely. A mark does not
 * clear or add up counts, because interrupts would become due in that time.
 *
 * With accesses=FILE, the plugin also appends the memory accesses to that file,
 * in their order: the number of accesses (64 bits), then a struct access for
 * each. scripts/lab/bench_lines.py reads them.
 */
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <linux/types.h>

#include "profile-plugin.h"

__attribute__((visibility("default"))) int qemu_plugin_version = 1;

/* nopl MAGIC(%rax) */
static const unsigned char mark_start[] = { 0x0f, 0x1f, 0x80, 'r', 'm', 'b', '1' };
static const unsigned char mark_end[] = { 0x0f, 0x1f, 0x80, 'r', 'm', 'b', '0' };

/**
 * struct access - a memory access of an instruction
 * @insn: address of the instruction
 * @addr: address of the memory
 * @size: number of bytes
 * @flags: ACCESS_*
 */
struct access {
	__u64 insn;
	__u64 addr;
	__u32 size;
	__u32 flags;
};

/* A write. An instruction that reads and writes makes two accesses. */
#define ACCESS_STORE 1
/* The instruction is atomic. */
#define ACCESS_ATOMIC 2
/* The instruction pushes, calls or returns: the memory is a stack. */
#define ACCESS_STACK 4

/* Blocks by address. TCG is single-threaded here, so there are no locks. */
#define TABLE (1u << 21)
static struct insn {
	__u64 addr;
	__u32 flags;
	char *text;
} table[TABLE];

/**
 * struct block - instructions that are executed one after the other
 * @measurement: the measurement to which @count belongs
 * @count: number of executions
 * @n: number of instructions
 * @insns: the instructions
 */
struct block {
	__u64 measurement;
	__u64 count;
	size_t n;
	struct insn *insns[];
};

/* The blocks of the present measurement. */
static struct block **blocks;
static size_t nr_blocks, blocks_room;
static __u64 measurement;

static FILE *out;

/* The accesses of the present measurement, if they are recorded. */
static FILE *accesses_out;
static bool measuring;
static struct access *accesses;
static size_t nr_accesses, room;

static struct insn *find(__u64 addr)
{
	__u32 i = (addr * 0x9e3779b97f4a7c15ull) >> 43;

	for (; table[i].addr && table[i].addr != addr; i = (i + 1) % TABLE)
		;
	return &table[i];
}

/* Make room for more than N elements. */
static void *grow(void *array, size_t n, size_t *room, size_t size)
{
	if (n < *room)
		return array;
	*room = *room ? 2 * *room : 1 << 16;
	array = realloc(array, *room * size);
	if (!array) {
		perror("profile-plugin");
		exit(1);
	}
	return array;
}

static void start(unsigned int cpu, void *data)
{
	measurement++;
	nr_blocks = 0;
	nr_accesses = 0;
	measuring = true;
}

static void executed(unsigned int cpu, void *data)
{
	struct block *block = data;

	if (!measuring)
		return;
	if (block->measurement != measurement) {
		blocks = grow(blocks, nr_blocks, &blocks_room, sizeof(*blocks));
		blocks[nr_blocks++] = block;
		block->measurement = measurement;
		block->count = 0;
	}
	block->count++;
}

static void accessed(unsigned int cpu, __u32 info, __u64 addr, void *data)
{
	const struct insn *insn = data;

	if (!measuring)
		return;
	accesses = grow(accesses, nr_accesses, &room, sizeof(*accesses));
	accesses[nr_accesses++] = (struct access) {
		.insn = insn->addr,
		.addr = addr,
		.size = 1u << qemu_plugin_mem_size_shift(info),
		.flags = insn->flags |
			 (qemu_plugin_mem_is_store(info) ? ACCESS_STORE : 0),
	};
}

static void end(unsigned int cpu, void *data)
{
	struct block *block;
	size_t i, k;

	if (!measuring)
		return;
	measuring = false;
	fprintf(out, "end\n");
	for (i = 0; i < nr_blocks; i++) {
		block = blocks[i];
		for (k = 0; k < block->n; k++)
			fprintf(out, "%llx %llu %s\n", block->insns[k]->addr, block->count,
				block->insns[k]->text);
	}
	fflush(out);
	if (accesses_out) {
		fwrite(&nr_accesses, sizeof(nr_accesses), 1, accesses_out);
		fwrite(accesses, sizeof(*accesses), nr_accesses, accesses_out);
		fflush(accesses_out);
	}
}

static bool is(const struct qemu_plugin_insn *insn, const unsigned char *mark)
{
	return qemu_plugin_insn_size(insn) == sizeof(mark_start) &&
	       !memcmp(qemu_plugin_insn_data(insn), mark, sizeof(mark_start));
}

/* The prefix LOCK, or XCHG with memory, which is atomic without the prefix. */
static bool is_atomic(const struct qemu_plugin_insn *insn)
{
	const unsigned char *byte = qemu_plugin_insn_data(insn);
	const unsigned char *end = byte + qemu_plugin_insn_size(insn);
	static const unsigned char prefixes[] = {
		0x26, 0x2e, 0x36, 0x3e, 0x64, 0x65, 0x66, 0x67, 0xf2, 0xf3,
	};

	for (; byte < end && memchr(prefixes, *byte, sizeof(prefixes)); byte++)
		;
	if (byte < end && *byte == 0xf0)
		return true;
	if (byte < end && (*byte & 0xf0) == 0x40)	/* REX */
		byte++;
	return byte < end && (*byte & 0xfe) == 0x86;
}

static bool is_stack(const char *text)
{
	return !strncmp(text, "push", 4) || !strncmp(text, "call", 4) ||
	       !strncmp(text, "ret", 3);
}

static void translated(__u64 id, struct qemu_plugin_tb *tb)
{
	size_t i, n = qemu_plugin_tb_n_insns(tb);
	/* Never freed: QEMU does not report when it discards a block. */
	struct block *block = calloc(1, sizeof(*block) + n * sizeof(block->insns[0]));

	if (!block) {
		perror("profile-plugin");
		exit(1);
	}
	block->n = n;
	qemu_plugin_register_vcpu_tb_exec_cb(tb, executed, CB_NO_REGS, block);
	for (i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		struct insn *entry = find(qemu_plugin_insn_vaddr(insn));
		char *text = qemu_plugin_insn_disas(insn);

		/* The code has changed: modules are loaded, programs end. */
		if (!entry->text || strcmp(entry->text, text)) {
			free(entry->text);
			entry->text = strdup(text);
		}
		entry->flags = (is_atomic(insn) ? ACCESS_ATOMIC : 0) |
			       (is_stack(text) ? ACCESS_STACK : 0);
		free(text);
		entry->addr = qemu_plugin_insn_vaddr(insn);
		block->insns[i] = entry;
		if (accesses_out)
			qemu_plugin_register_vcpu_mem_cb(insn, accessed, CB_NO_REGS,
							 MEM_RW, entry);
		if (is(insn, mark_start))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, start, CB_NO_REGS, NULL);
		else if (is(insn, mark_end))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, end, CB_NO_REGS, NULL);
	}
}

static FILE *create(const char *path)
{
	FILE *file = fopen(path, "w");

	if (!file)
		perror(path);
	return file;
}

__attribute__((visibility("default")))
int qemu_plugin_install(__u64 id, const void *info, int argc, char **argv)
{
	FILE **file;
	int i;

	for (i = 0; i < argc; i++) {
		if (!strncmp(argv[i], "out=", 4)) {
			file = &out;
		} else if (!strncmp(argv[i], "accesses=", 9)) {
			file = &accesses_out;
		} else {
			fprintf(stderr, "profile-plugin: unknown argument %s\n", argv[i]);
			return -1;
		}
		*file = create(strchr(argv[i], '=') + 1);
		if (!*file)
			return -1;
	}
	if (!out) {
		fprintf(stderr, "profile-plugin: out=FILE is missing\n");
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
