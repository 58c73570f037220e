/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_NOTIFIER_H
#define REDIRMAP_NOTIFIER_H

int rmap_notifier_init(void);
void rmap_notifier_exit(void);

#endif /* REDIRMAP_NOTIFIER_H */
