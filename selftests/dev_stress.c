// SPDX-License-Identifier: GPL-2.0-only
/*
 * Packets on two CPUs, in native and generic XDP, while entries are updated and
 * deleted, devices are created, deleted, moved between namespaces and changed,
 * maps are created and closed, and the module is unloaded and loaded. The
 * machine must survive with a clean log, devices can be deleted, and no
 * reference to the module is left.
 */
#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "kinds.h"
#include "netlib.h"
#include "testlib.h"
#include "harness.h"

#define DEVICES 6
#define KEYS 16

static volatile bool stop;

struct load {
	int prog, map, cpu;
	bool claimed;
	enum bpf_map_type type;
	unsigned int idle_us;
	volatile unsigned long done;
};

/* Native XDP: the kernel's generator of frames. */
static void *native_load(void *arg)
{
	struct load *load = arg;
	char frame[64] = {};
	struct xdp_md ctx = {
		.data_end = sizeof(frame),
		.ingress_ifindex = if_nametoindex("stress_in"),
	};

	run_on_cpu(load->cpu);
	while (!stop) {
		LIBBPF_OPTS(bpf_test_run_opts, opts,
			    .data_in = frame, .data_size_in = sizeof(frame),
			    .ctx_in = &ctx, .ctx_size_in = sizeof(ctx),
			    .repeat = 128, .flags = BPF_F_TEST_XDP_LIVE_FRAMES);

		if (!bpf_prog_test_run_opts(load->prog, &opts))
			load->done += opts.repeat;
		/* The other tasks need some of a slow CPU as well. */
		usleep(2000);
	}
	return NULL;
}

/*
 * Generic XDP: frames into a veth; the program runs on skbs at the other end.
 */
static void *generic_load(void *arg)
{
	struct load *load = arg;
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_ifindex = if_nametoindex("stress_gx"),
		.sll_halen = ETH_ALEN,
	};
	char frame[64] = "\xff\xff\xff\xff\xff\xff\x02\x00\x00\x00\x00\x01\x12\x34";
	int i, fd = socket(AF_PACKET, SOCK_RAW, 0);

	run_on_cpu(load->cpu);
	while (!stop && fd >= 0) {
		for (i = 0; i < 32; i++)
			if (sendto(fd, frame, sizeof(frame), 0,
				   (struct sockaddr *)&to, sizeof(to)) > 0)
				load->done++;
		usleep(2000);
	}
	close(fd);
	return NULL;
}

static void *update_load(void *arg)
{
	struct load *load = arg;
	unsigned int seed = 1;
	__u32 key, ifindex;
	char name[32];

	while (!stop) {
		key = rand_r(&seed) % KEYS;
		if (rand_r(&seed) % 4) {
			snprintf(name, sizeof(name), "stress%d",
				 rand_r(&seed) % DEVICES);
			ifindex = if_nametoindex(name);
			if (ifindex && !bpf_map_update_elem(load->map, &key, &ifindex, BPF_ANY))
				load->done++;
		} else {
			bpf_map_delete_elem(load->map, &key);
		}
		if (!(rand_r(&seed) % 16))
			usleep(1000);
	}
	return NULL;
}

static void make_device(int i)
{
	/* The peer drops its frames, so that the driver accepts frames. */
	ip("link add stress%d type veth peer name stress_p%d\n"
	   "link set stress_p%d xdpdrv pinned /sys/fs/bpf/stress_sink\n"
	   "link set stress%d up\nlink set stress_p%d up\n", i, i, i, i, i);
}

