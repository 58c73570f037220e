// SPDX-License-Identifier: GPL-2.0-only
/*
 * Tracepoints of socket maps: see include/trace/events/redirmap_sock.h.
 */
#define CREATE_TRACE_POINTS
#include "sock_trace.h"
