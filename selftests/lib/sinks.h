/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Shared by dev_device_types.c and dev_device_nics.c: frames that come in on g1
 * are redirected to key 0, in turn by an array and by a hash. In native XDP the
 * driver redirects, in generic XDP the core of the stack. The frames arrive at
 * sinks (sinklib.h).
 */
#ifndef REDIRMAP_SINKS_H
#define REDIRMAP_SINKS_H

#include "kinds.h"
#include "sinklib.h"
#include "testlib.h"
#include "xdplib.h"

#define FRAMES 100
#define LEN NUMBERED_LEN

/* Makes a veth whose peer passes frames to its stack, and so to the sink. */
static inline bool make_sink(struct env *e, struct sink *sink, const char *dev, const char *peer)
{
	return make_veth(dev, peer, "") && attach(e, peer, "pass", e->generic) &&
	       sink_open(sink, peer);
}

static inline bool start(struct env *e, const struct kind *kind)
{
	if ((!kind->generic && !make_veth("g0", "g1", "")) ||
	    !open_object(e, "redirect.bpf.o") ||
	    !use_map(e, "targets", make_map(kind->claimed, BPF_MAP_TYPE_DEVMAP, 8)) ||
	    !use_map(e, "targets_too", make_map(kind->claimed, BPF_MAP_TYPE_DEVMAP_HASH, 8)) ||
	    !load_object(e))
		return false;
	set_var(e, "nr_keys", 1);
	set_var(e, "flags", XDP_DROP);
	/* finish() waits until all frames are freed */
	return attach(e, "g1", "redirect_both", kind->generic) && trace_start(e);
}

/* Do frames that are sent on a device arrive at a sink? */
static inline bool arrive(struct env *e, const char *dev, struct sink *sink)
{
	sink_expect(sink, 0, FRAMES, LEN);
	return !send_numbered(e, dev, 0, FRAMES) && sink_ok(sink);
}

#endif /* REDIRMAP_SINKS_H */
