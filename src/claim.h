/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_CLAIM_H
#define REDIRMAP_CLAIM_H

#include <linux/types.h>

struct bpf_map;

bool claim_is_ours(const struct bpf_map *map);

int claim_init(void);
void claim_exit(void);

#endif /* REDIRMAP_CLAIM_H */
