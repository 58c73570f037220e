// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tracepoints of device maps: see include/trace/events/redirmap_dev.h.
 */
#define CREATE_TRACE_POINTS
#include "dev_trace.h"
