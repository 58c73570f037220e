/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_CLAIM_H
#define REDIRMAP_CLAIM_H

int claim_init(void);
void claim_exit(void);

#endif /* REDIRMAP_CLAIM_H */
