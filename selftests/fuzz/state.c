// SPDX-License-Identifier: GPL-2.0-only
/* The state of a run, and its first failure: see state.h. */
#include "state.h"

struct state state;

bool failed(const char *fmt, ...)
{
	va_list ap;

	if (!*state.failure) {
		va_start(ap, fmt);
		vsnprintf(state.failure, sizeof(state.failure), fmt, ap);
		va_end(ap);
	}
	return false;
}
