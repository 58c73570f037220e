/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A race: two tasks on two CPUs that each perform an action of sockacts.h, in
 * several episodes, which begin and end together with the test.
 */
#ifndef REDIRMAP_SOCKRACE_H
#define REDIRMAP_SOCKRACE_H

#include <pthread.h>

#include "sockacts.h"

/* Two tasks, and the test. */
struct race {
	struct task tasks[2];
	pthread_t threads[2];
	pthread_barrier_t barrier;
	int rounds;
	bool end;
	int here;		/* tasks that have come to the meeting point */
	/* Actions of each task. */
	unsigned int begun[2], done[2];
	unsigned long overlaps;
};

struct runner {
	struct race *race;
	int nr;
};

/*
 * A pause lets the other CPU run at once, if one thread of the host emulates
 * all CPUs.
 */
static void let_others_run(void)
{
	__builtin_ia32_pause();
	sched_yield();
}

static void meet(struct race *race, int all)
{
	__atomic_add_fetch(&race->here, 1, __ATOMIC_RELAXED);
	while (__atomic_load_n(&race->here, __ATOMIC_RELAXED) < all)
		let_others_run();
}

static unsigned int count_of(const unsigned int *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

/* Does an action. Does it overlap with an action of the other task? */
static void act(struct race *race, int nr)
{
	unsigned int begun = count_of(&race->begun[!nr]);
	bool overlaps = begun != count_of(&race->done[!nr]);

	__atomic_add_fetch(&race->begun[nr], 1, __ATOMIC_RELAXED);
	actions[race->tasks[nr].action].act(&race->tasks[nr]);
	__atomic_add_fetch(&race->done[nr], 1, __ATOMIC_RELAXED);
	if (overlaps || begun != count_of(&race->begun[!nr]))
		__atomic_add_fetch(&race->overlaps, 1, __ATOMIC_RELAXED);
}

static void *run_task(void *arg)
{
	struct runner *runner = arg;
	struct race *race = runner->race;
	struct task *t = &race->tasks[runner->nr];
	unsigned int episode;
	char name[16];
	int i;

	snprintf(name, sizeof(name), "%s/%s", actions[t->action].name,
		 actions[race->tasks[!runner->nr].action].name);
	pthread_setname_np(pthread_self(), name);
	run_on_cpu(runner->nr);
	for (episode = 1;; episode++) {
		pthread_barrier_wait(&race->barrier);
		if (race->end)
			return NULL;
		meet(race, 2 * episode);
		for (i = 0; i < race->rounds; i++) {
			act(race, runner->nr);
			if (!dice(t, 4))
				let_others_run();
		}
		pthread_barrier_wait(&race->barrier);
	}
}

#endif /* REDIRMAP_SOCKRACE_H */
