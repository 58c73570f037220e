/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_TARGET_DEVICE_H
#define REDIRMAP_TARGET_DEVICE_H

struct list_head;
struct net_device;

void rmap_target_device_came(struct net_device *dev);
void rmap_target_device_changed(struct net_device *dev);
void rmap_target_device_left(struct net_device *dev);

void rmap_target_take_dead(struct list_head *dead);
unsigned int rmap_target_deaths(void);

#endif /* REDIRMAP_TARGET_DEVICE_H */
