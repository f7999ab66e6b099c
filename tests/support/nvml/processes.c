/* The stand-in's processes on a GPU. */
#include "scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct { u32 pid; u64 memory; u32 gpu_instance, compute_instance; } process_t;

static int processes(device_t *d, const char *function, const char *key, u32 *count, process_t *out)
{
    int code = enter(function, d);
    if (code)
        return code;
    const char *list = find(d->index, "", key);
    char copy[512];
    snprintf(copy, sizeof copy, "%s", list && strcmp(list, "none") ? list : "");
    u32 there = 0, room = out ? *count : 0;
    char *rest = NULL;
    for (char *word = strtok_r(copy, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        if (there < room) {
            const char *colon = strchr(word, ':');
            u64 memory = !colon || !strcmp(colon + 1, "unknown") ? ~0ull
                                                                 : strtoull(colon + 1, NULL, 0);
            out[there] = (process_t){(u32)strtoul(word, NULL, 0), memory, ~0u, ~0u};
        }
        there++;
    }
    *count = there;
    leave();
    return there > room ? INSUFFICIENT_SIZE : SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(device_t *d, u32 *count, process_t *out)
{
    return processes(d, "nvmlDeviceGetComputeRunningProcesses_v3", "compute", count, out);
}

int nvmlDeviceGetComputeRunningProcesses_v2(device_t *d, u32 *count, process_t *out)
{
    return processes(d, "nvmlDeviceGetComputeRunningProcesses_v2", "compute", count, out);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(device_t *d, u32 *count, process_t *out)
{
    return processes(d, "nvmlDeviceGetGraphicsRunningProcesses_v3", "graphics", count, out);
}

int nvmlDeviceGetGraphicsRunningProcesses_v2(device_t *d, u32 *count, process_t *out)
{
    return processes(d, "nvmlDeviceGetGraphicsRunningProcesses_v2", "graphics", count, out);
}

typedef struct { u32 pid; u64 at; u32 sm, memory, encoder, decoder; } utilization_t;

/* Samples newer than `since`; as the driver, NOT_FOUND where there is none. */
int nvmlDeviceGetProcessUtilization(device_t *d, utilization_t *out, u32 *count, u64 since)
{
    int code = enter("nvmlDeviceGetProcessUtilization", d);
    if (code)
        return code;
    const char *list = find(d->index, "", "utilization");
    char copy[512];
    snprintf(copy, sizeof copy, "%s", list && strcmp(list, "none") ? list : "");
    u32 there = 0, room = out ? *count : 0;
    char *rest = NULL;
    for (char *word = strtok_r(copy, ",", &rest); word; word = strtok_r(NULL, ",", &rest)) {
        utilization_t u = {0};
        if (sscanf(word, "%u:%llu:%u:%u:%u:%u", &u.pid, &u.at, &u.sm, &u.memory, &u.encoder,
                   &u.decoder) < 4 || u.at <= since)
            continue;
        if (there < room)
            out[there] = u;
        there++;
    }
    *count = there;
    leave();
    if (!there)
        return NOT_FOUND;
    return there > room ? INSUFFICIENT_SIZE : SUCCESS;
}