static void *device_load(void *arg)
{
	struct load *load = arg;
	unsigned int seed = 2;
	int i;

	while (!stop) {
		i = rand_r(&seed) % DEVICES;
		switch (rand_r(&seed) % 6) {
		case 0:
			ip("link del stress%d\n", i);
			make_device(i);
			break;
		case 1:
			ip("link set stress%d netns stress_ns\n", i);
			sh("ip -n stress_ns link set stress%d netns 1 2>/dev/null", i);
			ip("link set stress%d up\n", i);
			break;
		case 2:
			ip("link set stress%d mtu %d\n", i, 1000 + rand_r(&seed) % 500);
			break;
		case 3:
			ip("link set stress%d down\nlink set stress%d up\n", i, i);
			break;
		case 4:
			sh("ip netns del stress_ns; ip netns add stress_ns");
			make_device(i);
			break;
		case 5:
			ip("link set stress_p%d xdpdrv off\n"
			   "link set stress_p%d xdpdrv pinned /sys/fs/bpf/stress_sink\n", i, i);
			break;
		}
		load->done++;
	}
	return NULL;
}

/* Maps, alone and in outer maps, with entries, closed at once. */
static void *map_load(void *arg)
{
	struct load *load = arg;
	const char *name = load->claimed ? "rm_stress" : "st_stress";
	__u32 key = 1, zero = 0, ifindex = if_nametoindex("stress_in");
	int map, outer;

	while (!stop) {
		LIBBPF_OPTS(bpf_map_create_opts, opts);

		map = bpf_map_create(load->type, name, 4, 4, KEYS, NULL);
		if (map < 0)
			continue;
		if (!bpf_map_update_elem(map, &key, &ifindex, BPF_ANY))
			load->done++;
		opts.inner_map_fd = map;
		outer = bpf_map_create(BPF_MAP_TYPE_ARRAY_OF_MAPS, "stress_outer",
				       4, 4, 4, &opts);
		if (outer >= 0) {
			bpf_map_update_elem(outer, &zero, &map, BPF_ANY);
			close(outer);
		}
		close(map);
		usleep(load->idle_us);
	}
	return NULL;
}

FIXTURE(stress) {
	struct bpf_object *obj;
	int map, refs;
	bool ready;
};

FIXTURE_VARIANT(stress)
{
	struct kind kind;
};

MAP_KINDS(stress);

static void remove_devices(void)
{
	int i;

	sh("ip netns del stress_ns 2>/dev/null");
	for (i = 0; i < DEVICES; i++)
		ip("link del stress%d\n", i);
	ip("link del stress_in\nlink del stress_gx\n");
	unlink("/sys/fs/bpf/stress_sink");
}

FIXTURE_SETUP(stress)
{
	struct bpf_program *scatter, *sink;
	struct bpf_map *map;
	int i;

	if (geteuid() || module_refs() < 0)
		SKIP(return, "not root, or the module is not loaded");

	stop = false;
	remove_devices();
	self->refs = module_refs();

	self->obj = bpf_object__open(beside("stress.bpf.o"));
	ASSERT_NE(NULL, self->obj);

	self->map = make_map(variant->kind.claimed, variant->kind.type, KEYS);
	ASSERT_GE(self->map, 0);
	map = bpf_object__find_map_by_name(self->obj, "targets");
	bpf_map__set_type(map, variant->kind.type);
	ASSERT_EQ(0, bpf_map__reuse_fd(map, self->map));
	ASSERT_EQ(0, bpf_object__load(self->obj));

	sink = bpf_object__find_program_by_name(self->obj, "sink");
	ASSERT_EQ(0, bpf_program__pin(sink, "/sys/fs/bpf/stress_sink"));
	scatter = bpf_object__find_program_by_name(self->obj, "scatter");

	sh("ip netns add stress_ns");
	ASSERT_TRUE(ip("link add stress_in type veth peer name stress_out\n"
		       "link add stress_gx type veth peer name stress_gr\n"
		       "link set stress_in up\nlink set stress_out up\n"
		       "link set stress_gx up\nlink set stress_gr up\n"));
	ASSERT_EQ(0, bpf_xdp_attach(if_nametoindex("stress_gr"),
				    bpf_program__fd(scatter), 1U << 1, NULL));
	for (i = 0; i < DEVICES; i++)
		make_device(i);
	self->ready = true;
}

