/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef REDIRMAP_SOCK_TRACE_H
#define REDIRMAP_SOCK_TRACE_H

#include <trace/events/redirmap_sock.h>

#endif /* REDIRMAP_SOCK_TRACE_H */
