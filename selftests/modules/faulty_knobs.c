// SPDX-License-Identifier: GPL-2.0-only
/*
 * Files below faulty/ in the sysfs folder of a device, which control it:
 *
 * take		frames of a call of ndo_xdp_xmit() that the device takes at most
 * room		frames and packets that it takes until it is full; -1: no limit.
 *		A full device takes no frames, and is busy for packets
 * longest	the device refuses XDP frames that are longer, as veth and mlx5
 *		do; 0: none
 * linger	microseconds that a call of ndo_xdp_xmit() waits before it takes
 *		frames; on PREEMPT_RT, tasks may preempt it there
 * met		calls of ndo_xdp_xmit() so far that another task of the CPU has
 *		made while a call to any device lingered
 * error	the errno that ndo_xdp_xmit() returns, without taking a frame
 * rings	ndo_xdp_xmit() returns ENXIO on CPUs with this number or a
 *		higher one, like drivers with fewer rings than CPUs; -1: on none
 * rings_if_taken
 *		1: a flush has an effect only if the device takes a frame of the
 *		call, as in sfc
 * stopped	1: the transmit queue is stopped
 * hold		1: the device keeps the frames that it takes; writing 0 makes it
 *		receive them, in bulks of up to 64 if there is a program
 * headroom	bytes in front of a frame that the program of native XDP gets
 * linear	bytes of such a frame, at most, that are not in fragments
 * memalloc	1: fragments are marked as pages from the memory reserves
 * crossed	frames so far that a driver would have to map as more than one
 *		page, although they are not longer than a page
 * wants	bytes of headroom that frames must have
 * feature	1: the device announces ndo_xdp_xmit(), with fragments; 2:
 *		without (since 6.3)
 * no_ndo	1 removes ndo_xdp_xmit() without an event, 3 with an event; 0
 *		restores it without an event, 2 with an event
 * provoke	number of an assertion: checks a call that breaks it, see
 *		faulty_provoke.c
 * spoil	0: refused frames are not changed; 1: the device changes them
 *		and their length first, as virtio_net does; 2: their data only,
 *		as cpsw does
 * calls	number of calls of ndo_xdp_xmit()
 * flushes	number of these calls with XDP_XMIT_FLUSH
 * waiting	frames taken since the last flush; a NIC would not send them yet
 * pause	a poll stops before the frame of this number, until 0 is written
 * paused	1: a poll has stopped
 * no_memory	1: no page can be allocated while the program of native XDP runs
 *		and its redirected frames are sent, see hoard.c. Only while one
 *		CPU is online
 */
#include <linux/device.h>
#include <linux/netdevice.h>
#include <linux/rtnetlink.h>
#include <linux/sched/signal.h>
#include <net/xdp.h>

#include "faulty_check.h"
#include "faulty_dev.h"
#include "hoard.h"

/* Act on a value that was written to a file. Under RTNL. */
static void faulty_turned(struct faulty *f, enum faulty_knob knob)
{
	switch (knob) {
	case STOPPED:
		if (f->knob[STOPPED])
			netif_stop_queue(f->dev);
		else
			netif_wake_queue(f->dev);
		break;
	case HOLD:
		if (!f->knob[HOLD] && netif_running(f->dev))
			faulty_receive_held(f);
		break;
#ifdef HAVE_XDP_FEATURES
	case FEATURE:
		if (f->knob[FEATURE] != 1)
			xdp_features_clear_redirect_target(f->dev);
		if (f->knob[FEATURE])
			xdp_features_set_redirect_target(f->dev, f->knob[FEATURE] == 1);
		break;
#endif
	case NO_NDO:
		faulty_swap_ops(f, f->knob[NO_NDO]);
		netdev_state_change(f->dev);
		break;
	default:
		break;
	}
}

static enum faulty_knob knob_of(struct device_attribute *attr)
{
	return (long)container_of(attr, struct dev_ext_attribute, attr)->var;
}

