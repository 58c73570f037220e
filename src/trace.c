// SPDX-License-Identifier: GPL-2.0-only
/*
 * Our tracepoints: see include/trace/events/redirmap.h.
 */
#define CREATE_TRACE_POINTS
#include "trace.h"
