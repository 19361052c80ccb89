// Calls of Linux and its C library that Swift's Glibc module leaves out.
//
// No header is included: <spawn.h> and <unistd.h> with _GNU_SOURCE define types otherwise than Swift's Glibc module was
// built with, and whether that shows depends on the order in which modules are read. The symbols are bound by name.
#pragma once

/// Writes what is dirty in the file system that holds `descriptor`, and waits for it. See syncfs(2).
extern int backupd_syncfs(int descriptor) __asm__("syncfs");

/// The child begins in this directory. `actions` is a `posix_spawn_file_actions_t *`. See
/// posix_spawn_file_actions_addchdir_np(3).
extern int backupd_spawn_in_directory(void *actions, const char *path) __asm__("posix_spawn_file_actions_addchdir_np");

/// A pipe whose ends close on exec from the beginning: no child that another thread starts meanwhile gets them. See pipe(2).
extern int backupd_pipe2(int *ends, int flags) __asm__("pipe2");

extern char **backupd_environ __asm__("environ");

/// This process's environment, to hand on. See environ(7).
static inline char **backupd_environment(void) { return backupd_environ; }

/// Sets a parameter of malloc. See mallopt(3) for the numbers; 1 where it was accepted.
extern int backupd_mallopt(int parameter, int value) __asm__("mallopt");

extern long backupd_syscall(long number, long first, long second, long third) __asm__("syscall");
extern int backupd_sync_file_range(int descriptor, long long offset, long long length, unsigned flags)
    __asm__("sync_file_range");
extern int backupd_setpriority(unsigned which, unsigned who, int value) __asm__("setpriority");

/// The calling thread from now on takes what others leave of processors (nice 19) and disks (idle class). See
/// setpriority(2), ioprio_set(2); on Linux both are of a thread. 0 where both were taken.
static inline int backupd_yield_to_others(void) {
#if defined(__x86_64__)
  const long ioprio_set = 251;
#else
  const long ioprio_set = 30; // the generic table, which aarch64 uses
#endif
  const int which_process = 0, idle_class = 3, class_shift = 13;
  int nice = backupd_setpriority(0 /* PRIO_PROCESS */, 0, 19);
  long disk = backupd_syscall(ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, which_process, (long)idle_class << class_shift);
  return nice == 0 && disk == 0 ? 0 : -1;
}

/// `O_DIRECT` of open(2), which <fcntl.h> shows with _GNU_SOURCE alone.
static inline int backupd_open_direct(void) {
#if defined(__aarch64__) || defined(__arm__)
  return 0200000;
#else
  return 040000; // the generic value, which x86 uses
#endif
}

extern int backupd_statfs(const char *path, void *result) __asm__("statfs");

/// The magic number of the file system that holds a path; -1 with errno set where it cannot be asked. See statfs(2): the
/// number is the first field of the result, which has 120 bytes on every 64-bit Linux.
static inline long backupd_file_system_type(const char *path) {
  long fields[32];
  return backupd_statfs(path, fields) == 0 ? fields[0] : -1;
}

extern int backupd_prctl_call(int option, ...) __asm__("prctl");

/// No core dumps of this process, and nobody but root may trace it or read its memory. See prctl(2), PR_SET_DUMPABLE. 0
/// where it was accepted.
static inline int backupd_forbid_dumps(void) {
  const int set_dumpable = 4;
  return backupd_prctl_call(set_dumpable, 0UL, 0UL, 0UL, 0UL);
}

extern int backupd_shmctl_call(int identifier, int command, void *buffer) __asm__("shmctl");

/// Removes a System V shared memory segment that nobody is attached to. See shmctl(2). 0 where it was removed; -1 where
/// it is gone, another's, or in use: the key is looked at because the kernel gives identifiers out again.
static inline int backupd_remove_segment(int identifier, int key) {
  const int ipc_stat = 2, ipc_rmid = 0, attached = 11;
  unsigned long fields[32];
  if (backupd_shmctl_call(identifier, ipc_stat, fields) != 0) return -1;
  if (*(int *)fields != key || fields[attached] != 0) return -1;
  return backupd_shmctl_call(identifier, ipc_rmid, 0);
}

extern int backupd_open_call(const char *path, int flags, ...) __asm__("open");
extern int backupd_close_call(int descriptor) __asm__("close");

/// The calling thread, and all it starts from now on, may write, make and remove files below these directories only. See
/// landlock(7); there is no way back. 1 where the kernel cannot do it, and nothing has changed; -1 with errno where it
/// failed.
static inline int backupd_confine_writes(const char *const *paths, int count) {
  const long create = 444, add = 445, restrict_self = 446; // the same on every architecture
  const unsigned long long write_file = 1ULL << 1, remove_and_make = 0x1FF0ULL, refer = 1ULL << 13, truncate = 1ULL << 14;
  const int path_only = 010000000, close_on_exec = 02000000, no_new_privileges = 38;
  long version = backupd_syscall(create, 0, 0, 1 /* LANDLOCK_CREATE_RULESET_VERSION */);
  if (version < 1) return 1;
  unsigned long long access = write_file | remove_and_make;
  if (version >= 2) access |= refer;
  if (version >= 3) access |= truncate;
  long rules = backupd_syscall(create, (long)&access, sizeof access, 0);
  if (rules < 0) return -1;
  int result = 0;
  for (int index = 0; index < count && result == 0; index++) {
    struct __attribute__((packed)) { unsigned long long access; int descriptor; } rule = {
        access, backupd_open_call(paths[index], path_only | close_on_exec)};
    if (rule.descriptor < 0) result = -1;
    else {
      // landlock_add_rule takes four arguments; the last has to be zero.
      extern long backupd_syscall4(long, long, long, long, long) __asm__("syscall");
      if (backupd_syscall4(add, rules, 1 /* LANDLOCK_RULE_PATH_BENEATH */, (long)&rule, 0) != 0) result = -1;
      backupd_close_call(rule.descriptor);
    }
  }
  if (result == 0 && backupd_prctl_call(no_new_privileges, 1UL, 0UL, 0UL, 0UL) != 0) result = -1;
  if (result == 0 && backupd_syscall(restrict_self, rules, 0, 0) != 0) result = -1;
  backupd_close_call((int)rules);
  return result;
}
