// SPDX-License-Identifier: GPL-2.0-only
/*
 * Policies: module parameters that list globs of map names.
 *
 *  claim	the maps that the module claims
 *  packets	the maps whose frames may leave as packets, if a device cannot
 *		transmit them as XDP frames
 *  qdisc	the maps whose frames always leave as packets
 *  early	the socket maps whose inserts run the programs on early data
 *
 * This file owns the lists of globs. insmod and writes to sysfs replace a list
 * as a whole, under the lock of the module's parameters. The creation of a map
 * reads the lists under RCU, "claim" with preemption off; later changes of a
 * list do not affect the map. "early" is read per insert instead, because it
 * needs no preparation of the map.
 */
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/ctype.h>
#include <linux/glob.h>
#include <linux/moduleparam.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/sysfs.h>

#include "log.h"
#include "policy.h"

#define POLICY_MAX (POLICY_TEXT_SIZE - 1)
#define POLICY_GLOB_MAX 63	/* characters of a glob; map names have 15 */

/**
 * struct policy_globs - the globs that map names are compared with
 * @rcu: delays the free, for RCU readers
 * @text: the text that user space has written
 * @globs: the text with a NUL for each comma
 * @end: end of the last glob, behind its NUL; @globs for an empty policy
 */
struct policy_globs {
	struct rcu_head rcu;
	char text[POLICY_TEXT_SIZE];
	char globs[POLICY_TEXT_SIZE];
	const char *end;
};

/**
 * struct policy - a parameter
 * @globs: its present list
 * @initial: its list until user space writes one; never freed
 */
struct policy {
	struct policy_globs __rcu *globs;
	struct policy_globs *initial;
};

static struct policy_globs policy_all = {
	.text = "*",
	.globs = "*",
	.end = policy_all.globs + sizeof("*"),
};

static struct policy_globs policy_none = {
	.end = policy_none.globs,
};

struct policy rmap_policy_claim = {
	.globs = RCU_INITIALIZER(&policy_all),
	.initial = &policy_all,
};

struct policy rmap_policy_packets = {
	.globs = RCU_INITIALIZER(&policy_all),
	.initial = &policy_all,
};

struct policy rmap_policy_qdisc = {
	.globs = RCU_INITIALIZER(&policy_none),
	.initial = &policy_none,
};

struct policy rmap_policy_early = {
	.globs = RCU_INITIALIZER(&policy_none),
	.initial = &policy_none,
};

/*
 * May map names have this character? The kernel's bpf_obj_name_cpy() also
 * allows letters beyond ASCII.
 */
static bool policy_name_char(char c)
{
	return isascii(c) && (isalnum(c) || c == '_' || c == '.');
}

/* The end of a class; NULL if the ']' is missing. */
static const char *policy_class_end(const char *p)
{
	p++;
	if (*p == '!')
		p++;
	/* The first character of a class may be a ']'. */
	return *p ? strchr(p + 1, ']') : NULL;
}

/* Check characters and ranges of a class, parsed as in glob_match(). */
static bool policy_class_of_names(const char *p, const char *end)
{
	p++;
	if (*p == '!')
		p++;
	while (p < end) {
		if (!policy_name_char(*p++))
			return false;
		if (*p != '-' || p + 1 == end)
			continue;
		if (!policy_name_char(p[1]))
			return false;
		p += 2;
	}
	return true;
}

/* The error in a glob, for the log, or NULL. */
static const char *policy_glob_error(const char *glob)
{
	static const char no_name[] = "a character that map names cannot have";
	const char *p, *end;

	if (!*glob)
		return "an empty glob";
	if (strlen(glob) > POLICY_GLOB_MAX)
		return "a glob of more than 63 characters";

	for (p = glob; *p; p++) {
		if (*p == '*' || *p == '?')
			continue;
		if (*p == '[') {
			end = policy_class_end(p);
			if (!end)
				return "a '[' without its ']'";
			if (!policy_class_of_names(p, end))
				return no_name;
			p = end;
			continue;
		}
		if (*p == '\\' && !*++p)
			return "a backslash at the end";
		if (!policy_name_char(*p))
			return no_name;
	}
	return NULL;
}

static const char *policy_parse(struct policy_globs *new)
{
	char *rest = new->globs, *glob;
	const char *error;

	strscpy(new->globs, new->text, sizeof(new->globs));
	new->end = new->globs;
	if (!*new->text)
		return NULL;

	while ((glob = strsep(&rest, ","))) {
		error = policy_glob_error(glob);
		if (error)
			return error;
		new->end = glob + strlen(glob) + 1;
	}
	return NULL;
}

