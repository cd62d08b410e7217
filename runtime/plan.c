/*
 * plan.c: owns what happens between recording and running: which nodes are needed, in which dependency level each runs,
 * and where each value lives. It allocates the arenas and makes the resolved calls; it runs nothing.
 *
 * Nodes of one level do not depend on each other; a barrier separates levels. Memory is therefore shared between values
 * whose levels do not overlap. Placement is greedy by size (Pisarchyk & Lee 2020, arXiv 2001.03288): the largest first,
 * each in the tightest gap among the values alive at the same time.
 */
#include "graph.h"

#include <stdlib.h>
#include <string.h>

/* Arenas stay below this, so that memory comes in blocks every driver hands out; a larger tensor gets its own. */
static const uint64_t arena_limit = (uint64_t)256 << 20;

/* One thing to place: a value's memory, or a node's workspace. */
typedef struct plan_item {
    uint64_t size, offset;
    uint32_t first, last; /* levels, inclusive */
    uint32_t arena;
    uint32_t value, node; /* one of them; the other is 0 or TUFF__NO_NODE */
} plan_item;

typedef struct plan_arena {
    uint64_t size;
    tuff__memory memory;
} plan_arena;

/* Per root: what the nodes seen so far have done to its memory. */
typedef struct access {
    bool written, read;
    uint32_t last_write, last_read; /* levels */
    uint32_t first;                 /* level of the first access */
} access;

typedef struct planner {
    tuff_graph *graph;
    access *accesses;    /* [value], used at roots */
    uint32_t *externals; /* roots in the caller's buffers */
    size_t external_count;
    plan_item *items;
    size_t item_count, item_capacity;
    plan_arena *arenas;
    size_t arena_count, arena_capacity;
    plan_item **placed; /* scratch of place_items: neighbours in time, by offset */
} planner;

/* -- which nodes are needed --------------------------------------------------------------------------------------- */

tuff_status tuff__graph_drop_unneeded(tuff_graph *graph)
{
    bool *read = tuff__calloc(graph->value_count, sizeof *read);
    if (!read)
        return tuff__fail_memory("graph plan", graph->value_count * sizeof *read);
    for (size_t n = graph->node_count; n-- > 0;) {
        tuff__node *node = &graph->nodes[n];
        bool needed = false;
        for (uint32_t i = 0; i < node->output_count; i++) {
            const tuff__value *root = &graph->values[graph->values[node->outputs[i]].root];
            needed = needed || read[node->outputs[i]] || root->is_output || root->kind == TUFF__VALUE_EXTERNAL;
        }
        node->dropped = node->dropped || !needed;
        for (uint32_t i = 0; i < node->input_count && !node->dropped; i++)
            read[node->inputs[i]] = true;
    }
    tuff__free(read);
    return TUFF_SUCCESS;
}

/* -- levels ------------------------------------------------------------------------------------------------------- */

/* Raises *level above every earlier access of `root` that this one must wait for. */
static void wait_for(const planner *p, uint32_t root, bool write, uint32_t *level)
{
    const access *a = &p->accesses[root];
    if (a->written && *level <= a->last_write)
        *level = a->last_write + 1;
    if (write && a->read && *level <= a->last_read)
        *level = a->last_read + 1;
}

/* As wait_for, through everything that shares memory with `root`. */
static void wait_for_memory(const planner *p, uint32_t root, bool write, uint32_t *level)
{
    const tuff__value *value = &p->graph->values[root];
    if (value->kind != TUFF__VALUE_EXTERNAL) {
        wait_for(p, root, write, level);
        return;
    }
    for (size_t i = 0; i < p->external_count; i++)
        if (tuff__slices_overlap(&value->slice, &p->graph->values[p->externals[i]].slice))
            wait_for(p, p->externals[i], write, level);
}

static void note_access(planner *p, uint32_t root, bool write, uint32_t level)
{
    access *a = &p->accesses[root];
    if (!a->written && !a->read)
        a->first = level;
    if (write && (!a->written || a->last_write < level))
        a->last_write = level;
    if (!write && (!a->read || a->last_read < level))
        a->last_read = level;
    a->written = a->written || write;
    a->read = a->read || !write;
}

