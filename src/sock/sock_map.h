/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_SOCK_MAP_H
#define REDIRMAP_SOCK_MAP_H

#include <linux/bpf.h>
#include <linux/err.h>
#include <net/sock.h>

#include "hook.h"
#include "kind.h"

struct sock_stats;

#define SOCK_MAP_HOOKS 1

extern struct hook rmap_sock_map_hooks[SOCK_MAP_HOOKS];

u32 rmap_sock_map_bucket(const struct bpf_map *map, const void *key);
int rmap_sock_map_insert(struct bpf_map *map, struct sock_stats *stats,
			 void *key, const void *value, u64 flags);
int rmap_sock_map_delete(struct bpf_map *map, struct sock_stats *stats,
			 void *key);
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
 * A lookup by bpf(2) takes no reference, and returns the address of the cookie,
 * which it makes if there is none. It fails if the values of the map have 4
 * bytes. A lookup by programs takes a reference, except to a socket that is
 * marked as kept by RCU. listen() marks it, so a mark that is set between
 * lookup and test loses a reference: therefore only the maps with values of 4
 * bytes are looked up in this way.
 *
 * Context: inside an RCU read section, which keeps the socket, without
 * migration.
 * Return: the socket, or NULL.
 */
static inline struct sock *sock_map_lookup(struct bpf_map *map, void *key,
					   bool *counted)
{
	const struct bpf_map_ops *stock = sock_map_stock(map);
	atomic64_t *cookie;
	struct sock *sk;

	*counted = false;
	if (map->value_size == sizeof(u64)) {
		cookie = stock->map_lookup_elem_sys_only(map, key);
		return IS_ERR_OR_NULL(cookie) ? NULL :
			container_of(cookie, struct sock, sk_cookie);
	}
	sk = stock->map_lookup_elem(map, key);
	*counted = sk && sk_is_refcounted(sk);
	return sk;
}

#endif /* REDIRMAP_SOCK_MAP_H */
