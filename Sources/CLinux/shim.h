// System calls that Swift's Glibc module leaves out.
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <unistd.h>

int syncfs(int descriptor);

/// Writes what is dirty in the file system that holds `descriptor`, and waits for it. See syncfs(2).
static inline int backupd_syncfs(int descriptor) { return syncfs(descriptor); }
