// SPDX-License-Identifier: GPL-2.0-only
/*
 * For the suite: has functions with the same names as functions of the kernel
 * that redirmap hooks. redirmap must not hook these.
 */
#include <linux/errno.h>
#include <linux/module.h>

struct bpf_map;
union bpf_attr;

/* Functions that redirmap hooks in every kernel. */
static noinline __noclone struct bpf_map *dev_map_alloc(union bpf_attr *attr)
{
	barrier();
	return NULL;
}

/* Functions that redirmap hooks in newer kernels; older ones lack them. */
static noinline __noclone int dev_map_alloc_check(union bpf_attr *attr)
{
	barrier();
	return 0;
}

/* Functions whose return redirmap observes. */
static noinline __noclone struct bpf_map *bpf_map_meta_alloc(int inner_map_ufd)
{
	barrier();
	return NULL;
}

static noinline __noclone const void *sk_msg_func_proto(int func_id)
{
	barrier();
	return NULL;
}

static int call_set(const char *value, const struct kernel_param *param)
{
	/* No code reads the attributes, which do not exist. */
	if (dev_map_alloc(NULL) || bpf_map_meta_alloc(0) || sk_msg_func_proto(0))
		return -EBUSY;
	return dev_map_alloc_check(NULL);
}

static const struct kernel_param_ops call_ops = { .set = call_set };
module_param_cb(call, &call_ops, NULL, 0200);
MODULE_PARM_DESC(call, "write to it to call the functions");

static int __init namesake_init(void)
{
	return 0;
}

static void __exit namesake_exit(void)
{
}

module_init(namesake_init);
module_exit(namesake_exit);

MODULE_DESCRIPTION("redirmap selftest: functions called as the kernel's");
MODULE_LICENSE("GPL");
