// SPDX-License-Identifier: GPL-2.0-only
/* Maps, programs and frames for tests: see xdplib.h; for traces: tracelib.c. */
#include <linux/btf.h>
#include <sys/mman.h>

#include <bpf/btf.h>

#include "faultylib.h"
#include "testlib.h"
#include "xdplib.h"

void hurry(bool on)
{
	write_str("/sys/kernel/rcu_expedited", on ? "1" : "0");
}

bool make_net(struct env *e)
{
	int i;

	for (i = 0; i < QUEUES; i++)
		e->tap[i] = -1;
	e->sock = -1;
	run_on_cpu(0);
	hurry(true);
	if (!enter_net())
		return false;
	e->sock = open_sender();
	return e->sock >= 0 && (!(e->generic || e->wire) || make_veth("g0", "g1", "mtu 3300"));
}

bool del_net(struct env *e)
{
	bool ok;
	int i;

	for (i = 0; i < QUEUES; i++)
		if (e->tap[i] >= 0)
			close(e->tap[i]);
	if (e->sock >= 0)
		close(e->sock);
	ok = delete_devices();
	hurry(false);
	return ok;
}

bool open_object(struct env *e, const char *file)
{
	e->obj = bpf_object__open(beside(file));
	e->nr_maps = 0;
	e->map = -1;
	return e->obj;
}

bool use_map(struct env *e, const char *name, int fd)
{
	struct bpf_map_info info = {};
	__u32 len = sizeof(info);

	if (fd < 0 || e->nr_maps == MAPS_MAX || bpf_obj_get_info_by_fd(fd, &info, &len))
		return false;
	if (!e->nr_maps)
		e->map = fd;
	e->map_ids[e->nr_maps] = info.id;
	e->maps[e->nr_maps++] = fd;
	return !bpf_map__reuse_fd(bpf_object__find_map_by_name(e->obj, name), fd);
}

bool load_object(struct env *e)
{
	struct bpf_map *map, *bss = NULL;
	long page = sysconf(_SC_PAGESIZE);

	if (bpf_object__load(e->obj))
		return false;
	bpf_object__for_each_map(map, e->obj) {
		if (strstr(bpf_map__name(map), ".bss"))
			bss = map;
	}
	if (!bss)
		return true;
	e->globals_size = (bpf_map__value_size(bss) + page - 1) / page * page;
	e->globals = mmap(NULL, e->globals_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			  bpf_map__fd(bss), 0);
	return e->globals != MAP_FAILED;
}

void unload(struct env *e)
{
	int i;

	if (e->globals_size)
		munmap(e->globals, e->globals_size);
	e->globals_size = 0;
	bpf_object__close(e->obj);
	e->obj = NULL;
	for (i = 0; i < e->nr_maps; i++)
		close(e->maps[i]);
	e->nr_maps = 0;
}

int prog(struct env *e, const char *name)
{
	return bpf_program__fd(bpf_object__find_program_by_name(e->obj, name));
}

bool attach(struct env *e, const char *dev, const char *name, bool generic)
{
	__u32 mode = generic || is_faulty_peer(dev) ? XDP_FLAGS_SKB_MODE : XDP_FLAGS_DRV_MODE;

	return !bpf_xdp_attach(if_nametoindex(dev), name ? prog(e, name) : -1, mode, NULL);
}

bool make_pair(struct env *e, const char *dev, const char *peer, const char *args)
{
	return e->faulty ? make_faulty_pair(dev, peer, args) : make_veth(dev, peer, args);
}

bool make_target(struct env *e, const char *dev, const char *peer)
{
	return make_pair(e, dev, peer, "mtu 1500") && attach(e, peer, "receive", e->generic);
}

void *global(struct env *e, const char *name)
{
	const struct btf *btf = bpf_object__btf(e->obj);
	const struct btf_var_secinfo *var;
	const struct btf_type *sec;
	int i;

	sec = btf__type_by_id(btf, btf__find_by_name_kind(btf, ".bss", BTF_KIND_DATASEC));
	for (i = 0, var = btf_var_secinfos(sec); i < btf_vlen(sec); i++, var++) {
		const struct btf_type *t = btf__type_by_id(btf, var->type);

		if (!strcmp(btf__name_by_offset(btf, t->name_off), name))
			return e->globals + var->offset;
	}
	fprintf(stderr, "no variable %s\n", name);
	abort();
}

void set_var(struct env *e, const char *name, __u64 value)
{
	*(volatile __u64 *)global(e, name) = value;
}

__u64 get_var(struct env *e, const char *name)
{
	return *(volatile __u64 *)global(e, name);
}

bool put(struct env *e, __u32 key, const char *dev)
{
	__u32 ifindex = if_nametoindex(dev);

	return !bpf_map_update_elem(e->map, &key, &ifindex, BPF_ANY);
}

