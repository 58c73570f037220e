/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_NOTIFIER_H
#define REDIRMAP_NOTIFIER_H

int notifier_init(void);
void notifier_exit(void);

#endif /* REDIRMAP_NOTIFIER_H */
