// SPDX-License-Identifier: GPL-2.0-only
/*
 * The part of the kernel's test_maps that is about socket maps. test_maps has
 * no option that selects a part, and the others take minutes and no socket map.
 */
#define main test_maps_main
#include "test_maps.c"
#undef main

int main(void)
{
	test_sockmap(0, NULL);
	return 0;
}
