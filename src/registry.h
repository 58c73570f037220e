/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_REGISTRY_H
#define REDIRMAP_REGISTRY_H

#include <linux/types.h>

struct net;
struct redir_map;

void registry_add(struct redir_map *rmap);
void registry_remove(struct redir_map *rmap);
void registry_find_closed(const struct net *net);
unsigned int registry_generation(void);
struct redir_map *registry_next(struct redir_map *at, u64 serial);

#endif /* REDIRMAP_REGISTRY_H */
