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

extern char **backupd_environ __asm__("environ");

/// This process's environment, to hand on. See environ(7).
static inline char **backupd_environment(void) { return backupd_environ; }

/// Sets a parameter of malloc. See mallopt(3) for the numbers; 1 where it was accepted.
extern int backupd_mallopt(int parameter, int value) __asm__("mallopt");
