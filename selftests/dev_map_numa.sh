#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0-only
# machine: --append numa=fake=2
#
# dev_map_create, on a machine with two NUMA nodes: a map's table is on the node
# that its creator names, as with the kernel's own maps.

set -uo pipefail

here=$(cd "$(dirname "$0")" && pwd)
: "${REDIRMAP_TEST_OUTPUT:=$here/../build/selftests}"

if [ ! -e /sys/devices/system/node/node1 ]; then
	echo "1..0 # SKIP the machine has one NUMA node"
	exit 4
fi
exec "$REDIRMAP_TEST_OUTPUT/dev_map_create"
