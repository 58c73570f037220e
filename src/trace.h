/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_TRACE_H
#define REDIRMAP_TRACE_H

#include <trace/events/redirmap.h>

#endif /* REDIRMAP_TRACE_H */
