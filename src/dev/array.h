/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_ARRAY_H
#define REDIRMAP_ARRAY_H

#include <linux/bpf.h>

struct bpf_map *rmap_array_alloc(union bpf_attr *attr);
u64 rmap_array_memory(const struct bpf_map *map);
void rmap_array_set_ops(struct bpf_map_ops *ops);

#endif /* REDIRMAP_ARRAY_H */
