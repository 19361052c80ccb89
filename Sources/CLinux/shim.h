// Calls of Linux and its C library that Swift's Glibc module leaves out.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <spawn.h>
#include <unistd.h>

// Declared here too: whether the headers show them depends on who included them first.
int syncfs(int descriptor);
int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *actions, const char *path);

/// Writes what is dirty in the file system that holds `descriptor`, and waits for it. See syncfs(2).
static inline int backupd_syncfs(int descriptor) { return syncfs(descriptor); }

/// The child begins in this directory. See posix_spawn_file_actions_addchdir_np(3).
static inline int backupd_spawn_in_directory(posix_spawn_file_actions_t *actions, const char *path) {
  return posix_spawn_file_actions_addchdir_np(actions, path);
}

/// This process's environment, to hand on. See environ(7).
static inline char **backupd_environment(void) { return environ; }
