/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_POLICY_H
#define REDIRMAP_POLICY_H

#include <linux/types.h>

struct policy;
union bpf_attr;

/* Bytes of the longest policy text, with its NUL. */
#define POLICY_TEXT_SIZE 256

/* The maps to claim. */
extern struct policy rmap_policy_claim;
/* The maps whose frames may leave as packets. */
extern struct policy rmap_policy_packets;
/* The maps whose frames always leave as packets. */
extern struct policy rmap_policy_qdisc;
extern struct policy rmap_policy_early;

size_t rmap_policy_text(const struct policy *policy, char *buf, size_t size);
bool rmap_policy_matches(const struct policy *policy, const char *name);
bool rmap_policy_matches_new(const struct policy *policy,
			     const union bpf_attr *attr);

#endif /* REDIRMAP_POLICY_H */
