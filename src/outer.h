/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_OUTER_H
#define REDIRMAP_OUTER_H

int rmap_outer_init(void);
void rmap_outer_exit(void);

#endif /* REDIRMAP_OUTER_H */
