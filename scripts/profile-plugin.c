// SPDX-License-Identifier: GPL-2.0-only
/*
 * A QEMU plugin that counts how often each guest instruction is executed
 * between two marks. scripts/bench --profile builds and uses it.
 *
 * The marks are no-ops with a constant of their own (selftests/bench/bench.h).
 * At each end mark the counts since the start mark are appended to the file
 * given by out=: a line "end", then "ADDRESS COUNT INSTRUCTION" for each
 * instruction, in no order.
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

/* By address. TCG is single-threaded in icount mode, so nothing is locked. */
#define TABLE (1u << 21)
static struct insn {
	__u64 addr;
	__u64 count;
	char *text;
} table[TABLE];

static FILE *out;

static struct insn *find(__u64 addr)
{
	__u32 i = (addr * 0x9e3779b97f4a7c15ull) >> 43;

	for (; table[i].addr && table[i].addr != addr; i = (i + 1) % TABLE)
		;
	return &table[i];
}

static void start(unsigned int cpu, void *data)
{
	__u32 i;

	for (i = 0; i < TABLE; i++)
		table[i].count = 0;
}

static void end(unsigned int cpu, void *data)
{
	__u32 i;

	fprintf(out, "end\n");
	for (i = 0; i < TABLE; i++)
		if (table[i].count)
			fprintf(out, "%llx %llu %s\n", table[i].addr, table[i].count,
				table[i].text);
	fflush(out);
}

static bool is(const struct qemu_plugin_insn *insn, const unsigned char *mark)
{
	return qemu_plugin_insn_size(insn) == sizeof(mark_start) &&
	       !memcmp(qemu_plugin_insn_data(insn), mark, sizeof(mark_start));
}

static void translated(__u64 id, struct qemu_plugin_tb *tb)
{
	size_t i, n = qemu_plugin_tb_n_insns(tb);

	for (i = 0; i < n; i++) {
		struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
		struct insn *entry = find(qemu_plugin_insn_vaddr(insn));
		char *text = qemu_plugin_insn_disas(insn);

		/* Code changes: modules are loaded, programs end. */
		if (!entry->text || strcmp(entry->text, text)) {
			free(entry->text);
			entry->text = strdup(text);
		}
		free(text);
		entry->addr = qemu_plugin_insn_vaddr(insn);
		qemu_plugin_register_vcpu_insn_exec_inline(insn, INLINE_ADD_U64,
							   &entry->count, 1);
		if (is(insn, mark_start))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, start, CB_NO_REGS, NULL);
		else if (is(insn, mark_end))
			qemu_plugin_register_vcpu_insn_exec_cb(insn, end, CB_NO_REGS, NULL);
	}
}

__attribute__((visibility("default")))
int qemu_plugin_install(__u64 id, const void *info, int argc, char **argv)
{
	if (argc != 1 || strncmp(argv[0], "out=", 4)) {
		fprintf(stderr, "profile-plugin: out=FILE is missing\n");
		return -1;
	}
	out = fopen(argv[0] + 4, "w");
	if (!out) {
		perror(argv[0]);
		return -1;
	}
	qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
	return 0;
}
