// SPDX-License-Identifier: GPL-2.0-only
/*
 * For the suite: devices whose drivers behave in permitted, but rare ways.
 *
 * "ip link add f0 type faulty" makes one. A device receives the frames that it
 * sends. A packet goes to the device's native XDP program, if there is one, in
 * pages of a pool, and with fragments if the program supports them; otherwise
 * to the stack, which runs programs of generic XDP. XDP frames go to the stack.
 * Files in sysfs control the device: see faulty_knobs.c. A device can say that
 * it computes checksums of IPv4 (ethtool -K f0 tx-checksum-ipv4 on), but does
 * not do that.
 *
 * The device asserts what drivers of the kernel assume of each frame: see
 * faulty_check.c.
 */
#include <linux/bpf.h>
#include <linux/etherdevice.h>
#include <linux/filter.h>
#include <linux/if_vlan.h>
#include <linux/module.h>
#include <linux/netdevice.h>
#include <linux/percpu.h>
#include <linux/rtnetlink.h>
#include <linux/vmalloc.h>
#include <net/rtnetlink.h>
#include <net/xdp.h>

#ifdef HAVE_PAGE_POOL_HELPERS
#include <net/page_pool/helpers.h>
#else
#include <net/page_pool.h>
#endif

#include "faulty_check.h"
#include "faulty_dev.h"
#include "hoard.h"

/* Frames that a device can hold. */
#define HELD_MAX 8192

/* dpaa2 takes more headroom than any other driver. */
#define HEADROOM_WANTED 128

/*
 * Drivers map a frame's data together with their own headers, and programs may
 * have made the data longer at both ends. Do these bytes cross a page boundary?
 */
static bool faulty_crosses(const struct xdp_frame *frame)
{
	unsigned long begin = (unsigned long)frame->data - frame->headroom;
	unsigned long end = begin - sizeof(*frame) + frame->frame_sz -
			    SKB_DATA_ALIGN(sizeof(struct skb_shared_info));

	/* All bytes do not fit into a page, but the data may. */
	if (end - begin > PAGE_SIZE)
		end = (unsigned long)frame->data + frame->len;
	return end - begin <= PAGE_SIZE &&
	       begin / PAGE_SIZE != (end - 1) / PAGE_SIZE;
}

/* Is there room for one more frame? The caller holds the lock. */
static bool faulty_has_room(struct faulty *f)
{
	if (f->knob[ROOM] > 0)
		f->knob[ROOM]--;
	else if (!f->knob[ROOM])
		return false;
	return true;
}

static void faulty_count(struct faulty *f, unsigned int len)
{
	f->dev->stats.tx_packets++;
	f->dev->stats.tx_bytes += len;
}

static bool faulty_receive_frame(struct faulty *f, struct xdp_frame *frame)
{
	struct sk_buff *skb = xdp_build_skb_from_frame(frame, f->dev);

	if (skb)
		netif_rx(skb);
	return skb;
}

/*
 * Takes a frame if it is not too long and there is room. The caller holds the
 * lock.
 */
static bool faulty_take_frame(struct faulty *f, struct xdp_frame *frame)
{
	unsigned int len = xdp_get_frame_len(frame);

	if (f->knob[LONGEST] && len > f->knob[LONGEST])
		return false;
	if (f->nr_frames == HELD_MAX || !faulty_has_room(f))
		return false;
	faulty_count(f, len);
	if (!f->knob[HOLD])
		return faulty_receive_frame(f, frame);
	f->frames[f->nr_frames++] = frame;
	return true;
}

/* The error of a call on this CPU, or 0. */
static int faulty_error(const struct faulty *f)
{
	if (f->knob[RINGS] >= 0 && smp_processor_id() >= f->knob[RINGS])
		return -ENXIO;
	return -f->knob[ERROR];
}

/* Does a call flush the frames that the device has taken so far? */
static bool faulty_flushes(const struct faulty *f, int taken, u32 flags)
{
	return (flags & XDP_XMIT_FLUSH) && (taken || !f->knob[RINGS_IF_TAKEN]);
}

/* Number of calls that linger on this CPU. */
static DEFINE_PER_CPU(int, lingering);

/* Wait in the middle of a call, for other tasks of this CPU to act. */
static void faulty_linger(struct faulty *f)
{
	u64 end = ktime_get_ns() + f->knob[LINGER] * NSEC_PER_USEC;

	if (this_cpu_read(lingering)) {
		spin_lock(&f->lock);
		f->knob[MET]++;
		spin_unlock(&f->lock);
	}
	if (!f->knob[LINGER])
		return;
	this_cpu_inc(lingering);
	while (ktime_get_ns() < end)
		cpu_relax();
	this_cpu_dec(lingering);
}

