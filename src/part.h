/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_PART_H
#define REDIRMAP_PART_H

/**
 * struct part - a part of the module that is brought up and torn down
 * @init: run by insmod; 0, or a negative errno with nothing left to undo; NULL
 *	where there is nothing to do
 * @exit: run by rmmod, or by an insmod that fails later; NULL likewise
 *
 * Tables of them are __refconst: the inits are gone after insmod, and nobody
 * looks at them any more.
 */
struct part {
	int (*init)(void);
	void (*exit)(void);
};

int rmap_part_init_all(const struct part *parts, unsigned int n);
void rmap_part_exit_all(const struct part *parts, unsigned int n);

#endif /* REDIRMAP_PART_H */
