// SPDX-License-Identifier: GPL-2.0-only
/*
 * A driver of hardware, virtio_net, with rings, and with pages that it gets
 * back when the other side has processed them: nic0 and nic1 are joined by a
 * cable.
 *
 * Frames run as in dev_device_types.c. Every test runs on stock and on claimed
 * maps.
 */
#include "harness.h"
#include "niclib.h"
#include "sinks.h"

FIXTURE(nics)
{
	struct env e;
	struct nics nics;
	struct sink r0, nic1;
};

FIXTURE_VARIANT(nics)
{
	struct kind kind;
};

MODE_KINDS(nics);

FIXTURE_SETUP(nics)
{
	struct env *e = &self->e;

	e->generic = variant->kind.generic;
	ASSERT_TRUE(module_refs_become(0));
	ASSERT_TRUE(make_net(e));
	if (!fetch_nics(&self->nics))
		SKIP(return, NO_NICS);
	ASSERT_TRUE(start(e, &variant->kind));
	/*
	 * A driver that is unloaded frees its pages; otherwise pages may wait
	 * in it.
	 */
	e->tracing = self->nics.loaded;
	ASSERT_TRUE(make_sink(e, &self->r0, "t0", "r0"));
	ASSERT_TRUE(attach(e, "nic1", "pass", e->generic));
	ASSERT_TRUE(sink_open(&self->nic1, "nic1"));
}

FIXTURE_TEARDOWN(nics)
{
	sink_close(&self->r0);
	sink_close(&self->nic1);
	/* the device is still in the map */
	EXPECT_TRUE(return_nics(&self->nics));
	EXPECT_TRUE(finish(&self->e));
}

/*
 * As arrive(), but a few frames at a time, and with repetitions: a cable loses
 * frames while the other side has no buffers, for example after a reset.
 */
static bool cross(struct env *e, const char *dev, struct sink *sink)
{
	int try, nr;
	bool ok;

	for (try = 0; try < 3; try++) {
		for (nr = 0, ok = true; nr < FRAMES && ok; nr += 25) {
			sink_expect(sink, nr, 25, LEN);
			ok = !send_numbered(e, dev, nr, 25) && sink_ok(sink);
		}
		if (ok)
			return true;
	}
	return false;
}

/*
 * In native XDP the device accepts frames while it has a program, which needs
 * the queues.
 */
TEST_F(nics, target)
{
	struct env *e = &self->e;
	int round;

	ASSERT_TRUE(put_all(e, 0, "nic0"));
	for (round = 0; round < 2; round++) {
		if (e->generic) {
			EXPECT_TRUE(cross(e, "g0", &self->nic1));
		} else {
			ASSERT_EQ(send_numbered(e, "g0", 0, FRAMES), 0);
			EXPECT_TRUE(sink_ok(&self->nic1));
		}
		ASSERT_TRUE(attach(e, "nic0", "pass", e->generic));
		EXPECT_TRUE(cross(e, "g0", &self->nic1));
		ASSERT_TRUE(attach(e, "nic0", NULL, e->generic));
	}
}

TEST_F(nics, broadcast)
{
	struct env *e = &self->e;

	ASSERT_TRUE(attach(e, "nic0", "pass", e->generic));
	ASSERT_TRUE(put_all(e, 0, "nic0"));
	EXPECT_TRUE(cross(e, "g0", &self->nic1));
	ASSERT_TRUE(put_all(e, 1, "t0"));
	set_var(e, "flags", BPF_F_BROADCAST);
	sink_expect(&self->r0, 0, FRAMES, LEN);
	EXPECT_TRUE(arrive(e, "g0", &self->nic1));
	EXPECT_TRUE(sink_ok(&self->r0));
}

TEST_F(nics, ingress)
{
	struct env *e = &self->e;

	ASSERT_TRUE(attach(e, "nic0", "redirect_both", e->generic));
	ASSERT_TRUE(put_all(e, 0, "t0"));
	EXPECT_TRUE(cross(e, "nic1", &self->r0));
	EXPECT_TRUE(sink_ok(&self->nic1));

	/* and back to the ingress device */
	ASSERT_TRUE(put_all(e, 0, "nic0"));
	EXPECT_TRUE(cross(e, "nic1", &self->nic1));
}

int main(int argc, char **argv)
{
	return can_test() ? test_harness_run(argc, argv) : KSFT_SKIP;
}
