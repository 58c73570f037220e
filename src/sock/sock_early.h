/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_SOCK_EARLY_H
#define REDIRMAP_SOCK_EARLY_H

struct bpf_map;
struct sock;

void rmap_sock_early_run(const struct bpf_map *map, struct sock *sk);
void rmap_sock_early_queue(const struct bpf_map *map, struct sock *sk);

int rmap_sock_early_init(void);
void rmap_sock_early_exit(void);

#endif /* REDIRMAP_SOCK_EARLY_H */