static void assign_level(planner *p, tuff__node *node)
{
    const tuff__value *values = p->graph->values;
    node->level = 0;
    for (uint32_t i = 0; i < node->input_count; i++)
        if (node->inputs[i])
            wait_for_memory(p, values[node->inputs[i]].root, false, &node->level);
    for (uint32_t i = 0; i < node->output_count; i++)
        wait_for_memory(p, values[node->outputs[i]].root, true, &node->level);
    for (uint32_t i = 0; i < node->input_count; i++)
        if (node->inputs[i])
            note_access(p, values[node->inputs[i]].root, false, node->level);
    for (uint32_t i = 0; i < node->output_count; i++)
        note_access(p, values[node->outputs[i]].root, true, node->level);
}

static bool runs(const tuff__node *node)
{
    return !node->dropped && !tuff__op_desc(node->op)->view;
}

static void assign_levels(planner *p)
{
    tuff_graph *graph = p->graph;
    for (uint32_t id = 1; id < graph->value_count; id++)
        if (graph->values[id].root == id && graph->values[id].kind == TUFF__VALUE_EXTERNAL)
            p->externals[p->external_count++] = id;
    uint32_t level_count = 0;
    for (size_t n = 0; n < graph->node_count; n++) {
        if (!runs(&graph->nodes[n]))
            continue;
        assign_level(p, &graph->nodes[n]);
        graph->call_count++;
        if (graph->nodes[n].level + 1 > level_count)
            level_count = graph->nodes[n].level + 1;
    }
    graph->statistics.level_count = level_count;
    graph->statistics.node_count = (uint32_t)graph->call_count;
}

/* Call order: by level, then as recorded. A counting sort keeps it stable. */
static tuff_status order_calls(planner *p)
{
    tuff_graph *graph = p->graph;
    const size_t levels = graph->statistics.level_count;
    uint32_t *starts = tuff__calloc(levels + 1, sizeof *starts);
    graph->call_nodes = tuff__calloc(graph->call_count + 1, sizeof *graph->call_nodes);
    if (!starts || !graph->call_nodes) {
        tuff__free(starts);
        return tuff__fail_memory("graph plan", levels * sizeof *starts);
    }
    for (size_t n = 0; n < graph->node_count; n++)
        if (runs(&graph->nodes[n]))
            starts[graph->nodes[n].level + 1]++;
    for (size_t level = 0; level < levels; level++)
        starts[level + 1] += starts[level];
    for (size_t n = 0; n < graph->node_count; n++)
        if (runs(&graph->nodes[n]))
            graph->call_nodes[starts[graph->nodes[n].level]++] = (uint32_t)n;
    tuff__free(starts);
    return TUFF_SUCCESS;
}

/* -- what needs memory -------------------------------------------------------------------------------------------- */

static tuff_status add_item(planner *p, plan_item item)
{
    TUFF_TRY(tuff__grow((void **)&p->items, &p->item_capacity, p->item_count, sizeof *p->items, "graph plan"));
    item.size = tuff__align_up(item.size);
    p->items[p->item_count++] = item;
    return TUFF_SUCCESS;
}

static tuff_status add_arena(planner *p, tuff__memory memory, uint32_t *out_arena)
{
    TUFF_TRY(tuff__grow((void **)&p->arenas, &p->arena_capacity, p->arena_count, sizeof *p->arenas, "graph plan"));
    p->arenas[p->arena_count] = (plan_arena){.memory = memory};
    *out_arena = (uint32_t)p->arena_count++;
    return TUFF_SUCCESS;
}

/* What the host writes or reads is never shared: one after the other in an arena that it reaches. */
static tuff_status append_fixed(planner *p, uint32_t value, tuff__memory memory, uint32_t *arena)
{
    tuff__value *root = &p->graph->values[value];
    if (*arena == UINT32_MAX || p->arenas[*arena].size + tuff__value_size(root) > arena_limit)
        TUFF_TRY(add_arena(p, memory, arena));
    plan_arena *to = &p->arenas[*arena];
    TUFF_TRY(add_item(p, (plan_item){.size = tuff__value_size(root),
                                     .offset = to->size,
                                     .arena = *arena,
                                     .value = value,
                                     .node = TUFF__NO_NODE}));
    to->size += tuff__align_up(tuff__value_size(root));
    return TUFF_SUCCESS;
}

