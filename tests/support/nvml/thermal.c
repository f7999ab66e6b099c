/* The stand-in's temperatures, in degrees Celsius. */
#include "scenario.h"

#include <stddef.h>

int nvmlDeviceGetTemperature(device_t *d, u32 sensor, u32 *out)
{
    (void)sensor;
    return value32(d, "nvmlDeviceGetTemperature", "temperature_gpu", 61, out);
}

typedef struct { u32 version, sensor; int temperature; } temperature_v1_t;

int nvmlDeviceGetTemperatureV(device_t *d, temperature_v1_t *out)
{
    return value32(d, "nvmlDeviceGetTemperatureV", "temperature_gpu", 61, (u32 *)&out->temperature);
}

int nvmlDeviceGetTemperatureThreshold(device_t *d, u32 threshold, u32 *out)
{
    if (threshold > 1)
        return INVALID_ARGUMENT;
    return value32(d, "nvmlDeviceGetTemperatureThreshold",
                   threshold ? "temperature_gpu_slowdown" : "temperature_gpu_shutdown",
                   threshold ? 92 : 97, out);
}

typedef struct { u32 version; int margin; } margin_v1_t;

int nvmlDeviceGetMarginTemperature(device_t *d, margin_v1_t *out)
{
    return value32(d, "nvmlDeviceGetMarginTemperature", "temperature_gpu_tlimit", 26,
                   (u32 *)&out->margin);
}

#define MEMORY_TEMP 82
#define TYPE_UNSIGNED_INT 1

typedef struct {
    u32 field, scope;
    long long at, latency;
    u32 type;
    int code;
    union { double d; u64 ull; u32 ui; } value;
} field_t;

/* As in the driver, a field that fails leaves anything in its value. */
static void answer(device_t *d, field_t *out)
{
    out->type = TYPE_UNSIGNED_INT;
    out->value.ull = 0xbad;
    out->code = NOT_SUPPORTED;
    if (out->field != MEMORY_TEMP)
        return;
    out->code = (int)number(d->index, "error.", "NVML_FI_DEV_MEMORY_TEMP", 0);
    if (!out->code)
        out->value.ui = (u32)number(d->index, "", "temperature_memory", 68);
}

int nvmlDeviceGetFieldValues(device_t *d, int count, field_t *fields)
{
    int code = enter("nvmlDeviceGetFieldValues", d);
    if (code)
        return code;
    for (int i = 0; i < count; i++)
        answer(d, &fields[i]);
    return leave();
}
