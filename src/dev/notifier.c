// SPDX-License-Identifier: GPL-2.0-only
/*
 * The netdev notifier: passes events of devices on to their targets.
 *
 * This file owns the notifier, which core calls under RTNL, for the devices of
 * all namespaces. The notifier does not visit maps: a lookup sees in the target
 * that the device has left.
 */
#include <linux/limits.h>
#include <linux/netdevice.h>

#include "compat.h"
#include "log.h"
#include "notifier.h"
#include "target_device.h"

/* The kernel calls the function under RTNL. */
static int notifier_event(struct notifier_block *nb, unsigned long event,
			  void *ptr)
{
	struct net_device *dev = netdev_notifier_info_to_dev(ptr);

	switch (event) {
	case NETDEV_REGISTER:
		rmap_target_device_came(dev);
		break;
	case NETDEV_UNREGISTER:
		rmap_target_device_left(dev);
		break;
	case NETDEV_PRE_UP:
	case NETDEV_PRE_TYPE_CHANGE:
	case NETDEV_PRE_CHANGEADDR:
	case NETDEV_PRECHANGEMTU:
	case NETDEV_PRECHANGEUPPER:
		break;	/* the device has not changed yet */
	default:
		/* Mirroring is cheap, so no event needs to be left out. */
		rmap_target_device_changed(dev);
		break;
	}
	return NOTIFY_DONE;
}

/*
 * Core calls this notifier after all others: some of them change devices above
 * the device of the event, without an event for these.
 */
static struct notifier_block notifier_block = {
	.notifier_call = notifier_event,
	.priority = INT_MIN,
};

/**
 * rmap_notifier_init() - register the notifier
 *
 * Context: insmod, sleeps; takes RTNL.
 * Return: 0 or a negative errno.
 */
int __init rmap_notifier_init(void)
{
	int err = register_netdevice_notifier(&notifier_block);

	if (err)
		pr_err("registering the netdev notifier failed (%d)\n", err);
	return err;
}

/**
 * rmap_notifier_exit() - unregister the notifier
 *
 * Core calls the notifier with NETDEV_UNREGISTER for each device, so all
 * targets die.
 *
 * Context: rmmod, sleeps; takes RTNL.
 */
void rmap_notifier_exit(void)
{
	unregister_netdevice_notifier(&notifier_block);
}
