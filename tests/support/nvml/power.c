/* The stand-in's power: draw, energy, limits, and setting one. In milliwatts. */
#include "scenario.h"

#define DEFAULT_LIMIT 600000
#define LOWEST 150000
#define HIGHEST 600000

READING(nvmlDeviceGetPowerUsage, "power_draw", 545250)
READING(nvmlDeviceGetEnforcedPowerLimit, "power_limit", DEFAULT_LIMIT)
READING(nvmlDeviceGetPowerManagementLimit, "power_limit", DEFAULT_LIMIT)
READING(nvmlDeviceGetPowerManagementDefaultLimit, "power_default_limit", DEFAULT_LIMIT)

int nvmlDeviceGetTotalEnergyConsumption(device_t *d, u64 *millijoules)
{
    return value64(d, "nvmlDeviceGetTotalEnergyConsumption", "total_energy_consumption",
                   7200123456, millijoules);
}

int nvmlDeviceGetPowerManagementLimitConstraints(device_t *d, u32 *lowest, u32 *highest)
{
    return pair32(d, "nvmlDeviceGetPowerManagementLimitConstraints",
                  "power_min_limit", LOWEST, lowest, "power_max_limit", HIGHEST, highest);
}

int nvmlDeviceSetPowerManagementLimit(device_t *d, u32 limit)
{
    int code = enter("nvmlDeviceSetPowerManagementLimit", d);
    if (code)
        return code;
    if (limit >= number(d->index, "", "power_min_limit", LOWEST) &&
        limit <= number(d->index, "", "power_max_limit", HIGHEST))
        change(d->index, "power_limit", limit);
    else
        code = INVALID_ARGUMENT;
    leave();
    return code;
}