static int faulty_xdp_xmit(struct net_device *dev, int n,
			   struct xdp_frame **frames, u32 flags)
{
	struct faulty *f = netdev_priv(dev);
	int error = faulty_error(f);
	int most = error ? 0 : min(n, f->knob[TAKE]);
	int taken;

	faulty_check_call(f->check, n, frames, flags, f->knob[WANTS], _RET_IP_);
	faulty_linger(f);
	spin_lock(&f->lock);
	for (taken = 0; taken < n; taken++)
		f->knob[CROSSED] += faulty_crosses(frames[taken]);
	for (taken = 0; taken < most; taken++)
		if (!faulty_take_frame(f, frames[taken]))
			break;
	spin_unlock(&f->lock);
	faulty_check_taken(f->check, taken, faulty_flushes(f, taken, flags),
			   _RET_IP_);
	return error ?: taken;
}

/* Also counts calls and flushes, and changes frames that are refused. */
static int faulty_count_xmit(struct net_device *dev, int n,
			     struct xdp_frame **frames, u32 flags)
{
	int sent = faulty_xdp_xmit(dev, n, frames, flags);
	struct faulty *f = netdev_priv(dev);
	int taken = max(sent, 0);

	if (f->knob[SPOIL])
		faulty_spoil(frames + taken, n - taken, f->knob[SPOIL] == 2);
	spin_lock(&f->lock);
	f->knob[CALLS]++;
	f->knob[WAITING] += taken;
	if (flags & XDP_XMIT_FLUSH)
		f->knob[FLUSHES]++;
	if (faulty_flushes(f, taken, flags))
		f->knob[WAITING] = 0;
	spin_unlock(&f->lock);
	return sent;
}

static netdev_tx_t faulty_start_xmit(struct sk_buff *skb,
				     struct net_device *dev)
{
	struct faulty *f = netdev_priv(dev);
	bool room;

	faulty_check_skb(dev, skb, (unsigned long)__builtin_return_address(0));
	spin_lock(&f->lock);
	room = faulty_has_room(f);
	if (room)
		faulty_count(f, skb->len);
	spin_unlock(&f->lock);
	if (!room)
		return NETDEV_TX_BUSY;

	/* The packet's socket keeps the namespace, which keeps this device. */
	skb_orphan(skb);
	/* The device inserts no tags, like some NICs. */
	__vlan_hwaccel_clear_tag(skb);
	if (f->knob[HOLD]) {
		skb_queue_tail(&f->packets, skb);
	} else if (rcu_access_pointer(f->prog)) {
		skb_queue_tail(&f->packets, skb);
		napi_schedule(&f->napi);
	} else {
		dev_forward_skb(dev, skb);
	}
	return NETDEV_TX_OK;
}

/* Put the rest of a packet into pages of its own. */
static void faulty_add_frags(struct faulty *f, struct xdp_buff *xdp,
			     struct sk_buff *skb, unsigned int from)
{
	struct skb_shared_info *info = xdp_get_shared_info_from_buff(xdp);
	struct page *page;
	unsigned int len;

	info->nr_frags = 0;
	info->xdp_frags_size = 0;
	for (; from < skb->len && info->nr_frags < MAX_SKB_FRAGS; from += len) {
		page = page_pool_dev_alloc_pages(f->pool);
		if (!page)
			break;
		len = min_t(unsigned int, skb->len - from, PAGE_SIZE);
		skb_copy_bits(skb, from, page_address(page), len);
		__skb_fill_page_desc_noacc(info, info->nr_frags++, page, 0, len);
		info->xdp_frags_size += len;
	}
	if (info->nr_frags)
		xdp_buff_set_frags_flag(xdp);
	if (info->nr_frags && f->knob[MEMALLOC])
		xdp_buff_set_frag_pfmemalloc(xdp);
}

/* Run the program on a frame that was made from a packet. */
static void faulty_run(struct faulty *f, struct bpf_prog *prog,
		       struct xdp_buff *xdp)
{
	u32 act = prog ? bpf_prog_run_xdp(prog, xdp) : XDP_DROP;

	if (act == XDP_REDIRECT && !xdp_do_redirect(f->dev, xdp, prog))
		return;
	xdp_return_buff(xdp);
}

