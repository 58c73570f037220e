/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_SOCK_MAP_H
#define REDIRMAP_SOCK_MAP_H

#include <linux/bpf.h>
#include <net/sock.h>

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

/**
 * sock_map_lookup() - the socket at a key
 * @map: a claimed socket map
 * @key: the key
 * @counted: set to whether the caller has to release a reference
 *
 * The kernel takes no reference to a socket that RCU keeps. Any socket becomes
 * one by listen(), so the caller must not test that later.
 *
 * Context: inside an RCU read section, which keeps the socket, without
 * migration.
 * Return: the socket, or NULL.
 */
static inline struct sock *sock_map_lookup(struct bpf_map *map, void *key,
					   bool *counted)
{
	struct sock *sk = sock_map_stock(map)->map_lookup_elem(map, key);

	*counted = sk && sk_is_refcounted(sk);
	return sk;
}

#endif /* REDIRMAP_SOCK_MAP_H */
