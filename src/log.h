/* SPDX-License-Identifier: GPL-2.0-only */
/* Puts the module's name in front of each line in the kernel log. */
#ifndef REDIRMAP_LOG_H
#define REDIRMAP_LOG_H

#undef pr_fmt
#define pr_fmt(fmt) "redirmap: " fmt

#include <linux/printk.h>

#endif /* REDIRMAP_LOG_H */
