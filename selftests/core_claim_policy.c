// SPDX-License-Identifier: GPL-2.0-only
/*
 * The maps that are claimed: the module's parameter "claim", the names that it
 * matches, the time from which it applies, and the values that it refuses.
 *
 * The module's reference count shows whether a map is claimed. As a second
 * sign, only a claimed hash returns ENOENT for BPF_EXIST with a missing key.
 */
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "harness.h"
#include "testlib.h"

#define CLAIM MODULE_DIR "/parameters/claim"
/* The value with which run-tests loads the module. */
#define CLAIM_USUAL "rm_*"

/* References to the module without a map of this test. */
static int base_refs;

/* Writes a policy; 0 or -errno; like a shell's echo. */
static int set_claim(const char *globs)
{
	char line[8192];

	snprintf(line, sizeof(line), "%s\n", globs);
	return write_str(CLAIM, line) ? 0 : -errno;
}

static const char *get_claim(void)
{
	static char line[8192];
	int fd = open(CLAIM, O_RDONLY);
	ssize_t n;

	n = fd < 0 ? -1 : read(fd, line, sizeof(line) - 1);
	close(fd);
	if (n < 1 || line[n - 1] != '\n')
		return "(no line)";
	line[n - 1] = '\0';
	return line;
}

static int map_create(enum bpf_map_type type, const char *name)
{
	union bpf_attr attr = {
		.map_type = type, .key_size = 4, .value_size = 4, .max_entries = 4,
	};
	int fd;

	snprintf(attr.map_name, sizeof(attr.map_name), "%s", name);
	fd = syscall(__NR_bpf, BPF_MAP_CREATE, &attr, sizeof(attr));
	return fd < 0 ? -errno : fd;
}

/* Does a hash behave like a claimed one? */
static int behaves_claimed(int fd)
{
	__u32 key = 3, lo = if_nametoindex("lo");
	int err = bpf_map_update_elem(fd, &key, &lo, BPF_EXIST);

	if (!err)
		bpf_map_delete_elem(fd, &key);
	return err == -ENOENT ? 1 : err;
}

/*
 * Is a map with this name claimed? 1, 0, or -errno; -ESTALE if the signs
 * differ.
 */
static int claims_type(enum bpf_map_type type, const char *name)
{
	int fd = map_create(type, name);
	int refs = module_refs();
	int claimed;

	if (fd < 0)
		return fd;
	claimed = refs - base_refs;
	if (type == BPF_MAP_TYPE_DEVMAP_HASH && behaves_claimed(fd) != claimed)
		claimed = -ESTALE;
	close(fd);
	return module_refs_become(base_refs) ? claimed : -ESTALE;
}

static int claims(const char *name)
{
	int array = claims_type(BPF_MAP_TYPE_DEVMAP, name);
	int hash = claims_type(BPF_MAP_TYPE_DEVMAP_HASH, name);

	return array == hash ? array : -ESTALE;
}

FIXTURE(policy) {
};

FIXTURE_SETUP(policy)
{
	ASSERT_TRUE(module_refs_become(base_refs));
	ASSERT_EQ(0, set_claim(CLAIM_USUAL));
}

FIXTURE_TEARDOWN(policy)
{
	EXPECT_EQ(0, set_claim(CLAIM_USUAL));
}

TEST_F(policy, usual)
{
	struct stat st;

	EXPECT_STREQ("rm_*", get_claim());
	EXPECT_EQ(1, claims("rm_"));
	EXPECT_EQ(1, claims("rm_test"));
	EXPECT_EQ(1, claims("rm_45678901234"));
	EXPECT_EQ(0, claims("rm"));
	EXPECT_EQ(0, claims("xrm_"));
	EXPECT_EQ(0, claims("RM_"));
	EXPECT_EQ(0, claims(""));
	EXPECT_EQ(0, stat(CLAIM, &st));
	EXPECT_EQ(0644, st.st_mode & 0777);
}

