/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_HASH_H
#define REDIRMAP_HASH_H

#include <linux/bpf.h>

struct bpf_map *rmap_hash_alloc(union bpf_attr *attr);
u64 rmap_hash_memory(const struct bpf_map *map);
void rmap_hash_set_ops(struct bpf_map_ops *ops);

#endif /* REDIRMAP_HASH_H */