/* Called by insmod, or by a write to sysfs, under param_lock. */
static int policy_set(const char *val, const struct kernel_param *kp)
{
	struct policy *policy = kp->arg;
	struct policy_globs *new, *old;
	size_t len = strlen(val);
	const char *error;

	/* The file's mode would let uid 0 without capabilities write. */
	if (!capable(CAP_SYS_MODULE))
		return -EPERM;
	if (len && val[len - 1] == '\n')
		len--;
	if (len > POLICY_MAX) {
		pr_err_ratelimited("%s: more than %d characters\n", kp->name,
				   POLICY_MAX);
		return -EINVAL;
	}

	new = kzalloc(sizeof(*new), GFP_KERNEL);
	if (!new)
		return -ENOMEM;
	memcpy(new->text, val, len);

	error = policy_parse(new);
	if (error) {
		/* Escape the text: it may contain newlines. */
		pr_err_ratelimited("%s: %s in \"%*pE\"\n", kp->name, error,
				   (int)len, new->text);
		kfree(new);
		return -EINVAL;
	}

	old = unrcu_pointer(xchg(&policy->globs, RCU_INITIALIZER(new)));
	if (old != policy->initial)
		kfree_rcu(old, rcu);
	return 0;
}

/**
 * rmap_policy_text() - copy the text of a policy, as user space has written it
 * @policy: the policy
 * @buf: gets the text, with a NUL
 * @size: bytes of @buf; POLICY_TEXT_SIZE is enough for every policy
 *
 * Context: any; neither sleeps nor locks.
 * Return: length of the text, in bytes.
 */
size_t rmap_policy_text(const struct policy *policy, char *buf, size_t size)
{
	ssize_t len;

	rcu_read_lock();
	len = strscpy(buf, rcu_dereference(policy->globs)->text, size);
	rcu_read_unlock();
	return len < 0 ? size - 1 : len;
}

static int policy_get(char *buffer, const struct kernel_param *kp)
{
	char text[POLICY_TEXT_SIZE];

	rmap_policy_text(kp->arg, text, sizeof(text));
	return sysfs_emit(buffer, "%s\n", text);
}

/* Core calls this after rmmod or a failed insmod, when no reader is left. */
static void policy_free(void *arg)
{
	struct policy *policy = arg;
	struct policy_globs *old = rcu_replace_pointer(policy->globs,
						       policy->initial, true);

	if (old != policy->initial)
		kfree(old);
}

static const struct kernel_param_ops policy_ops = {
	.set = policy_set,
	.get = policy_get,
	.free = policy_free,
};

module_param_cb(claim, &policy_ops, &rmap_policy_claim, 0644);
__MODULE_PARM_TYPE(claim, "string");
MODULE_PARM_DESC(claim, "comma-separated globs of the names of maps to claim; empty claims none (default: *)");
module_param_cb(packets, &policy_ops, &rmap_policy_packets, 0644);
__MODULE_PARM_TYPE(packets, "string");
MODULE_PARM_DESC(packets, "globs of the names of maps whose frames may leave as packets, where a device cannot transmit XDP frames (default: *)");
module_param_cb(qdisc, &policy_ops, &rmap_policy_qdisc, 0644);
__MODULE_PARM_TYPE(qdisc, "string");
MODULE_PARM_DESC(qdisc, "globs of the names of maps whose frames always leave as packets, through the device's queueing discipline (default: none)");
module_param_cb(early, &policy_ops, &rmap_policy_early, 0644);
__MODULE_PARM_TYPE(early, "string");
MODULE_PARM_DESC(early, "globs of the names of socket maps whose inserts run the verdict programs on bytes that were received before (default: none)");

/**
 * rmap_policy_matches() - does a policy match the name of a map?
 * @policy: the policy
 * @name: the name, with a NUL; empty for maps without a name
 *
 * Context: any; neither sleeps nor locks.
 * Return: true when one of the globs matches.
 */
bool rmap_policy_matches(const struct policy *policy, const char *name)
{
	const struct policy_globs *p;
	const char *glob;
	bool matches = false;

	rcu_read_lock();
	p = rcu_dereference(policy->globs);
	for (glob = p->globs; glob < p->end && !matches;
	     glob += strlen(glob) + 1)
		matches = glob_match(glob, name);
	rcu_read_unlock();
	return matches;
}

/**
 * rmap_policy_matches_new() - does a policy match a map that is to be made?
 * @policy: the policy
 * @attr: the attributes from user space. The kernel has not checked the name
 *	yet, which may lack its NUL
 *
 * Context: any; neither sleeps nor locks.
 * Return: true when one of the globs matches.
 */
bool rmap_policy_matches_new(const struct policy *policy,
			     const union bpf_attr *attr)
{
	char name[BPF_OBJ_NAME_LEN + 1];

	memcpy(name, attr->map_name, BPF_OBJ_NAME_LEN);
	name[BPF_OBJ_NAME_LEN] = '\0';
	return rmap_policy_matches(policy, name);
}
