/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_OUTER_H
#define REDIRMAP_OUTER_H

int outer_init(void);
void outer_exit(void);

#endif /* REDIRMAP_OUTER_H */
