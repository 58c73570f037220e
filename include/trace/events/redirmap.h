/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints redirmap:* for all claimed maps. redirmap_dev.h has the
 * tracepoints for device maps.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM redirmap

#if !defined(_TRACE_REDIRMAP_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_REDIRMAP_H

#include <linux/bpf.h>
#include <linux/tracepoint.h>

DECLARE_EVENT_CLASS(redirmap_map,
	TP_PROTO(const struct bpf_map *map),
	TP_ARGS(map),
	TP_STRUCT__entry(
		__field(u32, map_id)
		__array(char, name, BPF_OBJ_NAME_LEN)
		__field(u32, type)
		__field(u32, value_size)
		__field(u32, max_entries)
	),
	TP_fast_assign(
		__entry->map_id = map->id;
		memcpy(__entry->name, map->name, BPF_OBJ_NAME_LEN);
		__entry->type = map->map_type;
		__entry->value_size = map->value_size;
		__entry->max_entries = map->max_entries;
	),
	TP_printk("map_id=%u name=%s type=%u value_size=%u max_entries=%u",
		  __entry->map_id, __entry->name, __entry->type,
		  __entry->value_size, __entry->max_entries)
);

/*
 * A map was claimed, and has its record. A map that the module has allocated
 * has no id yet; a map that the kernel has allocated has its id, unless it was
 * closed.
 */
DEFINE_EVENT(redirmap_map, redirmap_claim,
	TP_PROTO(const struct bpf_map *map),
	TP_ARGS(map)
);

/* A claimed map is being freed, with all of its entries. */
DEFINE_EVENT(redirmap_map, redirmap_release,
	TP_PROTO(const struct bpf_map *map),
	TP_ARGS(map)
);

#endif /* _TRACE_REDIRMAP_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH trace/events
#include <trace/define_trace.h>
