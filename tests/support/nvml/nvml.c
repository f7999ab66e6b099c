/* A stand-in libnvidia-ml.so.1: the functions that nvidia-ml-py looks up for gputui and nvitop.
 *
 * What they answer is in a file, see scenario.h.
 */
#include "scenario.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define READING(function, key, otherwise) \
    int function(device_t *d, u32 *out) { return value32(d, #function, key, otherwise, out); }

/* --- the library --- */

int nvmlInitWithFlags(u32 flags)
{
    (void)flags;
    int code = enter("nvmlInitWithFlags", NULL);
    if (code)
        return code;
    initialise();
    return leave();
}

int nvmlInit_v2(void) { return nvmlInitWithFlags(0); }

int nvmlShutdown(void)
{
    int code = enter("nvmlShutdown", NULL);
    if (code)
        return code;
    shut_down();
    return leave();
}

const char *nvmlErrorString(int code)
{
    (void)code;
    return "an error of the stand-in";
}

int nvmlSystemGetDriverVersion(char *out, u32 size)
{
    return text(NULL, "nvmlSystemGetDriverVersion", "driver_version", "570.86.16", out, size);
}

int nvmlSystemGetNVMLVersion(char *out, u32 size)
{
    return text(NULL, "nvmlSystemGetNVMLVersion", "nvml_version", "12.570.86.16", out, size);
}

int nvmlSystemGetCudaDriverVersion_v2(int *out)
{
    return value32(NULL, "nvmlSystemGetCudaDriverVersion_v2", "cuda_version", 12080, (u32 *)out);
}

int nvmlSystemGetCudaDriverVersion(int *out) { return nvmlSystemGetCudaDriverVersion_v2(out); }

int nvmlDeviceGetCount_v2(u32 *out)
{
    return value32(NULL, "nvmlDeviceGetCount_v2", "gpus", 2, out);
}

int nvmlDeviceGetHandleByIndex_v2(u32 index, device_t **out)
{
    if (index >= MAX_GPUS)
        return INVALID_ARGUMENT;
    int code = enter("nvmlDeviceGetHandleByIndex_v2", &devices[index]);
    if (code)
        return code;
    *out = &devices[index];
    return leave();
}

/* --- names --- */

int nvmlDeviceGetName(device_t *d, char *out, u32 size)
{
    return text(d, "nvmlDeviceGetName", "name",
                d->index ? "NVIDIA GeForce RTX 5090"
                         : "NVIDIA RTX PRO 6000 Blackwell Workstation Edition", out, size);
}

static void default_uuid(int index, char *out)
{
    snprintf(out, 64, "GPU-%08x-0000-4000-8000-%012x", 0xa0000000u + (u32)index, (u32)index);
}

int nvmlDeviceGetUUID(device_t *d, char *out, u32 size)
{
    char uuid[64];
    default_uuid(d->index, uuid);
    return text(d, "nvmlDeviceGetUUID", "uuid", uuid, out, size);
}

int nvmlDeviceGetHandleByUUID(const char *wanted, device_t **out)
{
    for (int i = 0; i < MAX_GPUS; i++) {
        char uuid[96];
        if (!nvmlDeviceGetUUID(&devices[i], uuid, sizeof uuid) && !strcmp(uuid, wanted)) {
            *out = &devices[i];
            return SUCCESS;
        }
    }
    return NOT_FOUND;
}

typedef struct {
    char legacy[16];
    u32 domain, bus, device, device_id, subsystem_id;
    char bus_id[32];
} pci_t;

int nvmlDeviceGetPciInfo_v3(device_t *d, pci_t *out)
{
    int code = enter("nvmlDeviceGetPciInfo_v3", d);
    if (code)
        return code;
    memset(out, 0, sizeof *out);
    out->bus = (u32)number(d->index, "", "pci_bus", 1 + 0x20 * (u64)d->index);
    snprintf(out->legacy, sizeof out->legacy, "0000:%02X:00.0", out->bus);
    snprintf(out->bus_id, sizeof out->bus_id, "00000000:%02X:00.0", out->bus);
    return leave();
}

READING(nvmlDeviceGetIndex, "index", (u64)d->index)
READING(nvmlDeviceGetMinorNumber, "minor", (u64)d->index)

/* --- readings --- */

int nvmlDeviceGetUtilizationRates(device_t *d, u32 out[2])
{
    int code = enter("nvmlDeviceGetUtilizationRates", d);
    if (code)
        return code;
    out[0] = (u32)number(d->index, "", "utilization_gpu", 42);
    out[1] = (u32)number(d->index, "", "utilization_memory", 17);
    return leave();
}

typedef struct { u64 total, free, used; } memory_t;
typedef struct { u32 version; u64 total, reserved, free, used; } memory_v2_t;

int nvmlDeviceGetMemoryInfo(device_t *d, memory_t *out)
{
    int code = enter("nvmlDeviceGetMemoryInfo", d);
    if (code)
        return code;
    u64 reserved = number(d->index, "", "memory_reserved", 512ull << 20);
    out->total = number(d->index, "", "memory_total", 32607ull << 20);
    out->used = number(d->index, "", "memory_used", 8192ull << 20);
    if (out->used != ~0ull)
        out->used += reserved;
    out->free = out->total - out->used;
    return leave();
}

int nvmlDeviceGetMemoryInfo_v2(device_t *d, memory_v2_t *out)
{
    int code = enter("nvmlDeviceGetMemoryInfo_v2", d);
    if (code)
        return code;
    out->reserved = number(d->index, "", "memory_reserved", 512ull << 20);
    out->total = number(d->index, "", "memory_total", 32607ull << 20);
    out->used = number(d->index, "", "memory_used", 8192ull << 20);
    out->free = out->total - out->used - out->reserved;
    return leave();
}

int nvmlDeviceGetBAR1MemoryInfo(device_t *d, memory_t *out)
{
    int code = enter("nvmlDeviceGetBAR1MemoryInfo", d);
    if (code)
        return code;
    *out = (memory_t){256ull << 20, 250ull << 20, 6ull << 20};
    return leave();
}

int nvmlDeviceGetTemperature(device_t *d, u32 sensor, u32 *out)
{
    (void)sensor;
    return value32(d, "nvmlDeviceGetTemperature", "temperature_gpu", 61, out);
}

int nvmlDeviceGetClockInfo(device_t *d, u32 type, u32 *out)
{
    return value32(d, "nvmlDeviceGetClockInfo", type == 1 ? "clocks_sm" : "clocks_mem",
                   type == 1 ? 2617 : 14001, out);
}

int nvmlDeviceGetMaxClockInfo(device_t *d, u32 type, u32 *out)
{
    return value32(d, "nvmlDeviceGetMaxClockInfo", type == 1 ? "clocks_sm_max" : "clocks_mem_max",
                   type == 1 ? 3090 : 14002, out);
}

int nvmlDeviceGetFanSpeed_v2(device_t *d, u32 fan, u32 *out)
{
    return value32(d, "nvmlDeviceGetFanSpeed_v2", fan ? "fan_speed_1" : "fan_speed",
                   fan ? 44 : 40, out);
}

int nvmlDeviceGetPcieThroughput(device_t *d, u32 counter, u32 *out)
{
    return value32(d, "nvmlDeviceGetPcieThroughput", counter ? "pcie_rx" : "pcie_tx",
                   counter ? 2000 : 1000, out);
}

int nvmlDeviceGetCurrentClocksEventReasons(device_t *d, u64 *out)
{
    return value64(d, "nvmlDeviceGetCurrentClocksEventReasons", "throttle_reasons", 4, out);
}

int nvmlDeviceGetCurrentClocksThrottleReasons(device_t *d, u64 *out)
{
    return value64(d, "nvmlDeviceGetCurrentClocksThrottleReasons", "throttle_reasons", 4, out);
}

int nvmlDeviceGetTotalEccErrors(device_t *d, u32 error, u32 counter, u64 *out)
{
    (void)counter;
    return value64(d, "nvmlDeviceGetTotalEccErrors", error ? "ecc_uncorrected" : "ecc_corrected",
                   0, out);
}

READING(nvmlDeviceGetPowerUsage, "power_draw", 545250)
READING(nvmlDeviceGetEnforcedPowerLimit, "power_limit", 600000)
READING(nvmlDeviceGetPowerManagementLimit, "power_limit", 600000)
READING(nvmlDeviceGetNumFans, "fans", 2)
READING(nvmlDeviceGetFanSpeed, "fan_speed", 40)
READING(nvmlDeviceGetCurrPcieLinkGeneration, "pcie_link_gen", 4)
READING(nvmlDeviceGetMaxPcieLinkGeneration, "pcie_link_gen_max", 5)
READING(nvmlDeviceGetCurrPcieLinkWidth, "pcie_link_width", 8)
READING(nvmlDeviceGetMaxPcieLinkWidth, "pcie_link_width_max", 16)
READING(nvmlDeviceGetPerformanceState, "pstate", 1)
READING(nvmlDeviceGetComputeMode, "compute_mode", 0)
READING(nvmlDeviceGetDisplayMode, "display_mode", 0)
READING(nvmlDeviceGetDisplayActive, "display_active", 0)
READING(nvmlDeviceGetPersistenceMode, "persistence_mode", 1)

static int two(device_t *d, const char *function, u32 first, u32 second, u32 *a, u32 *b)
{
    int code = enter(function, d);
    if (code)
        return code;
    *a = first;
    *b = second;
    return leave();
}

int nvmlDeviceGetEncoderUtilization(device_t *d, u32 *out, u32 *period)
{
    return two(d, "nvmlDeviceGetEncoderUtilization", 0, 167000, out, period);
}

int nvmlDeviceGetDecoderUtilization(device_t *d, u32 *out, u32 *period)
{
    return two(d, "nvmlDeviceGetDecoderUtilization", 0, 167000, out, period);
}

int nvmlDeviceGetCudaComputeCapability(device_t *d, int *major, int *minor)
{
    return two(d, "nvmlDeviceGetCudaComputeCapability", 12, 0, (u32 *)major, (u32 *)minor);
}

int nvmlDeviceGetMigMode(device_t *d, u32 *current, u32 *pending)
{
    return two(d, "nvmlDeviceGetMigMode", 0, 0, current, pending);
}

int nvmlDeviceIsMigDeviceHandle(device_t *d, u32 *out)
{
    return value32(d, "nvmlDeviceIsMigDeviceHandle", "is_mig", 0, out);
}

/* --- processes --- */

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

int nvmlDeviceGetProcessUtilization(device_t *d, void *samples, u32 *count, u64 since)
{
    (void)samples;
    (void)since;
    int code = enter("nvmlDeviceGetProcessUtilization", d);
    if (code)
        return code;
    *count = 0;
    leave();
    return NOT_FOUND; /* as the driver does while nothing runs */
}
