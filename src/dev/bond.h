/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_BOND_H
#define REDIRMAP_BOND_H

#include <linux/types.h>

struct net_device;

bool rmap_bond_takes_frames(struct net_device *bond);

#endif /* REDIRMAP_BOND_H */
