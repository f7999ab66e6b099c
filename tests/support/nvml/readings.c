/* The stand-in's readings of a GPU. */
#include "scenario.h"

#include <stddef.h>

/* While MIG is on the driver measures no utilization of the whole GPU. */
static int utilization(device_t *d, const char *function, const char *key_a, u64 otherwise_a,
                       u32 *a, const char *key_b, u64 otherwise_b, u32 *b)
{
    int code = pair32(d, function, key_a, otherwise_a, a, key_b, otherwise_b, b);
    return code || !number(d->index, "", "mig_mode", 0) ? code : NOT_SUPPORTED;
}

int nvmlDeviceGetUtilizationRates(device_t *d, u32 out[2])
{
    return utilization(d, "nvmlDeviceGetUtilizationRates", "utilization_gpu", 42, &out[0],
                       "utilization_memory", 17, &out[1]);
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
                   error ? 0 : 2, out);
}

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

int nvmlDeviceGetEncoderUtilization(device_t *d, u32 *out, u32 *period)
{
    return utilization(d, "nvmlDeviceGetEncoderUtilization", "utilization_encoder", 3, out,
                       "sampling_period_us", 167000, period);
}

int nvmlDeviceGetDecoderUtilization(device_t *d, u32 *out, u32 *period)
{
    return utilization(d, "nvmlDeviceGetDecoderUtilization", "utilization_decoder", 5, out,
                       "sampling_period_us", 167000, period);
}

int nvmlDeviceGetCudaComputeCapability(device_t *d, int *major, int *minor)
{
    return pair32(d, "nvmlDeviceGetCudaComputeCapability", "compute_major", 12, (u32 *)major,
                  "compute_minor", 0, (u32 *)minor);
}

int nvmlDeviceGetMigMode(device_t *d, u32 *current, u32 *pending)
{
    return pair32(d, "nvmlDeviceGetMigMode", "mig_mode", 0, current, "mig_mode_pending", 0,
                  pending);
}

int nvmlDeviceIsMigDeviceHandle(device_t *d, u32 *out)
{
    return value32(d, "nvmlDeviceIsMigDeviceHandle", "is_mig", 0, out);
}