static tuff_status collect_values(planner *p)
{
    tuff_graph *graph = p->graph;
    uint32_t input_arena = UINT32_MAX, output_arena = UINT32_MAX;
    for (uint32_t id = 1; id < graph->value_count; id++) {
        const tuff__value *value = &graph->values[id];
        const access *a = &p->accesses[id];
        const bool touched = a->read || a->written;
        if (value->root != id || value->kind == TUFF__VALUE_EXTERNAL || (!touched && !value->is_output))
            continue;
        if (value->kind == TUFF__VALUE_INPUT) {
            TUFF_TRY(append_fixed(p, id, TUFF__MEMORY_UPLOAD, &input_arena));
            graph->statistics.input_size += tuff__value_size(value);
        } else if (value->is_output && !a->read) {
            TUFF_TRY(append_fixed(p, id, TUFF__MEMORY_READBACK, &output_arena));
            graph->statistics.output_size += tuff__value_size(value);
        } else {
            /* An output that the device reads too lies near to it, and stays to the end. */
            uint32_t last = a->read && a->last_read > a->last_write ? a->last_read : a->last_write;
            if (value->is_output)
                last = graph->statistics.level_count;
            TUFF_TRY(add_item(p, (plan_item){.size = tuff__value_size(value),
                                             .first = a->first,
                                             .last = last,
                                             .arena = UINT32_MAX,
                                             .value = id,
                                             .node = TUFF__NO_NODE}));
        }
    }
    return TUFF_SUCCESS;
}

static tuff_status collect_workspaces(planner *p)
{
    tuff_graph *graph = p->graph;
    const tuff__target *target = &graph->device->target;
    for (uint32_t n = 0; n < graph->node_count; n++) {
        const tuff__node *node = &graph->nodes[n];
        const tuff_op_desc *op = tuff__op_desc(node->op);
        if (!runs(node) || !op->workspace || target->backend == TUFF_BACKEND_REFERENCE)
            continue;
        tuff_op_call call;
        tuff__graph_describe(graph, node, &call);
        const uint64_t size = op->workspace(&call, target);
        graph->statistics.workspace_size += size;
        if (size)
            TUFF_TRY(add_item(
                p,
                (plan_item){.size = size, .first = node->level, .last = node->level, .arena = UINT32_MAX, .node = n}));
    }
    return TUFF_SUCCESS;
}

/* -- placement ---------------------------------------------------------------------------------------------------- */

static int by_size_falling(const void *left, const void *right)
{
    const plan_item *a = left, *b = right;
    if (a->size != b->size)
        return a->size < b->size ? 1 : -1;
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    if (a->value != b->value)
        return a->value < b->value ? -1 : 1;
    return a->node < b->node ? -1 : a->node > b->node;
}

static int by_offset(const void *left, const void *right)
{
    const plan_item *a = *(plan_item *const *)left, *b = *(plan_item *const *)right;
    return a->offset < b->offset ? -1 : a->offset > b->offset;
}

/* The lowest offset of the tightest gap in `arena` during the item's life; the end of what is there when none fits. */
static uint64_t find_offset(planner *p, const plan_item *item, uint32_t arena, size_t placed_items)
{
    size_t count = 0;
    for (size_t i = 0; i < placed_items; i++) {
        plan_item *other = &p->items[i];
        if (other->arena == arena && other->first <= item->last && item->first <= other->last)
            p->placed[count++] = other;
    }
    qsort(p->placed, count, sizeof *p->placed, by_offset);
    uint64_t end = 0, best = UINT64_MAX, best_gap = UINT64_MAX;
    for (size_t i = 0; i < count; i++) {
        const uint64_t gap = p->placed[i]->offset > end ? p->placed[i]->offset - end : 0;
        if (gap >= item->size && gap < best_gap) {
            best = end;
            best_gap = gap;
        }
        if (p->placed[i]->offset + p->placed[i]->size > end)
            end = p->placed[i]->offset + p->placed[i]->size;
    }
    return best != UINT64_MAX ? best : end;
}

