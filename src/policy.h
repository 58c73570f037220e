/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_POLICY_H
#define REDIRMAP_POLICY_H

#include <linux/types.h>

union bpf_attr;

/* Bytes of the longest policy text, with its NUL. */
#define POLICY_TEXT_SIZE 256

size_t rmap_policy_text(char *buf, size_t size);
bool rmap_policy_claims(const char *name);
bool rmap_policy_claims_new(const union bpf_attr *attr);

#endif /* REDIRMAP_POLICY_H */
