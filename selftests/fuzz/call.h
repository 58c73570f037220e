/* SPDX-License-Identifier: GPL-2.0-only */
/* bpf(2) with bad addresses, sizes and attributes. */
#ifndef REDIRMAP_FUZZ_CALL_H
#define REDIRMAP_FUZZ_CALL_H

#include "state.h"

bool call_init(void);
int bpf_call(int cmd, union bpf_attr *attr, const struct op *op);
void *place_key(const struct op *op, __u32 key);
void *place_value(const struct op *op, const __u64 *value);
/* The present content of the value. */
const __u8 *placed_value(void);

#endif /* REDIRMAP_FUZZ_CALL_H */
