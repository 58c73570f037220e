/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_POLICY_H
#define REDIRMAP_POLICY_H

#include <linux/types.h>

/* What a policy's text needs, with its NUL. */
#define POLICY_TEXT_SIZE 256

size_t policy_text(char *buf, size_t size);
bool policy_claims(const char *name);

#endif /* REDIRMAP_POLICY_H */
