// SPDX-License-Identifier: GPL-2.0-only
/* A program for sock_uncounted.py: it replaces a function of another one. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "sockmap.bpf.h"

SOCK_MAP(rm_map, SOCKMAP, 8);

SEC("freplace/replaced")
int replacement(struct sk_msg_md *msg)
{
	if (!msg)
		return SK_DROP;
	bpf_msg_redirect_map(msg, &rm_map, 5, 0);
	return SK_PASS;
}

char _license[] SEC("license") = "GPL";
