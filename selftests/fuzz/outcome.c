// SPDX-License-Identifier: GPL-2.0-only
/* Return values of operations, as text and as statistics: see outcome.h. */
#include "ops.h"
#include "outcome.h"

const char *outcome(int ret)
{
	static char text[NR_SIDES][64];
	static int i;

	i = !i;
	if (ret >= 0)
		snprintf(text[i], sizeof(text[i]), "%d", ret);
	else if (ret == -ENOTSUPP)
		snprintf(text[i], sizeof(text[i]), "ENOTSUPP");
	else
		snprintf(text[i], sizeof(text[i]), "%s", strerrorname_np(-ret) ?: "?");
	return text[i];
}

/* Numbers of results, by command and errno; the last errno is ENOTSUPP. */
static __u32 outcomes[NR_CMDS][135];

void note_outcome(__u64 cmd, int ret)
{
	const int max = ARRAY_SIZE(outcomes[0]) - 1;

	outcomes[cmd][ret >= 0 ? 0 : -ret < max ? -ret : max]++;
}

void print_outcomes(void)
{
	const unsigned int max = ARRAY_SIZE(outcomes[0]) - 1;
	unsigned int cmd, i;

	for (cmd = 0; cmd < NR_CMDS; cmd++) {
		printf("# %s:", cmd_name(cmd));
		for (i = 0; i <= max; i++)
			if (outcomes[cmd][i])
				printf(" %s %u", outcome(i == max ? -ENOTSUPP : -(int)i),
				       outcomes[cmd][i]);
		printf("\n");
	}
}
