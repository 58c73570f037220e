/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_DEV_H
#define REDIRMAP_DEV_H

int dev_init(void);
void dev_exit(void);

#endif /* REDIRMAP_DEV_H */
