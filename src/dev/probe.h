/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_PROBE_H
#define REDIRMAP_PROBE_H

int rmap_probe_init(void);
void rmap_probe_exit(void);

#endif /* REDIRMAP_PROBE_H */