/* Wait up to 10 seconds in the middle of a poll, for another CPU to act. */
static void faulty_pause(struct faulty *f, int frame)
{
	u64 end = ktime_get_ns() + 10ULL * NSEC_PER_SEC;

	if (frame != READ_ONCE(f->knob[PAUSE]))
		return;
	WRITE_ONCE(f->knob[PAUSED], 1);
	while (READ_ONCE(f->knob[PAUSE]) && ktime_get_ns() < end)
		cpu_relax();
	WRITE_ONCE(f->knob[PAUSED], 0);
}

/* Pages are allocated first, because there may be no memory later. */
static int faulty_poll(struct napi_struct *napi, int budget)
{
	struct faulty *f = container_of(napi, struct faulty, napi);
	int n = 0, i, len, most = PAGE_SIZE - f->knob[HEADROOM] -
			 SKB_DATA_ALIGN(sizeof(struct skb_shared_info));
	struct bpf_prog *prog = rcu_dereference_bh(f->prog);
	bool no_memory = READ_ONCE(f->knob[NO_MEMORY]);
	bool frags = prog && prog->aux->xdp_has_frags;
	struct xdp_buff *xdp = f->buffs;
	struct sk_buff *skb;
	struct page *page;

	if (frags)
		most = min(most, f->knob[LINEAR]);
	while (n < min(budget, NAPI_POLL_WEIGHT)) {
		skb = skb_dequeue(&f->packets);
		if (!skb)
			break;
		page = page_pool_dev_alloc_pages(f->pool);
		if (page) {
			len = min_t(int, skb->len, most);
			xdp_init_buff(&xdp[n], PAGE_SIZE, &f->rxq);
			xdp_prepare_buff(&xdp[n], page_address(page),
					 f->knob[HEADROOM], len, true);
			skb_copy_bits(skb, 0, xdp[n].data, len);
			if (frags)
				faulty_add_frags(f, &xdp[n], skb, most);
			n++;
		}
		consume_skb(skb);
	}
	if (no_memory)
		hoard_begin();
	for (i = 0; i < n; i++) {
		if (i)
			faulty_pause(f, i);
		faulty_run(f, prog, &xdp[i]);
	}
	xdp_do_flush();
	if (no_memory)
		hoard_end();

	if (n < budget && napi_complete_done(napi, n) &&
	    !skb_queue_empty(&f->packets) && !f->knob[HOLD])
		napi_schedule(napi);
	return n;
}

void faulty_receive_held(struct faulty *f)
{
	struct sk_buff *skb;
	int i;

	for (i = 0; i < f->nr_frames; i++) {
		/*
		 * Frames go to the stack at once, because a backlog has no room
		 * for all.
		 */
		local_bh_disable();
		skb = xdp_build_skb_from_frame(f->frames[i], f->dev);
		if (skb)
			netif_receive_skb(skb);
		else
			xdp_return_frame(f->frames[i]);
		local_bh_enable();
	}
	f->nr_frames = 0;

	if (rcu_access_pointer(f->prog)) {
		local_bh_disable();
		napi_schedule(&f->napi);
		local_bh_enable();
		napi_synchronize(&f->napi);
		return;
	}
	while ((skb = skb_dequeue(&f->packets))) {
		/*
		 * The softirq of this packet runs here, apart from those of
		 * others.
		 */
		local_bh_disable();
		dev_forward_skb(f->dev, skb);
		local_bh_enable();
	}
}

static void faulty_drop_held(struct faulty *f)
{
	while (f->nr_frames)
		xdp_return_frame(f->frames[--f->nr_frames]);
	skb_queue_purge(&f->packets);
}

static const struct net_device_ops faulty_ops, faulty_ops_no_xdp;

/* The device changes its operations at run time, like some drivers. */
void faulty_swap_ops(struct faulty *f, int val)
{
	WRITE_ONCE(f->knob[NO_NDO], val);
	WRITE_ONCE(f->dev->netdev_ops, val & 1 ? &faulty_ops_no_xdp : &faulty_ops);
}

static int faulty_bpf(struct net_device *dev, struct netdev_bpf *bpf)
{
	struct faulty *f = netdev_priv(dev);
	struct bpf_prog *old;

	if (bpf->command != XDP_SETUP_PROG)
		return -EINVAL;
	old = rtnl_dereference(f->prog);
	rcu_assign_pointer(f->prog, bpf->prog);
	if (old)
		bpf_prog_put(old);
	return 0;
}

