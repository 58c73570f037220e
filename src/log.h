/* SPDX-License-Identifier: GPL-2.0-only */
/* Gives every line in the kernel log the module's name. */
#ifndef REDIRMAP_LOG_H
#define REDIRMAP_LOG_H

#undef pr_fmt
#define pr_fmt(fmt) "redirmap: " fmt

#include <linux/printk.h>

#endif /* REDIRMAP_LOG_H */
