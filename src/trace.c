// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tracepoints of all claimed maps: see include/trace/events/redirmap.h.
 */
#define CREATE_TRACE_POINTS
#include "trace.h"