bool del(struct env *e, __u32 key)
{
	return !bpf_map_delete_elem(e->map, &key);
}

bool put_all(struct env *e, __u32 key, const char *dev)
{
	__u32 ifindex = if_nametoindex(dev);
	bool ok = true;
	int i;

	for (i = 0; i < e->nr_maps; i++)
		ok = !bpf_map_update_elem(e->maps[i], &key, &ifindex, BPF_ANY) && ok;
	return ok;
}

bool del_all(struct env *e, __u32 key)
{
	bool ok = true;
	int i;

	for (i = 0; i < e->nr_maps; i++)
		ok = !bpf_map_delete_elem(e->maps[i], &key) && ok;
	return ok;
}

int leads_to(struct env *e, __u32 key)
{
	int i, now, first = 0;
	__u32 ifindex;

	for (i = 0; i < e->nr_maps; i++) {
		now = bpf_map_lookup_elem(e->maps[i], &key, &ifindex) ? -errno : (int)ifindex;
		if (i && now != first)
			return -EBADE;
		first = now;
	}
	return first;
}

int send_live_from(struct env *e, const char *name, const char *dev, int n, int len)
{
	struct xdp_md ctx = {
		.data_end = len,
		.ingress_ifindex = if_nametoindex(dev),
	};
	unsigned char frame[FRAME_MAX];
	LIBBPF_OPTS(bpf_test_run_opts, opts,
		.data_in = frame,
		.data_size_in = len,
		.ctx_in = &ctx,
		.ctx_size_in = sizeof(ctx),
		.flags = BPF_F_TEST_XDP_LIVE_FRAMES,
		.repeat = n,
	);

	make_frame(frame, 0, len);
	e->live = true;
	return bpf_prog_test_run_opts(prog(e, name), &opts);
}

int send_live(struct env *e, const char *name, int n, int len)
{
	return send_live_from(e, name, "lo", n, len);
}

int send_packets(struct env *e, int n, int len)
{
	return send_on(e->sock, "g0", 0, n, len);
}

static bool is_attached(struct env *e, const char *dev, const char *name)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info), id = 0;

	return !bpf_obj_get_info_by_fd(prog(e, name), &info, &len) &&
	       !bpf_xdp_query_id(if_nametoindex(dev), 0, &id) && id == info.id;
}

int send_to(struct env *e, const char *name, int n, int len)
{
	if (!e->generic && !e->wire)
		return send_live(e, name, n, len);
	/* never two programs at once, and no frames without a program */
	if (!is_attached(e, "g1", name) &&
	    (!attach(e, "g1", NULL, e->generic) || !attach(e, "g1", name, e->generic)))
		return -EIO;
	return send_packets(e, n, len);
}

/* The counters of each queue. */
static volatile __u64 *counters_of(struct env *e, const char *dev)
{
	volatile __u64 (*counters)[QUEUES] = global(e, "received");

	return counters[if_nametoindex(dev) % DEVICES];
}

static __u64 sum_of(volatile __u64 *counters)
{
	__u64 sum = 0;
	int i;

	for (i = 0; i < QUEUES; i++)
		sum += counters[i];
	return sum;
}

__u64 received_on(struct env *e, const char *dev, int queue)
{
	return counters_of(e, dev)[queue];
}

__u64 received(struct env *e, const char *dev)
{
	return sum_of(counters_of(e, dev));
}

void forget_received(struct env *e)
{
	memset(global(e, "received"), 0, sizeof(__u64) * DEVICES * QUEUES);
	set_var(e, "seen", 0);
}

bool arrive_at(struct env *e, const char *dev, __u64 want)
{
	volatile __u64 *counters = counters_of(e, dev);
	int i;

	for (i = 0; i < 20000 && sum_of(counters) < want; i++)
		usleep(1000);
	return sum_of(counters) >= want;
}

bool all_seen(struct env *e, __u64 want)
{
	int i;

	for (i = 0; i < 120000 && get_var(e, "seen") < want; i++)
		usleep(500);
	return get_var(e, "seen") >= want;
}

__u64 settled(struct env *e, const char *dev, __u64 want)
{
	arrive_at(e, dev, want);
	usleep(want ? 5000 : 10000);
	return received(e, dev);
}

bool finish(struct env *e)
{
	/*
	 * Devices are deleted while maps and programs are in place, as usual.
	 */
	bool ok = del_net(e);

	/* Maps are freed after grace periods. */
	hurry(true);
	/* Drivers have pools of pages as well. */
	ok = (!e->tracing || pages_are_back(e)) && ok;
	trace_end(e);
	unload(e);
	ok = module_refs_become(0) && ok;
	hurry(false);
	return ok;
}
