/* SPDX-License-Identifier: GPL-2.0-only */
/* Devices and network namespaces. */
#ifndef REDIRMAP_FUZZ_DEVS_H
#define REDIRMAP_FUZZ_DEVS_H

#include "state.h"

bool devs_init(void);
bool devs_reset(void);
void dev_step(const struct op *op);
/* Packets and bytes that the devices which check their frames have sent. */
void devs_sent(__u32 sent[2 * NR_DEVS]);

#endif /* REDIRMAP_FUZZ_DEVS_H */
