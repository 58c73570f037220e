/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_CLAIM_H
#define REDIRMAP_CLAIM_H

int rmap_claim_init(void);
void rmap_claim_exit(void);

#endif /* REDIRMAP_CLAIM_H */