FIXTURE_TEARDOWN(stress)
{
	if (!self->ready)
		return;
	remove_devices();
	bpf_object__close(self->obj);
	close(self->map);
}

struct loads {
	struct load load[7];
	void *(*func[7])(void *);
	pthread_t thread[7];
	int n;
};

static void start(struct loads *loads, void *(*func)(void *), const struct load *load)
{
	loads->load[loads->n] = *load;
	loads->func[loads->n] = func;
	pthread_create(&loads->thread[loads->n], NULL, func, &loads->load[loads->n]);
	loads->n++;
}

static void start_all(struct loads *loads, FIXTURE_DATA(stress) *self,
		      const FIXTURE_VARIANT(stress) *variant)
{
	struct load load = {
		.prog = bpf_program__fd(bpf_object__find_program_by_name(self->obj,
									 "scatter")),
		.map = self->map,
		.claimed = variant->kind.claimed,
		.type = variant->kind.type,
		.idle_us = 2000,
	};

	start(loads, native_load, &load);
	load.cpu = 1;
	start(loads, native_load, &load);
	start(loads, generic_load, &load);
	start(loads, update_load, &load);
	start(loads, device_load, &load);
	start(loads, map_load, &load);
}

static void stop_all(struct loads *loads)
{
	int i;

	stop = true;
	for (i = 0; i < loads->n; i++)
		pthread_join(loads->thread[i], NULL);
}

TEST_F(stress, everything_at_once)
{
	struct loads loads = {};
	char name[32];
	int i;

	start_all(&loads, self, variant);
	/* At least six changes of devices; the other loads do many more. */
	for (i = 0; i < loads.n; i++)
		while (loads.load[i].done < (loads.func[i] == device_load ?
					     longer(12, 100) : 1))
			usleep(10000);
	stop_all(&loads);

	for (i = 0; i < loads.n; i++) {
		TH_LOG("load %d: %lu", i, loads.load[i].done);
	}

	/* There is no reference to a device. */
	remove_devices();
	for (i = 0; i < DEVICES; i++) {
		snprintf(name, sizeof(name), "stress%d", i);
		EXPECT_EQ(0, if_nametoindex(name));
	}

	bpf_xdp_detach(if_nametoindex("stress_gr"), 1U << 1, NULL);
	bpf_object__close(self->obj);
	close(self->map);
	self->ready = false;
	EXPECT_TRUE(module_refs_become(self->refs));
}

/* Packets go through a stock map, while other maps are created and closed. */
TEST_F(stress, unload_and_load)
{
	const char *ko = getenv("REDIRMAP_KO");
	const char *claim = getenv("REDIRMAP_CLAIM");
	/*
	 * A claimed map exists for about ten milliseconds, and prevents rmmod.
	 */
	struct load load = {
		.claimed = true, .type = variant->kind.type, .idle_us = 300000,
	};
	int i, fd, unloaded = 0, tries;
	char param[64];
	struct loads loads = {};

	if (variant->kind.claimed)
		SKIP(return, "a claimed map keeps the module");
	if (!ko || !claim)
		SKIP(return, "run-tests sets the module to load");

	snprintf(param, sizeof(param), "claim=%s", claim);
	start_all(&loads, self, variant);
	start(&loads, map_load, &load);

	for (i = 0; i < 2; i++) {
		for (tries = 0; tries < 100; tries++) {
			if (!syscall(SYS_delete_module, "redirmap", O_NONBLOCK)) {
				unloaded++;
				break;
			}
			usleep(10000);
		}
		usleep(20000);
		if (module_refs() >= 0)
			continue;
		fd = open(ko, O_RDONLY | O_CLOEXEC);
		EXPECT_EQ(0, syscall(SYS_finit_module, fd, param, 0));
		close(fd);
	}
	stop_all(&loads);
	TH_LOG("unloaded %d times", unloaded);
	EXPECT_GT(unloaded, 0);
	EXPECT_GT(loads.load[6].done, 0);
	EXPECT_TRUE(module_refs_become(0));
}

TEST_HARNESS_MAIN
