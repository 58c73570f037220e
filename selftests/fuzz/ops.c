// SPDX-License-Identifier: GPL-2.0-only
/*
 * Operations as text: one line each, with the command and its fields that are
 * not 0: "update map=1 key=3 ifindex=dev0 flags=exist"
 */
#include <ctype.h>
#include <stddef.h>
#include <sys/socket.h>

#include "ops.h"

struct word {
	const char *name;
	__u64 value;
};

static const struct word types[] = {
	{ "devmap", BPF_MAP_TYPE_DEVMAP },
	{ "devmap_hash", BPF_MAP_TYPE_DEVMAP_HASH },
	{ "sockmap", BPF_MAP_TYPE_SOCKMAP },
	{ "sockhash", BPF_MAP_TYPE_SOCKHASH },
	{ "array_of_maps", BPF_MAP_TYPE_ARRAY_OF_MAPS },
	{ "hash_of_maps", BPF_MAP_TYPE_HASH_OF_MAPS },
	{ }
};

static const struct word fds[] = {
	{ "other", FD_OTHER }, { "closed", FD_CLOSED }, { "prog", FD_PROG }, { "file", FD_FILE },
	{ "garbage", FD_GARBAGE }, { }
};

static const struct word ptrs[] = {
	{ "no_key", PTR_KEY_NULL }, { "bad_key", PTR_KEY_BAD }, { "kernel_key", PTR_KEY_KERNEL },
	{ "short_key", PTR_KEY_SHORT }, { "no_value", PTR_VALUE_NULL },
	{ "bad_value", PTR_VALUE_BAD }, { "kernel_value", PTR_VALUE_KERNEL },
	{ "read_only_value", PTR_VALUE_READ_ONLY }, { "bad_token", PTR_TOKEN_BAD }, { }
};

static const struct word names[] = {
	{ "long", NAME_LONG }, { "bad", NAME_BAD }, { "endless", NAME_ENDLESS }, { }
};

static const struct word fails[] = {
	{ "token", FAIL_TOKEN }, { "capable", FAIL_CAPABLE }, { "btf_closed", FAIL_BTF_CLOSED },
	{ "btf_kernel", FAIL_BTF_KERNEL }, { "btf_key", FAIL_BTF_KEY }, { "no_fd", FAIL_NO_FD },
	{ }
};

static const struct word progs[] = {
	{ "a", PROG_A }, { "b", PROG_B }, { "frags", PROG_FRAGS }, { "no_attach", PROG_NO_ATTACH },
	{ "cpumap", PROG_CPUMAP }, { "socket", PROG_SOCKET }, { "bound", PROG_BOUND },
	{ "closed", PROG_CLOSED }, { "-1", PROG_MINUS_1 }, { "min", PROG_MIN },
	{ "garbage", PROG_GARBAGE }, { "map", PROG_MAP }, { "file", PROG_FILE }, { }
};

static const struct word flags[] = {
	{ "noexist", BPF_NOEXIST }, { "exist", BPF_EXIST }, { }
};

static const struct word ways[] = {
	{ "never", PACKETS_NEVER }, { "always", PACKETS_ALWAYS }, { }
};

static const struct word socks[] = {
	{ "tcp_peer", SOCK_TCP_PEER }, { "tcp6", SOCK_TCP6 }, { "tcp6_peer", SOCK_TCP6_PEER },
	{ "unix", SOCK_UNIX }, { "unix_peer", SOCK_UNIX_PEER }, { "listener", SOCK_LISTENER },
	{ "udp", SOCK_UDP }, { "udp_unbound", SOCK_UDP_UNBOUND }, { "closed", SOCK_CLOSED },
	{ "packet", SOCK_AF_PACKET }, { "file", SOCK_FILE }, { "garbage", SOCK_GARBAGE },
	{ "-1", SOCK_MINUS_1 }, { "large", SOCK_LARGE }, { }
};

static const struct word acts[] = {
	{ "drop", ACT_DROP }, { "redirect", ACT_REDIRECT }, { "or_pass", ACT_OR_PASS },
	{ "and_drop", ACT_AND_DROP }, { }
};

static const struct word send_flags[] = {
	{ "oob", MSG_OOB }, { "dontroute", MSG_DONTROUTE }, { "eor", MSG_EOR },
	{ "more", MSG_MORE }, { }
};

static const struct word redirects[] = {
	{ "ingress", BPF_F_INGRESS }, { }
};

static const struct word tokens[] = {
	{ "last", TOKEN_LAST }, { "key", TOKEN_KEY }, { "bad", TOKEN_BAD }, { }
};

/* Filled from devs.c. */
static struct word devices[2 * NR_DEVS + 1];
static char device_names[2 * NR_DEVS][8];

