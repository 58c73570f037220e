/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_SOCK_MAP_H
#define REDIRMAP_SOCK_MAP_H

#include <linux/bpf.h>

#include "hook.h"
#include "kind.h"

#define SOCK_MAP_HOOKS 1

extern struct hook rmap_sock_map_hooks[SOCK_MAP_HOOKS];

u32 rmap_sock_map_bucket(const struct bpf_map *map, const void *key);
int rmap_sock_map_insert(struct bpf_map *map, void *key, const void *value,
			 u64 flags);
int rmap_sock_map_delete(struct bpf_map *map, void *key);
void rmap_sock_map_set_ops(struct bpf_map_ops *ops);
u64 rmap_sock_map_memory(const struct bpf_map *map);

/**
 * sock_map_stock() - the kernel's operations of a socket map
 * @map: a claimed socket map, so its operations are a part of its kind
 *
 * Context: any; per operation.
 * Return: the operations.
 */
static inline const struct bpf_map_ops *
sock_map_stock(const struct bpf_map *map)
{
	return container_of(map->ops, const struct kind, ops)->stock;
}

#endif /* REDIRMAP_SOCK_MAP_H */