TEST_F(policy, all)
{
	EXPECT_EQ(0, set_claim("*"));
	EXPECT_STREQ("*", get_claim());
	EXPECT_EQ(1, claims("anything"));
	EXPECT_EQ(1, claims("a.b_C9"));
	/* Maps without a name have an empty name. */
	EXPECT_EQ(1, claims(""));
}

TEST_F(policy, none)
{
	EXPECT_EQ(0, set_claim(""));
	EXPECT_STREQ("", get_claim());
	EXPECT_EQ(0, claims("rm_test"));
	EXPECT_EQ(0, claims(""));
}

TEST_F(policy, exact_name)
{
	EXPECT_EQ(0, set_claim("tx_ports"));
	EXPECT_EQ(1, claims("tx_ports"));
	EXPECT_EQ(0, claims("tx_port"));
	EXPECT_EQ(0, claims("tx_portss"));
	EXPECT_EQ(0, claims(""));
}

TEST_F(policy, several)
{
	EXPECT_EQ(0, set_claim("a*,bb,*.c"));
	EXPECT_STREQ("a*,bb,*.c", get_claim());
	EXPECT_EQ(1, claims("a"));
	EXPECT_EQ(1, claims("abc"));
	EXPECT_EQ(1, claims("bb"));
	EXPECT_EQ(1, claims("x.c"));
	EXPECT_EQ(1, claims(".c"));
	EXPECT_EQ(0, claims("bbb"));
	EXPECT_EQ(0, claims("x.cc"));
	EXPECT_EQ(0, claims("rm_test"));
	/* The same glob twice, and one that matches all names. */
	EXPECT_EQ(0, set_claim("q,q,*"));
	EXPECT_EQ(1, claims("zzz"));
}

TEST_F(policy, patterns)
{
	static const struct {
		const char *globs, *name;
		int claimed;
	} cases[] = {
		{ "rm_?", "rm_a", 1 },
		{ "rm_?", "rm_", 0 },
		{ "rm_?", "rm_ab", 0 },
		{ "?", "", 0 },
		{ "r*m", "rxxm", 1 },
		{ "r*m", "rxxmx", 0 },
		{ "*a*b*", "xaxbx", 1 },
		{ "[abc]1", "b1", 1 },
		{ "[abc]1", "d1", 0 },
		{ "[a-c]1", "b1", 1 },
		{ "[a-c]1", "d1", 0 },
		{ "[!a-c]1", "d1", 1 },
		{ "[!a-c]1", "b1", 0 },
		{ "[!a-c._]1", "x1", 1 },
		{ "[!a-c._]1", ".1", 0 },
		{ "[xa-c]1", "x1", 1 },
		{ "[a-cx-z]1", "y1", 1 },
		{ "a\\b", "ab", 1 },
		{ "\\_.\\9", "_.9", 1 },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		EXPECT_EQ(0, set_claim(cases[i].globs));
		EXPECT_STREQ(cases[i].globs, get_claim());
		EXPECT_EQ(cases[i].claimed,
			  claims_type(BPF_MAP_TYPE_DEVMAP, cases[i].name)) {
			TH_LOG("\"%s\" and \"%s\"", cases[i].globs, cases[i].name);
		}
	}
}