struct field {
	const char *name;
	size_t offset;
	const struct word *words;
};

#define FIELD(name) { #name, offsetof(struct op, name) }
#define WORDS(name, words) { #name, offsetof(struct op, name), words }

static const struct field all_fields[] = {
	FIELD(map), WORDS(fd, fds), WORDS(ptr, ptrs), FIELD(size), FIELD(poke),
	WORDS(type, types), FIELD(key_size), FIELD(value_size), FIELD(max_entries),
	FIELD(numa_node), FIELD(map_ifindex), FIELD(extra), FIELD(template), WORDS(name, names),
	FIELD(btf), WORDS(fail, fails), FIELD(times), WORDS(packets, ways),
	FIELD(key), WORDS(ifindex, devices), WORDS(prog, progs), WORDS(flags, flags), FIELD(inner),
	FIELD(mix), FIELD(count), FIELD(step), WORDS(ifindex2, devices), FIELD(at), FIELD(key2),
	WORDS(ifindex3, devices), WORDS(eflags, flags), WORDS(token, tokens), FIELD(keys),
	FIELD(values), FIELD(mode), FIELD(frags), FIELD(dev), FIELD(end), FIELD(kind), FIELD(net),
	FIELD(on), FIELD(mtu), WORDS(sock, socks), WORDS(sock2, socks), WORDS(sock3, socks),
	WORDS(send_flags, send_flags), WORDS(msg, acts), WORDS(msg_flags, redirects),
	WORDS(skb, acts), WORDS(skb_flags, redirects), FIELD(apply), FIELD(cork),
};

#define MAX_FIELDS 24

static const struct {
	const char *name;
	const char *fields[MAX_FIELDS];
} cmds[NR_CMDS] = {
	[CREATE] = { "create", { "map", "type", "key_size", "value_size", "max_entries", "flags",
				 "numa_node", "map_ifindex", "extra", "template", "name", "btf",
				 "fail", "times", "packets", "size", "poke" } },
	[CLOSE] = { "close", { "map", "fd" } },
	[FREEZE] = { "freeze", { "map", "fd", "size", "poke" } },
	[INFO] = { "info", { "map", "fd", "count", "key", "ptr", "size", "poke" } },
	[FDINFO] = { "fdinfo", { "map", "fd" } },
	[BY_ID] = { "by_id", { "map", "flags", "size", "poke" } },
	[PIN] = { "pin", { "map", "fd", "flags", "size", "poke" } },
	[GET] = { "get", { "map", "flags", "size", "poke" } },
	[UNPIN] = { "unpin", { "map" } },
	[LOOKUP] = { "lookup", { "map", "fd", "key", "flags", "ptr", "size", "poke" } },
	[UPDATE] = { "update", { "map", "fd", "key", "ifindex", "prog", "sock", "flags", "ptr",
				 "size", "poke" } },
	[DELETE] = { "delete", { "map", "fd", "key", "flags", "ptr", "size", "poke" } },
	[NEXT] = { "next", { "map", "fd", "key", "flags", "ptr", "size", "poke" } },
	[TAKE] = { "take", { "map", "fd", "key", "flags", "ptr", "size", "poke" } },
	[NEST] = { "nest", { "map", "fd", "key", "inner", "mix", "flags" } },
	[LOOKUP_BATCH] = { "lookup_batch", { "map", "fd", "token", "key", "count", "keys", "values",
					     "flags", "eflags", "ptr", "size", "poke" } },
	[TAKE_BATCH] = { "take_batch", { "map", "fd", "token", "key", "count", "keys", "values",
					 "flags", "eflags", "ptr", "size", "poke" } },
	[UPDATE_BATCH] = { "update_batch", { "map", "fd", "count", "key", "step", "ifindex",
					     "ifindex2", "prog", "sock", "sock2", "at", "key2",
					     "ifindex3", "sock3", "keys", "values", "flags",
					     "eflags", "ptr", "size", "poke" } },
	[DELETE_BATCH] = { "delete_batch", { "map", "fd", "count", "key", "step", "at", "key2",
					     "keys", "flags", "eflags", "ptr", "size", "poke" } },
	[BIND] = { "bind", { "map", "fd", "prog", "flags", "size", "poke" } },
	[ATTACH] = { "attach", { "map", "fd", "prog", "mode", "inner", "flags", "size", "poke" } },
	[DETACH] = { "detach", { "map", "fd", "prog", "mode", "inner", "flags", "size", "poke" } },
	[QUERY] = { "query", { "map", "fd", "mode", "flags", "ptr", "size", "poke" } },
	[LINK] = { "link", { "map", "fd", "prog", "mode", "inner", "flags", "size", "poke" } },
	[MMAP] = { "mmap", { "map", "fd", "mode" } },
	[LOAD] = { "load", { "prog" } },
	[UNLOAD] = { "unload", { "prog" } },
	[RUN] = { "run", { "map", "fd", "mode", "key", "key2", "flags", "frags", "count",
			   "step" } },
	[DEV_ADD] = { "dev_add", { "dev", "kind" } },
	[DEV_DEL] = { "dev_del", { "dev", "end" } },
	[DEV_RENAME] = { "dev_rename", { "dev", "end" } },
	[DEV_MOVE] = { "dev_move", { "dev", "end", "net" } },
	[DEV_UP] = { "dev_up", { "dev", "end", "on" } },
	[DEV_MTU] = { "dev_mtu", { "dev", "end", "mtu" } },
	[ENTER] = { "enter", { "net" } },
	[NET_DIE] = { "net_die", { } },
	[SOCK_RENEW] = { "sock_renew", { "sock" } },
	[SOCK_SHUT] = { "sock_shut", { "sock" } },
	[SEND] = { "send", { "sock", "count", "send_flags", "msg", "key", "msg_flags", "apply",
			     "cork", "skb", "sock2", "key2", "skb_flags" } },
};

