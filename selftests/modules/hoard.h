/* SPDX-License-Identifier: GPL-2.0-only */
/* Makes all page allocations fail for a short time: see hoard.c. */
#ifndef REDIRMAP_HOARD_H
#define REDIRMAP_HOARD_H

bool hoard_possible(void);
void hoard_begin(void);
void hoard_end(void);

#endif /* REDIRMAP_HOARD_H */
