/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_SOCK_BATCH_H
#define REDIRMAP_SOCK_BATCH_H

struct bpf_map_ops;

void rmap_sock_batch_set_ops(struct bpf_map_ops *ops);

#endif /* REDIRMAP_SOCK_BATCH_H */