/* Puts the item into the first arena that has room, or a new one. */
static tuff_status place_item(planner *p, size_t index)
{
    plan_item *item = &p->items[index];
    for (uint32_t arena = 0; arena < p->arena_count; arena++) {
        plan_arena *to = &p->arenas[arena];
        if (to->memory != TUFF__MEMORY_DEVICE)
            continue;
        const uint64_t offset = find_offset(p, item, arena, index);
        const uint64_t end = offset + item->size;
        if (end > arena_limit && end > to->size)
            continue;
        item->arena = arena;
        item->offset = offset;
        to->size = end > to->size ? end : to->size;
        return TUFF_SUCCESS;
    }
    TUFF_TRY(add_arena(p, TUFF__MEMORY_DEVICE, &item->arena));
    item->offset = 0;
    p->arenas[item->arena].size = item->size;
    return TUFF_SUCCESS;
}

/* The largest number of bytes alive at one level: no plan can need less. */
static tuff_status measure_live(planner *p)
{
    tuff_graph_statistics *statistics = &p->graph->statistics;
    int64_t *change = tuff__calloc(statistics->level_count + 2, sizeof *change);
    if (!change)
        return tuff__fail_memory("graph plan", statistics->level_count * sizeof *change);
    for (size_t i = 0; i < p->item_count; i++) {
        if (p->arenas[p->items[i].arena].memory != TUFF__MEMORY_DEVICE)
            continue;
        change[p->items[i].first] += (int64_t)p->items[i].size;
        change[p->items[i].last + 1] -= (int64_t)p->items[i].size;
    }
    int64_t live = 0;
    for (uint32_t level = 0; level <= statistics->level_count; level++) {
        live += change[level];
        if ((uint64_t)live > statistics->activation_live)
            statistics->activation_live = (uint64_t)live;
    }
    tuff__free(change);
    return TUFF_SUCCESS;
}

static tuff_status place_items(planner *p)
{
    p->placed = tuff__calloc(p->item_count + 1, sizeof(plan_item *));
    if (!p->placed)
        return tuff__fail_memory("graph plan", p->item_count * sizeof(plan_item *));
    if (p->item_count)
        qsort(p->items, p->item_count, sizeof *p->items, by_size_falling);
    for (size_t i = 0; i < p->item_count; i++)
        if (p->items[i].arena == UINT32_MAX)
            TUFF_TRY(place_item(p, i));
    for (size_t i = 0; i < p->arena_count; i++)
        if (p->arenas[i].memory == TUFF__MEMORY_DEVICE)
            p->graph->statistics.activation_size += p->arenas[i].size;
    return measure_live(p);
}

/* -- memory and calls --------------------------------------------------------------------------------------------- */

void tuff__shared_arenas_destroy(tuff__shared_arenas *arenas)
{
    for (size_t i = 0; i < arenas->count; i++)
        tuff_buffer_destroy(arenas->buffers[i]);
    tuff__free(arenas->buffers);
}

static bool is_shared(const tuff_graph *graph, const tuff_buffer *buffer)
{
    for (size_t i = 0; graph->shared_arenas && i < graph->shared_arenas->count; i++)
        if (graph->shared_arenas->buffers[i] == buffer)
            return true;
    return false;
}

/* The shared buffer number `index`, of `size` bytes at least. */
static tuff_status take_shared(tuff_graph *graph, size_t index, uint64_t size, tuff_buffer **out_buffer)
{
    tuff__shared_arenas *shared = graph->shared_arenas;
    if (index == shared->count) {
        TUFF_TRY(tuff__grow((void **)&shared->buffers, &shared->capacity, shared->count, sizeof(tuff_buffer *),
                            "graph plan"));
        shared->buffers[shared->count++] = NULL;
    }
    tuff_buffer **buffer = &shared->buffers[index];
    if (*buffer && (*buffer)->size < size) {
        shared->give_back(shared->user);
        tuff_buffer_destroy(*buffer);
        *buffer = NULL;
    }
    if (!*buffer)
        TUFF_TRY(graph->device->backend->buffer_create(graph->device, size, TUFF__MEMORY_DEVICE, buffer));
    *out_buffer = *buffer;
    return TUFF_SUCCESS;
}

static tuff_status create_arenas(planner *p)
{
    tuff_graph *graph = p->graph;
    graph->buffers = tuff__calloc(p->arena_count + 1, sizeof(tuff_buffer *));
    if (!graph->buffers)
        return tuff__fail_memory("graph plan", p->arena_count * sizeof(tuff_buffer *));
    size_t shared = 0;
    for (size_t i = 0; i < p->arena_count; i++) {
        const plan_arena *arena = &p->arenas[i];
        if (graph->shared_arenas && arena->memory == TUFF__MEMORY_DEVICE)
            TUFF_TRY(take_shared(graph, shared++, arena->size, &graph->buffers[i]));
        else
            TUFF_TRY(
                graph->device->backend->buffer_create(graph->device, arena->size, arena->memory, &graph->buffers[i]));
        graph->buffer_count = i + 1;
    }
    return TUFF_SUCCESS;
}

