/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_CREATE_H
#define REDIRMAP_CREATE_H

#include "hook.h"

#define CREATE_HOOKS 2

extern struct hook rmap_create_hooks[CREATE_HOOKS];

#endif /* REDIRMAP_CREATE_H */