static int faulty_open(struct net_device *dev)
{
	struct page_pool_params params = {
		.pool_size = 256,
		.nid = NUMA_NO_NODE,
		.dev = &dev->dev,
	};
	struct faulty *f = netdev_priv(dev);
	int err;

	f->pool = page_pool_create(&params);
	if (IS_ERR(f->pool))
		return PTR_ERR(f->pool);
	err = xdp_rxq_info_reg(&f->rxq, dev, 0, f->napi.napi_id);
	if (err)
		goto destroy_pool;
	err = xdp_rxq_info_reg_mem_model(&f->rxq, MEM_TYPE_PAGE_POOL, f->pool);
	if (err)
		goto unreg_rxq;
	napi_enable(&f->napi);
	netif_start_queue(dev);
	return 0;

unreg_rxq:
	xdp_rxq_info_unreg(&f->rxq);
destroy_pool:
	page_pool_destroy(f->pool);
	return err;
}

static int faulty_stop(struct net_device *dev)
{
	struct faulty *f = netdev_priv(dev);

	netif_stop_queue(dev);
	napi_disable(&f->napi);
	faulty_drop_held(f);
	xdp_rxq_info_unreg(&f->rxq);
	page_pool_destroy(f->pool);
	return 0;
}

static int faulty_init(struct net_device *dev)
{
	struct faulty *f = netdev_priv(dev);

	f->check = faulty_check_new(dev);
	if (!f->check)
		return -ENOMEM;
	f->frames = vcalloc(HELD_MAX, sizeof(*f->frames));
	if (!f->frames)
		goto free_check;
	return 0;

free_check:
	faulty_check_free(f->check);
	return -ENOMEM;
}

static void faulty_uninit(struct net_device *dev)
{
	struct faulty *f = netdev_priv(dev);

	faulty_drop_held(f);
	vfree(f->frames);
	faulty_check_free(f->check);
}

static const struct net_device_ops faulty_ops = {
	.ndo_init = faulty_init,
	.ndo_uninit = faulty_uninit,
	.ndo_open = faulty_open,
	.ndo_stop = faulty_stop,
	.ndo_start_xmit = faulty_start_xmit,
	.ndo_xdp_xmit = faulty_count_xmit,
	.ndo_bpf = faulty_bpf,
	.ndo_set_mac_address = eth_mac_addr,
};

/* The operations without ndo_xdp_xmit. */
static const struct net_device_ops faulty_ops_no_xdp = {
	.ndo_init = faulty_init,
	.ndo_uninit = faulty_uninit,
	.ndo_open = faulty_open,
	.ndo_stop = faulty_stop,
	.ndo_start_xmit = faulty_start_xmit,
	.ndo_bpf = faulty_bpf,
	.ndo_set_mac_address = eth_mac_addr,
};

static void faulty_setup(struct net_device *dev)
{
	struct faulty *f = netdev_priv(dev);

	ether_setup(dev);
	eth_hw_addr_random(dev);
	dev->netdev_ops = &faulty_ops;
	dev->priv_flags |= IFF_NO_QUEUE;
	dev->needs_free_netdev = true;
	dev->max_mtu = ETH_MAX_MTU;
	dev->hw_features |= NETIF_F_IP_CSUM;
	dev->sysfs_groups[0] = &faulty_group;
#ifdef HAVE_XDP_FEATURES
	dev->xdp_features = NETDEV_XDP_ACT_BASIC | NETDEV_XDP_ACT_REDIRECT |
			    NETDEV_XDP_ACT_NDO_XMIT | NETDEV_XDP_ACT_NDO_XMIT_SG;
#endif

	f->dev = dev;
	f->knob[TAKE] = INT_MAX;
	f->knob[ROOM] = -1;
	f->knob[RINGS] = -1;
	f->knob[HEADROOM] = XDP_PACKET_HEADROOM;
	f->knob[LINEAR] = INT_MAX;
	f->knob[WANTS] = HEADROOM_WANTED;
	f->knob[FEATURE] = 1;
	f->knob[SPOIL] = 1;
	spin_lock_init(&f->lock);
	skb_queue_head_init(&f->packets);
	netif_napi_add(dev, &f->napi, faulty_poll);
}

static struct rtnl_link_ops faulty_link_ops __read_mostly = {
	.kind = "faulty",
	.priv_size = sizeof(struct faulty),
	.setup = faulty_setup,
};

static int __init faulty_module_init(void)
{
	return rtnl_link_register(&faulty_link_ops);
}

static void __exit faulty_module_exit(void)
{
	rtnl_link_unregister(&faulty_link_ops);
}

module_init(faulty_module_init);
module_exit(faulty_module_exit);

MODULE_DESCRIPTION("redirmap selftest: devices whose drivers fail");
MODULE_ALIAS_RTNL_LINK("faulty");
MODULE_LICENSE("GPL");