static void *host_address(const tuff__slice *slice)
{
    return slice->buffer && slice->buffer->host ? (char *)slice->buffer->host + slice->offset : NULL;
}

static void resolve_call(tuff_graph *graph, const tuff__node *node, tuff_op_call *call)
{
    tuff__graph_describe(graph, node, call);
    for (uint32_t i = 0; i < node->input_count; i++) {
        if (!node->inputs[i])
            continue;
        call->inputs[i].slice = tuff__value_slice(graph, node->inputs[i]);
        call->inputs[i].data = host_address(&call->inputs[i].slice);
    }
    for (uint32_t i = 0; i < node->output_count; i++) {
        call->outputs[i].slice = tuff__value_slice(graph, node->outputs[i]);
        call->outputs[i].data = host_address(&call->outputs[i].slice);
    }
    graph->statistics.flops += tuff__op_flops(call);
}

static tuff_status make_calls(planner *p)
{
    tuff_graph *graph = p->graph;
    graph->calls = tuff__calloc(graph->call_count + 1, sizeof *graph->calls);
    uint32_t *call_of = tuff__calloc(graph->node_count + 1, sizeof *call_of);
    if (!graph->calls || !call_of) {
        tuff__free(call_of);
        return tuff__fail_memory("graph plan", graph->call_count * sizeof *graph->calls);
    }
    for (size_t i = 0; i < p->item_count; i++)
        if (p->items[i].node == TUFF__NO_NODE)
            graph->values[p->items[i].value].slice =
                (tuff__slice){graph->buffers[p->items[i].arena], p->items[i].offset, p->items[i].size};
    for (uint32_t i = 0; i < graph->call_count; i++) {
        resolve_call(graph, &graph->nodes[graph->call_nodes[i]], &graph->calls[i]);
        call_of[graph->call_nodes[i]] = i;
    }
    for (size_t i = 0; i < p->item_count; i++) {
        const plan_item *item = &p->items[i];
        if (item->node == TUFF__NO_NODE)
            continue;
        tuff_op_call *call = &graph->calls[call_of[item->node]];
        call->workspace_slice = (tuff__slice){graph->buffers[item->arena], item->offset, item->size};
        call->workspace_size = item->size;
        call->workspace = host_address(&call->workspace_slice);
    }
    tuff__free(call_of);
    return TUFF_SUCCESS;
}

static tuff_status plan(planner *p)
{
    assign_levels(p);
    TUFF_TRY(order_calls(p));
    TUFF_TRY(collect_values(p));
    TUFF_TRY(collect_workspaces(p));
    TUFF_TRY(place_items(p));
    TUFF_TRY(create_arenas(p));
    return make_calls(p);
}

void tuff__graph_unplan(tuff_graph *graph)
{
    for (size_t i = 0; i < graph->buffer_count; i++)
        if (!is_shared(graph, graph->buffers[i]))
            tuff_buffer_destroy(graph->buffers[i]);
    tuff__free(graph->buffers);
    tuff__free(graph->calls);
    tuff__free(graph->call_nodes);
    graph->buffers = NULL;
    graph->calls = NULL;
    graph->call_nodes = NULL;
    graph->buffer_count = graph->call_count = 0;
    graph->statistics = (tuff_graph_statistics){0};
}

tuff_status tuff__graph_plan(tuff_graph *graph)
{
    planner p = {
        .graph = graph,
        .accesses = tuff__calloc(graph->value_count, sizeof(access)),
        .externals = tuff__calloc(graph->value_count, sizeof(uint32_t)),
    };
    const tuff_status status =
        p.accesses && p.externals ? plan(&p) : tuff__fail_memory("graph plan", graph->value_count * sizeof(access));
    tuff__free(p.accesses);
    tuff__free(p.externals);
    tuff__free(p.items);
    tuff__free(p.arenas);
    tuff__free(p.placed);
    return status;
}