TEST_F(policy, malformed)
{
	static const char *const bad[] = {
		"[", "a[b", "[]", "[!]", "[!", "a,[b,c]", "[a-", "x,[",
		"\\", "a\\", "a,b\\", "a\\,b",
		",", "a,", ",a", "a,,b", ",,",
		" ", "a b", " a", "a ", "a\tb", "a\nb", "a\n", "\x01", "a\x7f", "\xc3\xa4", "\x80",
		"a, b",
		/* Names that no map can have. */
		"{a,b}", "a{", "a}", "a-b", "a/b", "a:b", "a!", "a\"b", "a\\*", "a\\[", "a]",
		"[]x]", "[!]]", "[a-]", "[-a]", "[a-{]", "[{-z]", "[a-c-e]", "[a!]", "[a b]",
		"[\\a]", "[*]", "rm_*,x[a}]",
	};
	int i;

	EXPECT_EQ(0, set_claim("keep_*,[k]"));
	for (i = 0; i < ARRAY_SIZE(bad); i++) {
		EXPECT_EQ(-EINVAL, set_claim(bad[i])) {
			TH_LOG("\"%s\"", bad[i]);
		}
		EXPECT_STREQ("keep_*,[k]", get_claim());
	}
	EXPECT_EQ(1, claims("keep_this"));
	EXPECT_EQ(1, claims("k"));
	EXPECT_EQ(0, claims("a"));
}

static char *repeat(char *to, char c, int n)
{
	memset(to, c, n);
	to[n] = '\0';
	return to + n;
}

TEST_F(policy, long_ones)
{
	char globs[6000], *end;

	repeat(globs, 'x', 63);
	EXPECT_EQ(0, set_claim(globs));
	EXPECT_STREQ(globs, get_claim());
	repeat(globs, 'x', 64);
	EXPECT_EQ(-EINVAL, set_claim(globs));
	end = repeat(globs, 'x', 64);
	strcpy(end, ",rm_*");
	EXPECT_EQ(-EINVAL, set_claim(globs));

	/* 255 characters: 51 times five. */
	for (end = globs; end < globs + 250; end += 5)
		memcpy(end, "abcd,", 5);
	strcpy(end, "rm_z*");
	EXPECT_EQ(255, strlen(globs));
	EXPECT_EQ(0, set_claim(globs));
	EXPECT_STREQ(globs, get_claim());
	EXPECT_EQ(1, claims("rm_zz"));
	EXPECT_EQ(1, claims("abcd"));
	EXPECT_EQ(0, claims("rm_test"));

	/* One more character; a page; more than a page. */
	strcpy(end, "rm_yy*");
	EXPECT_EQ(-EINVAL, set_claim(globs));
	for (end = globs; end < globs + 4090; end += 2)
		memcpy(end, "*,", 3);
	strcpy(end, "*");
	EXPECT_EQ(-EINVAL, set_claim(globs));
	for (; end < globs + 5990; end += 2)
		memcpy(end, "*,", 3);
	strcpy(end, "*");
	EXPECT_EQ(-EINVAL, set_claim(globs));
	EXPECT_EQ(1, claims("rm_zz"));
	EXPECT_EQ(0, claims("rm_yy"));
}

/* The policy applies to maps that are created later; others do not change. */
TEST_F(policy, existing_maps)
{
	__u32 lo = if_nametoindex("lo"), key = 1, value;
	int claimed, stock;

	claimed = map_create(BPF_MAP_TYPE_DEVMAP_HASH, "rm_test");
	stock = map_create(BPF_MAP_TYPE_DEVMAP_HASH, "st_test");
	ASSERT_LE(0, claimed);
	ASSERT_LE(0, stock);
	EXPECT_EQ(base_refs + 1, module_refs());

	EXPECT_EQ(0, set_claim("st_*"));
	EXPECT_EQ(base_refs + 1, module_refs());
	EXPECT_EQ(1, behaves_claimed(claimed));
	EXPECT_EQ(0, behaves_claimed(stock));
	EXPECT_EQ(0, bpf_map_update_elem(claimed, &key, &lo, BPF_ANY));
	EXPECT_EQ(0, bpf_map_lookup_elem(claimed, &key, &value));
	EXPECT_EQ(lo, value);

	EXPECT_EQ(0, set_claim(""));
	EXPECT_EQ(1, behaves_claimed(claimed));
	EXPECT_EQ(0, set_claim("*"));
	EXPECT_EQ(0, behaves_claimed(stock));

	close(stock);
	close(claimed);
	EXPECT_TRUE(module_refs_become(base_refs));
}

