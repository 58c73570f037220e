/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_SOCK_HELPER_H
#define REDIRMAP_SOCK_HELPER_H

int rmap_sock_helper_init(void);
void rmap_sock_helper_exit(void);

#endif /* REDIRMAP_SOCK_HELPER_H */
