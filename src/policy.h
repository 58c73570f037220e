/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_POLICY_H
#define REDIRMAP_POLICY_H

#include <linux/types.h>

bool policy_claims(const char *name);

#endif /* REDIRMAP_POLICY_H */
