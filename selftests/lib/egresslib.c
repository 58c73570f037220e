// SPDX-License-Identifier: GPL-2.0-only
/* Egress programs for tests: see egresslib.h. */
#include "egresslib.h"
#include "faultylib.h"

#define MAP_SIZE 8

int new_map(const struct kind *kind, __u32 max_entries)
{
	return make_map_flags(kind->claimed, kind->type, sizeof(struct bpf_devmap_val),
			      max_entries, 0);
}

int put_value(int map, __u32 key, __u32 ifindex, int prog)
{
	struct bpf_devmap_val val = { .ifindex = ifindex, .bpf_prog.fd = prog };

	return bpf_map_update_elem(map, &key, &val, BPF_ANY) ? -errno : 0;
}

int value_id(int map, __u32 key)
{
	struct bpf_devmap_val val;

	memset(&val, 0xff, sizeof(val));
	return bpf_map_lookup_elem(map, &key, &val) ? -errno : (int)val.bpf_prog.id;
}

int value_ifindex(int map, __u32 key)
{
	struct bpf_devmap_val val = {};

	return bpf_map_lookup_elem(map, &key, &val) ? -errno : (int)val.ifindex;
}

int make_prog(enum bpf_prog_type type, enum bpf_attach_type attach, __u32 flags,
	      __u32 ifindex, int verdict)
{
	LIBBPF_OPTS(bpf_prog_load_opts, opts,
		.expected_attach_type = attach,
		.prog_flags = flags,
		.prog_ifindex = ifindex,
	);
	const struct bpf_insn insns[] = {
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .imm = verdict },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	int fd = bpf_prog_load(type, "egress", "GPL", insns, 2, &opts);

	return fd < 0 ? -errno : fd;
}

int make_egress(int verdict)
{
	return make_prog(BPF_PROG_TYPE_XDP, BPF_XDP_DEVMAP, 0, 0, verdict);
}

__u32 prog_id(int prog)
{
	struct bpf_prog_info info = {};
	__u32 len = sizeof(info);

	return bpf_obj_get_info_by_fd(prog, &info, &len) ? 0 : info.id;
}

bool prog_lives(__u32 id)
{
	int fd = bpf_prog_get_fd_by_id(id);

	if (fd < 0)
		return false;
	close(fd);
	return true;
}

bool prog_goes(__u32 id)
{
	int i;

	for (i = 0; i < 3000; i++) {
		if (!prog_lives(id))
			return true;
		usleep(10000);
	}
	return false;
}

bool prog_stays(__u32 id, int map, __u32 spare_key, __u32 ifindex)
{
	int fd = make_egress(XDP_PASS);
	__u32 other = prog_id(fd);
	bool ok = !put_value(map, spare_key, ifindex, fd) &&
		  !bpf_map_delete_elem(map, &spare_key);

	close(fd);
	return ok && prog_goes(other) && prog_lives(id);
}

/* Programs use up headroom that drivers might need. */
bool make_looker(struct env *e, const char *dev, const char *peer, const char *args)
{
	return make_pair(e, dev, peer, args) && (!e->faulty || turn(dev, "wants", 0)) &&
	       attach(e, peer, "look", e->generic);
}

bool make_checker(struct env *e, const char *dev, const char *peer, const char *args)
{
	bool was = e->faulty, ok;

	e->faulty = !e->generic;
	ok = make_looker(e, dev, peer, args);
	e->faulty = was;
	return ok;
}

bool start_egress_over(struct env *e, struct kind kind, int map)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts);
	int outer;

	e->generic = kind.generic;
	e->faulty = kind.faulty;
	if (!module_refs_become(kind.claimed) || !make_net(e) || !open_object(e, "egress.bpf.o"))
		return false;
	opts.inner_map_fd = map;
	outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "outer", 4, 4, 2, &opts);
	if (!use_map(e, "targets", map) || !use_map(e, "outer", outer) || !load_object(e))
		return false;
	set_var(e, "nr_keys", 1);
	set_var(e, "flags", XDP_DROP);
	return true;
}

bool start_egress(struct env *e, struct kind kind)
{
	return start_egress_over(e, kind, new_map(&kind, MAP_SIZE)) &&
	       make_looker(e, "t0", "r0", "mtu 1500") && put_prog(e, 0, "t0", NULL);
}

bool put_prog(struct env *e, __u32 key, const char *dev, const char *name)
{
	return !put_value(e->map, key, if_nametoindex(dev), name ? prog(e, name) : -1);
}

void forget_logs(struct env *e)
{
	forget_received(e);
	memset(run_of(e, 0), 0, sizeof(struct run) * LOG_MAX);
	memset(sight_of(e, 0), 0, sizeof(struct sight) * LOG_MAX);
	set_var(e, "nr_runs", 0);
	set_var(e, "nr_sights", 0);
}

int send_new(struct env *e, int n, int len)
{
	forget_logs(e);
	return send_to(e, "redirect", n, len);
}

struct run *run_of(struct env *e, int i)
{
	return (struct run *)global(e, "runs") + i;
}

struct sight *sight_of(struct env *e, int i)
{
	return (struct sight *)global(e, "sights") + i;
}

int marked(struct env *e, const char *dev, __u32 mark)
{
	__u32 ifindex = if_nametoindex(dev);
	int i, n = 0;

	for (i = 0; i < LOG_MAX; i++)
		n += sight_of(e, i)->ifindex == ifindex && sight_of(e, i)->mark == mark;
	return n;
}

bool seen_in_order(struct env *e, const char *dev, __u32 mark, int first, int step, int n)
{
	__u32 ifindex = if_nametoindex(dev);
	int i, found = 0;

	for (i = 0; i < LOG_MAX; i++) {
		struct sight *sight = sight_of(e, i);

		if (sight->ifindex != ifindex || sight->mark != mark)
			continue;
		if (sight->nr != first + found * step) {
			fprintf(stderr, "# %s: frame %u, not %u\n", dev, sight->nr,
				first + found * step);
			return false;
		}
		found++;
	}
	if (found != n)
		fprintf(stderr, "# %s: %d frames with mark %u, not %d\n", dev, found, mark, n);
	return found == n;
}
