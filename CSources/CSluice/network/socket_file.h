/* socket_file.h - the file that a unix socket makes when it listens at a path. */
#ifndef SLUICE_SOCKET_FILE_H
#define SLUICE_SOCKET_FILE_H

#include "base/platform.h"

#include <sys/types.h>

#include "network/address.h"

/* Which file is ours. All zeros: none is.
 * Invariants, if `exists` is set:
 * - `device` and `inode` name the file that bind made. No other file gets them as long as the
 *   socket is open, since the kernel holds the inode until then;
 * - `folder` is an open descriptor (O_PATH) of the folder that the file was made in. It stays right
 *   after a chdir, and after the folder has been moved. */
struct sluice_socket_file {
    dev_t device;
    ino_t inode;
    int folder;
    bool exists;
};

/* Binds `fd` to a unix socket's address with a path, and notes the file in `file`. With a `mode`,
 * the file has that mode, whatever the umask, and never a wider one. A socket's file that no living
 * socket is bound to is replaced. Returns 0, or -EADDRINUSE, or another negated errno. On an error
 * `file` is zeros. */
SLUICE_INTERNAL int sluice_socket_file_bind(struct sluice_socket_file *file, int fd,
                                            const struct sluice_address *address,
                                            const mode_t *mode);

/* Removes the file, if it still stands at its place. Call it before `fd`, the socket, is closed:
 * until then nobody takes the file for one that is left over. */
SLUICE_INTERNAL void sluice_socket_file_remove(struct sluice_socket_file *file, int fd);

/* From now on somebody else removes the file: the parent of a fork, or the caller. */
SLUICE_INTERNAL void sluice_socket_file_forget(struct sluice_socket_file *file);

#endif
