/* Shifts the wall clock of a process, and no other clock, by the nanoseconds in a shared file. Loaded by ld.so.preload.

   The file is mapped when the process starts, before any sandbox, so that the clock can be set while it runs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int64_t none;
static const volatile int64_t *shift = &none;
static int (*real_clock)(clockid_t, struct timespec *);

__attribute__((constructor)) static void find(void) {
    real_clock = dlsym(RTLD_NEXT, "clock_gettime");
    int file = open(SHIFT, O_RDONLY | O_CLOEXEC);
    if (file < 0) return;
    void *found = mmap(0, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
    if (found != MAP_FAILED) shift = found;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    if (!real_clock) real_clock = dlsym(RTLD_NEXT, "clock_gettime");
    int failed = real_clock(clock, now);
    if (!failed && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t moved = now->tv_sec * INT64_C(1000000000) + now->tv_nsec + *shift;
        now->tv_sec = moved / INT64_C(1000000000);
        now->tv_nsec = moved % INT64_C(1000000000);
    }
    return failed;
}

int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    (void)zone;
    struct timespec exact;
    int failed = clock_gettime(CLOCK_REALTIME, &exact);
    now->tv_sec = exact.tv_sec;
    now->tv_usec = exact.tv_nsec / 1000;
    return failed;
}

time_t time(time_t *into) {
    struct timespec exact;
    clock_gettime(CLOCK_REALTIME, &exact);
    if (into) *into = exact.tv_sec;
    return exact.tv_sec;
}
