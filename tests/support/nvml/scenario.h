/* What the stand-in answers is in the file that $STANDIN_NVML names.
 *
 * The file holds lines "KEY VALUE" and is read again whenever it changes (replace it in one step).
 * A reading of GPU N is looked up as "gpu.N.KEY", then as "KEY", then a default holds. Keys:
 *   gpus N                     how many GPUs
 *   name, uuid, pci_bus, ...   readings, see the functions; "unknown" is all bits set
 *   compute, graphics          processes, "PID:BYTES,PID:BYTES" or "none"
 *   utilization                of processes, "PID:TIMESTAMP_US:SM:MEMORY[:ENCODER:DECODER],..."
 *   error.FUNCTION CODE        what FUNCTION returns instead ("gpu.N.error.FUNCTION" for one GPU)
 *   error.NVML_FI_DEV_... CODE the same for one of nvmlDeviceGetFieldValues' fields
 *   hang.FUNCTION 1            FUNCTION does not return while this stands
 *   delay_us.FUNCTION N        FUNCTION takes so long
 *   lost 1                     the GPU is lost: after that it stays so until NVML is shut down and
 *                              initialised again
 *   reloads N                  when N changes the driver was reloaded: only nvmlInit helps
 * A power limit that is set becomes a line at the end of the file: every process sees it, until the
 * file is replaced.
 * Each call appends "FUNCTION INDEX" to the file that $STANDIN_NVML_CALLS names, if it does.
 */
#ifndef SCENARIO_H
#define SCENARIO_H

#define MAX_GPUS 16

enum {
    SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6,
    INSUFFICIENT_SIZE = 7, GPU_IS_LOST = 15
};

typedef unsigned int u32;
typedef unsigned long long u64;
typedef struct { int index; int lost; } device_t;

extern device_t devices[MAX_GPUS];

/* What every function does first: count, delay, hang, fail. Returns holding the lock on SUCCESS. */
int enter(const char *function, device_t *device);

/* Gives the lock back; SUCCESS. */
int leave(void);

/* With the lock: GPUs are looked for, as at the first nvmlInit; and not any more. */
void initialise(void);
void shut_down(void);

/* With the lock: the value of "gpu.INDEX.PREFIXNAME", else of "PREFIXNAME", else NULL, otherwise. */
const char *find(int index, const char *prefix, const char *name);
u64 number(int index, const char *prefix, const char *name, u64 otherwise);

/* With the lock: from now on this is the value of "gpu.INDEX.NAME". */
void change(int index, const char *name, u64 value);

/* Whole functions: enter, answer what stands under the key, leave. */
int text(device_t *device, const char *function, const char *key, const char *otherwise, char *out,
         u32 size);
int value32(device_t *device, const char *function, const char *key, u64 otherwise, u32 *out);
int value64(device_t *device, const char *function, const char *key, u64 otherwise, u64 *out);
int pair32(device_t *device, const char *function, const char *key_a, u64 otherwise_a, u32 *a,
           const char *key_b, u64 otherwise_b, u32 *b);

#define READING(function, key, otherwise) \
    int function(device_t *d, u32 *out) { return value32(d, #function, key, otherwise, out); }

#endif
