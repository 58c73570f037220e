/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_NETLINK_H
#define REDIRMAP_NETLINK_H

int rmap_nl_init(void);
void rmap_nl_exit(void);

#endif /* REDIRMAP_NETLINK_H */
