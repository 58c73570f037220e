/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The two virtio_net NICs of scripts/lab/vm --nics, joined by a cable. They are
 * known by their addresses, and are in the machine's own namespace until a test
 * fetches them. Other machines do not have them.
 */
#ifndef REDIRMAP_NICLIB_H
#define REDIRMAP_NICLIB_H

#include <stdbool.h>

/**
 * struct nics - the NICs, while a test has them
 * @loaded: so was their driver, for this test
 */
struct nics {
	bool loaded;
};

/* Why a test is skipped without them. */
#define NO_NICS "no two virtio NICs: see scripts/lab/vm --nics"

/* Gets them into the caller's namespace, as nic0 and nic1, up. */
bool fetch_nics(struct nics *nics);

/* Back to where, and how, they were. */
bool return_nics(const struct nics *nics);

#endif /* REDIRMAP_NICLIB_H */
