/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_DEV_TRACE_H
#define REDIRMAP_DEV_TRACE_H

#include <trace/events/redirmap_dev.h>

#endif /* REDIRMAP_DEV_TRACE_H */
