/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_PART_H
#define REDIRMAP_PART_H

/**
 * struct part - a part of the module that is set up and torn down
 * @init: called by insmod, or NULL; returns 0, or a negative errno after it has
 *	undone its work
 * @exit: called by rmmod, or by an insmod that fails later, or NULL
 *
 * Tables of parts are __refconst: the kernel frees the init functions after
 * insmod, and after that no code reads their addresses.
 */
struct part {
	int (*init)(void);
	void (*exit)(void);
};

int rmap_part_init_all(const struct part *parts, unsigned int n);
void rmap_part_exit_all(const struct part *parts, unsigned int n);

#endif /* REDIRMAP_PART_H */
