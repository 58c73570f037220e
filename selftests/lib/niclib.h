/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The two virtio_net NICs of scripts/lab/vm --nics, which are joined by a
 * cable. They are found by their addresses, and are in the machine's own
 * namespace until a test takes them. Other machines do not have them.
 */
#ifndef REDIRMAP_NICLIB_H
#define REDIRMAP_NICLIB_H

#include <stdbool.h>

/**
 * struct nics - the NICs, while a test has them
 * @loaded: the test has loaded their driver
 */
struct nics {
	bool loaded;
};

/* The reason why a test is skipped without them. */
#define NO_NICS "no two virtio NICs: see scripts/lab/vm --nics"

/* Moves them to the caller's namespace, as nic0 and nic1, and sets them up. */
bool fetch_nics(struct nics *nics);

/* Moves them back, in their former state. */
bool return_nics(const struct nics *nics);

#endif /* REDIRMAP_NICLIB_H */
