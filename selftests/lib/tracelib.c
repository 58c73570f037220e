// SPDX-License-Identifier: GPL-2.0-only
/* Traces for tests: see xdplib.h. */
#include <sys/stat.h>

#include "testlib.h"
#include "xdplib.h"

/*
 * Page pools that pages_are_back() looks at: one for each call of send_live().
 */
#define POOLS_MAX 1024

static bool make_instance(struct env *e)
{
	static const char * const events[] = {
		"xdp/xdp_redirect", "xdp/xdp_redirect_err",
		"xdp/xdp_devmap_xmit", "xdp/xdp_exception",
		"page_pool/page_pool_release",
	};
	unsigned int i;

	snprintf(e->trace_dir, sizeof(e->trace_dir),
		 "/sys/kernel/tracing/instances/redirmap.%d", getpid());
	if (mkdir(e->trace_dir, 0700))
		return false;
	for (i = 0; i < sizeof(events) / sizeof(events[0]); i++)
		if (!trace_event(e, events[i]))
			return false;
	return true;
}

bool trace_event(struct env *e, const char *event)
{
	char path[200];

	snprintf(path, sizeof(path), "%s/events/%s/enable", e->trace_dir, event);
	return write_str(path, "1");
}

bool trace_start(struct env *e)
{
	char path[100];
	int fd;

	if (!e->trace_dir[0] && !make_instance(e))
		return false;
	e->tracing = true;
	snprintf(path, sizeof(path), "%s/trace", e->trace_dir);
	fd = open(path, O_WRONLY | O_TRUNC);
	if (fd < 0)
		return false;
	close(fd);
	return true;
}

void trace_end(struct env *e)
{
	if (e->trace_dir[0])
		rmdir(e->trace_dir);
}

/*
 * Replaces the id of a map in an event by a name that is the same in each run.
 */
static void name_map(char *event, __u32 map_id, int nr)
{
	char id[40], name[40], *p;

	snprintf(id, sizeof(id), " map_id=%u ", map_id);
	if (nr)
		snprintf(name, sizeof(name), " map_id=OURS%d ", nr);
	else
		strcpy(name, " map_id=OURS ");
	p = strstr(event, id);
	if (p) {
		memmove(p + strlen(name), p + strlen(id), strlen(p + strlen(id)) + 1);
		memcpy(p, name, strlen(name));
	}
}

bool trace_read(struct env *e, char *text)
{
	char path[100], line[512];
	FILE *f;
	int i;

	snprintf(path, sizeof(path), "%s/trace", e->trace_dir);
	f = fopen(path, "r");
	if (!f)
		return false;
	*text = '\0';
	while (fgets(line, sizeof(line) - 40, f)) {
		char *event = strstr(line, ": xdp_"), *p;
		char *out = text + strlen(text);

		if (!event)
			event = strstr(line, ": redirmap_");
		if (!event || out - text > TRACE_MAX - 600)
			continue;
		event += 2;
		for (i = 0; i < e->nr_maps; i++)
			name_map(event, e->map_ids[i], i);
		p = strstr(event, "prog_id=");
		if (p) {
			char *end = p + strcspn(p, " ");

			memmove(p, end, strlen(end) + 1);
		}
		strcpy(out, event);
	}
	fclose(f);
	return true;
}

int traced_now(struct env *e, const char *event, const char *with)
{
	static char text[TRACE_MAX];
	char *line, *save = NULL;
	int n = 0;

	if (!trace_read(e, text))
		return -1;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (!strncmp(line, event, strlen(event)) && line[strlen(event)] == ':' &&
		    strstr(line, with))
			n++;
	return n;
}

bool traced(struct env *e, const char *event, const char *with, int want)
{
	int i, n;

	for (i = 0; i < 4000; i++) {
		n = traced_now(e, event, with);
		if (n >= want)
			break;
		usleep(5000);
	}
	if (n != want)
		fprintf(stderr, "# traced %s with \"%s\": %d, not %d times\n",
			event, with, n, want);
	return n == want;
}

bool pages_are_back(struct env *e)
{
	char path[100], line[512];
	struct { char name[40]; int inflight; } pool[POOLS_MAX] = {};
	int try, i, nr, out;
	FILE *f;

	snprintf(path, sizeof(path), "%s/trace", e->trace_dir);
	for (try = 0; try < 200; try++) {
		f = fopen(path, "r");
		if (!f)
			return false;
		nr = 0;
		while (fgets(line, sizeof(line), f)) {
			char *p = strstr(line, ": page_pool_release: page_pool=");
			char name[40];
			int inflight;

			if (!p || sscanf(p, ": page_pool_release: page_pool=%39s inflight=%d",
					 name, &inflight) != 2)
				continue;
			for (i = 0; i < nr && strcmp(pool[i].name, name); i++)
				;
			if (i == POOLS_MAX)
				continue;
			strcpy(pool[i].name, name);
			pool[i].inflight = inflight;
			if (i == nr)
				nr++;
		}
		fclose(f);
		for (i = 0, out = 0; i < nr; i++)
			out += !!pool[i].inflight;
		if (!out && (nr || !e->live))
			return true;
		/* the kernel looks again every second */
		usleep(20000);
	}
	fprintf(stderr, "%d of %d page pools wait for pages\n", out, nr);
	return false;
}

bool same_text(const char *stock, const char *claimed)
{
	int nr = 1;

	while (*stock || *claimed) {
		size_t a = strcspn(stock, "\n"), b = strcspn(claimed, "\n");

		if (a != b || memcmp(stock, claimed, a)) {
			fprintf(stderr, "# line %d:\n# stock   %.*s\n# claimed %.*s\n",
				nr, (int)a, stock, (int)b, claimed);
			return false;
		}
		stock += a + !!stock[a];
		claimed += b + !!claimed[b];
		nr++;
	}
	return true;
}
