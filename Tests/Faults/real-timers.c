// Preloaded before libfaketime, which shifts the absolute times of monotonic timers, too: a program behind by an hour would
// sleep for an hour. The program's timers that matter are all monotonic.
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

int timerfd_settime(int fd, int flags, const struct itimerspec *value, struct itimerspec *old) {
  return (int)syscall(SYS_timerfd_settime, fd, flags, value, old);
}
