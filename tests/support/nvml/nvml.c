/* A stand-in libnvidia-ml.so.1: the functions that nvidia-ml-py looks up for gputui and nvitop.
 *
 * What they answer is in a file, see scenario.h. Here: the library itself, and the GPUs' names.
 */
#include "scenario.h"

#include <stdio.h>
#include <string.h>

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

int nvmlSystemGetCudaDriverVersion(int *out)
{
    return value32(NULL, "nvmlSystemGetCudaDriverVersion", "cuda_version", 12080, (u32 *)out);
}

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
    if (index >= number(-1, "", "gpus", 2))
        code = INVALID_ARGUMENT;
    *out = &devices[index];
    leave();
    return code;
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
