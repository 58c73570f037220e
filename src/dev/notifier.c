// SPDX-License-Identifier: GPL-2.0-only
/*
 * What happens to devices, told to their targets.
 *
 * Owns the netdev notifier, which core calls under RTNL, for all namespaces.
 * Talks to targets alone: maps learn of a device that left by looking at its
 * target.
 */
#include <linux/limits.h>
#include <linux/netdevice.h>

#include "compat.h"
#include "log.h"
#include "notifier.h"
#include "target_device.h"

/* Under RTNL. */
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
		break;	/* nothing has changed yet */
	default:
		/* Cheaper than to know which event may change what. */
		rmap_target_device_changed(dev);
		break;
	}
	return NOTIFY_DONE;
}

/*
 * The last of all: others change the devices above one that they are told of,
 * without an event for these.
 */
static struct notifier_block notifier_block = {
	.notifier_call = notifier_event,
	.priority = INT_MIN,
};

/**
 * rmap_notifier_init() - start to follow devices
 *
 * Context: insmod; takes RTNL.
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
 * rmap_notifier_exit() - stop following devices
 *
 * Core tells that every device leaves, so no target is live any more.
 *
 * Context: rmmod; takes RTNL.
 */
void rmap_notifier_exit(void)
{
	unregister_netdevice_notifier(&notifier_block);
}