static void name_devices(void)
{
	unsigned int i;

	if (devices[0].name)
		return;
	for (i = 0; i < 2 * NR_DEVS; i++) {
		snprintf(device_names[i], sizeof(device_names[i]), "%s%u", i % 2 ? "peer" : "dev",
			 i / 2);
		devices[i].name = device_names[i];
		devices[i].value = dev_ifindex(i / 2, i % 2);
	}
}

static const struct field *find_field(const char *name)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(all_fields); i++)
		if (!strcmp(all_fields[i].name, name))
			return &all_fields[i];
	return NULL;
}

static __u64 *value_in(struct op *op, const struct field *field)
{
	return (void *)op + field->offset;
}

__u64 *op_field(struct op *op, int i)
{
	const char *name = i < MAX_FIELDS ? cmds[op->cmd].fields[i] : NULL;

	return name ? value_in(op, find_field(name)) : NULL;
}

const char *cmd_name(__u64 cmd)
{
	return cmds[cmd].name;
}

void print_op(FILE *f, const struct op *op)
{
	struct op copy = *op;
	const struct word *word;
	const char *name;
	__u64 value;
	int i;

	name_devices();
	fprintf(f, "%s", cmds[op->cmd].name);
	for (i = 0; i < MAX_FIELDS && cmds[op->cmd].fields[i]; i++) {
		name = cmds[op->cmd].fields[i];
		value = *op_field(&copy, i);
		if (!value)
			continue;
		for (word = find_field(name)->words; word && word->name; word++)
			if (word->value == value)
				break;
		if (word && word->name)
			fprintf(f, " %s=%s", name, word->name);
		else if (value >> 16)
			fprintf(f, " %s=0x%llx", name, value);
		else
			fprintf(f, " %s=%llu", name, value);
	}
	fprintf(f, "\n");
}

static bool parse_value(const struct field *field, const char *text, __u64 *value)
{
	const struct word *word;
	char *end;

	for (word = field->words; word && word->name; word++) {
		if (!strcmp(word->name, text)) {
			*value = word->value;
			return true;
		}
	}
	errno = 0;
	*value = strtoull(text, &end, 0);
	return isdigit(*text) && !*end && !errno;
}

static bool has_field(const struct op *op, const char *name)
{
	int i;

	for (i = 0; i < MAX_FIELDS && cmds[op->cmd].fields[i]; i++)
		if (!strcmp(cmds[op->cmd].fields[i], name))
			return true;
	return false;
}

bool parse_op(char *line, struct op *op)
{
	char *part, *save, *text;
	const struct field *field;

	name_devices();
	memset(op, 0, sizeof(*op));
	line[strcspn(line, "#\n")] = '\0';
	part = strtok_r(line, " \t", &save);
	for (op->cmd = 0; part && op->cmd < NR_CMDS; op->cmd++)
		if (!strcmp(part, cmds[op->cmd].name))
			break;
	if (!part) {
		op->cmd = NR_CMDS;
		return true;
	}
	if (op->cmd == NR_CMDS) {
		fprintf(stderr, "no command \"%s\"\n", part);
		return false;
	}
	while ((part = strtok_r(NULL, " \t", &save))) {
		text = strchr(part, '=');
		if (text)
			*text++ = '\0';
		field = text && has_field(op, part) ? find_field(part) : NULL;
		if (!field || !parse_value(field, text, value_in(op, field))) {
			fprintf(stderr, "%s: invalid: %s=%s\n", cmds[op->cmd].name, part,
				text ?: "");
			return false;
		}
	}
	return true;
}
