/* socket_file.h - the file that a unix socket makes where it listens at a path. */
#ifndef SLUICE_SOCKET_FILE_H
#define SLUICE_SOCKET_FILE_H

#include "base/platform.h"

#include <sys/types.h>

#include "network/address.h"

/* Which file is ours. All zeros: none is.
 * Invariants, where `exists` is set:
 * - `device` and `inode` name the file that bind made. They stay its own for as long as the socket
 *   is open, since the kernel holds the inode until then;
 * - `folder` is an open descriptor (O_PATH) of the folder that the file was made in. It stays right
 *   after a chdir, and after the folder has been moved. */
struct sluice_socket_file {
    dev_t device;
    ino_t inode;
    int folder;
    bool exists;
};

/* Binds `fd` to a unix socket's address with a path, and notes the file in `file`. With a `mode`
 * the file has that, whatever the umask, and never a wider one. A socket's file that no living
 * socket is bound to is replaced. 0, or -EADDRINUSE, or another negated errno, and then `file` is
 * zeros. */
SLUICE_INTERNAL int sluice_socket_file_bind(struct sluice_socket_file *file, int fd,
                                            const struct sluice_address *address,
                                            const mode_t *mode);

/* Removes the file, if it still stands at its place. To be called before `fd`, the socket, is
 * closed: until then nobody takes the file for one that is left over. */
SLUICE_INTERNAL void sluice_socket_file_remove(struct sluice_socket_file *file, int fd);

/* The file is somebody else's to remove from now on: a fork's parent's, or the caller's. */
SLUICE_INTERNAL void sluice_socket_file_forget(struct sluice_socket_file *file);

#endif