TEST_F(policy, other_types)
{
	static const enum bpf_map_type types[] = {
		BPF_MAP_TYPE_ARRAY, BPF_MAP_TYPE_HASH, BPF_MAP_TYPE_PERCPU_ARRAY,
		BPF_MAP_TYPE_PROG_ARRAY, BPF_MAP_TYPE_CPUMAP, BPF_MAP_TYPE_XSKMAP,
		BPF_MAP_TYPE_LRU_HASH,
	};
	int i;

	EXPECT_EQ(0, set_claim("*"));
	EXPECT_EQ(1, claims("rm_test"));
	for (i = 0; i < ARRAY_SIZE(types); i++) {
		EXPECT_EQ(0, claims_type(types[i], "rm_test")) {
			TH_LOG("map type %d", types[i]);
		}
	}
	EXPECT_EQ(1, claims_type(BPF_MAP_TYPE_SOCKMAP, "rm_test"));
	EXPECT_EQ(1, claims_type(BPF_MAP_TYPE_SOCKHASH, "rm_test"));
	EXPECT_EQ(0, set_claim("other_*"));
	EXPECT_EQ(0, claims_type(BPF_MAP_TYPE_SOCKMAP, "rm_test"));
}

/* libbpf and bpftool create maps in other ways. */
TEST_F(policy, libbpf)
{
	int fd = bpf_map_create(BPF_MAP_TYPE_DEVMAP, "rm_libbpf", 4, 4, 4, NULL);

	EXPECT_LE(0, fd);
	EXPECT_EQ(base_refs + 1, module_refs());
	close(fd);
	EXPECT_TRUE(module_refs_become(base_refs));

	if (!sh("command -v bpftool >/dev/null"))
		SKIP(return, "no bpftool");
	unlink("/sys/fs/bpf/redirmap_policy");
	EXPECT_TRUE(sh("bpftool map create %s type devmap_hash key 4 value 4 entries 4 "
		       "name rm_tool",
		       "/sys/fs/bpf/redirmap_policy"));
	EXPECT_EQ(base_refs + 1, module_refs());
	unlink("/sys/fs/bpf/redirmap_policy");
	EXPECT_TRUE(module_refs_become(base_refs));
}

static volatile bool stop;

static void *change_policy(void *arg)
{
	unsigned long *errors = arg;
	int i;

	for (i = 0; !stop; i++)
		*errors += !!set_claim(i % 2 ? "rm_*" : "a,b,c,d,e,rm_[!x]*");
	return NULL;
}

/*
 * Both policies claim the map, so it is claimed at any time during the change.
 */
TEST_F(policy, changes_while_creating)
{
	unsigned long errors = 0, unclaimed = 0, created = 0;
	struct timespec start, t;
	pthread_t thread;
	int fd;

	ASSERT_EQ(0, pthread_create(&thread, NULL, change_policy, &errors));
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		fd = map_create(BPF_MAP_TYPE_DEVMAP_HASH, "rm_test");
		if (fd < 0)
			break;
		unclaimed += behaves_claimed(fd) != 1;
		close(fd);
		created++;
		clock_gettime(CLOCK_MONOTONIC, &t);
	} while (t.tv_sec - start.tv_sec < 2 || created <= 10);
	stop = true;
	pthread_join(thread, NULL);
	EXPECT_LE(0, fd);
	EXPECT_EQ(0, errors);
	EXPECT_EQ(0, unclaimed);
	EXPECT_TRUE(module_refs_become(base_refs));
}

int main(int argc, char **argv)
{
	if (geteuid() || module_refs() < 0) {
		printf("1..0 # SKIP %s\n", geteuid() ? "not root" : "redirmap.ko is not loaded");
		return KSFT_SKIP;
	}
	base_refs = module_refs();
	return test_harness_run(argc, argv);
}