static ssize_t knob_show(struct device *dev, struct device_attribute *attr,
			 char *buf)
{
	struct faulty *f = netdev_priv(to_net_dev(dev));

	return sysfs_emit(buf, "%d\n", f->knob[knob_of(attr)]);
}

static ssize_t knob_store(struct device *dev, struct device_attribute *attr,
			  const char *buf, size_t len)
{
	struct faulty *f = netdev_priv(to_net_dev(dev));
	int err, val;

	err = kstrtoint(buf, 0, &val);
	if (err)
		return err;
	if (knob_of(attr) == NO_MEMORY && val && !hoard_possible())
		return -EBUSY;
	/* The poll that this lets continue may run under RTNL. */
	if (knob_of(attr) == PAUSE) {
		WRITE_ONCE(f->knob[PAUSE], val);
		return len;
	}
	if (knob_of(attr) == NO_NDO && !(val & 2)) {
		faulty_swap_ops(f, val);
		return len;
	}
	if (knob_of(attr) == PROVOKE)
		return faulty_provoke(f->check, to_net_dev(dev), val) ?: len;
	/* Unregistration waits for this file, under RTNL. */
	if (!rtnl_trylock())
		return restart_syscall();
	WRITE_ONCE(f->knob[knob_of(attr)], val);
	faulty_turned(f, knob_of(attr));
	rtnl_unlock();
	return len;
}

#define KNOB(_name, _nr)						\
	static struct dev_ext_attribute knob_##_name = {		\
		__ATTR(_name, 0644, knob_show, knob_store), (void *)_nr	\
	}

KNOB(take, TAKE);
KNOB(room, ROOM);
KNOB(error, ERROR);
KNOB(stopped, STOPPED);
KNOB(hold, HOLD);
KNOB(headroom, HEADROOM);
KNOB(linear, LINEAR);
KNOB(memalloc, MEMALLOC);
KNOB(crossed, CROSSED);
KNOB(spoil, SPOIL);
KNOB(calls, CALLS);
KNOB(flushes, FLUSHES);
KNOB(waiting, WAITING);
KNOB(pause, PAUSE);
KNOB(paused, PAUSED);
KNOB(wants, WANTS);
KNOB(provoke, PROVOKE);
KNOB(no_memory, NO_MEMORY);
KNOB(no_ndo, NO_NDO);
KNOB(rings, RINGS);
KNOB(rings_if_taken, RINGS_IF_TAKEN);
KNOB(longest, LONGEST);
KNOB(linger, LINGER);
KNOB(met, MET);
#ifdef HAVE_XDP_FEATURES
KNOB(feature, FEATURE);
#endif

static struct attribute *faulty_attrs[] = {
	&knob_take.attr.attr,
	&knob_room.attr.attr,
	&knob_error.attr.attr,
	&knob_rings.attr.attr,
	&knob_rings_if_taken.attr.attr,
	&knob_longest.attr.attr,
	&knob_linger.attr.attr,
	&knob_met.attr.attr,
	&knob_stopped.attr.attr,
	&knob_hold.attr.attr,
	&knob_headroom.attr.attr,
	&knob_linear.attr.attr,
	&knob_memalloc.attr.attr,
	&knob_crossed.attr.attr,
	&knob_spoil.attr.attr,
	&knob_calls.attr.attr,
	&knob_flushes.attr.attr,
	&knob_waiting.attr.attr,
	&knob_pause.attr.attr,
	&knob_paused.attr.attr,
	&knob_wants.attr.attr,
	&knob_provoke.attr.attr,
	&knob_no_memory.attr.attr,
	&knob_no_ndo.attr.attr,
#ifdef HAVE_XDP_FEATURES
	&knob_feature.attr.attr,
#endif
	NULL
};

const struct attribute_group faulty_group = {
	.name = "faulty",
	.attrs = faulty_attrs,
};
