/* socket_file.c - making the file of a unix socket, taking the place of a dead one, and removing
 * it.
 *
 * Removing. The path is not enough to name the file that was made. After a chdir it is another
 * place, and another server may have put its own file there. So the folder is kept open, and device
 * and inode are compared. An unlink cannot be told "only if it is still that inode". In the
 * microseconds between the look and the unlink, somebody else can still replace the file. Servers
 * that use Sluice do not (see below).
 *
 * Is a file dead? A connect of a stream socket cannot tell. A socket that is bound and does not
 * listen yet refuses it, too. And if it is not refused, the server gets a caller. So the connect is
 * that of a datagram socket. The kernel looks for the socket that is bound to the file before it
 * compares types (unix_find_bsd in net/unix/af_unix.c): ECONNREFUSED says that there is none, and
 * EPROTOTYPE that there is one.
 *
 * Two at once. The second server could take the new file of the first for the dead one that it has
 * just looked at. So a server that replaces a file holds a lock from the look to the bind. The lock
 * is flock(2) on a file beside it, which is there no longer than that. Nobody waits for the lock.
 * If it is held, another server is about to be bound at this very path: EADDRINUSE. After a crash
 * the lock goes by itself. Its file may stay, and does no harm. A path without a file needs no
 * lock: bind(2) makes the file, or fails.
 *
 * Decided against:
 * - binding at another name and renaming: both ends would report that other name as the address;
 * - a lock on the folder: some programs lock their folder so that only one of them runs, and
 *   anybody who can read the folder could keep the server out;
 * - an abstract socket as the lock: it is seen in one network namespace only, and anybody can take
 *   its name.
 */
#include "base/platform.h"

#include "network/socket_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOCK_SUFFIX ".sluice-lock"
#define LOCK_TRIES 16

/* The path's last part. */
static const char *name_in_folder(const struct sluice_address *address) {
    const char *slash = strrchr(address->local.sun_path, '/');
    return slash ? slash + 1 : address->local.sun_path;
}

/* The folder of the path, or -errno. */
static int open_folder(const struct sluice_address *address) {
    char folder[sizeof address->local.sun_path + 1] = ".";
    size_t length = (size_t)(name_in_folder(address) - address->local.sun_path);
    if (length > 0) {
        memcpy(folder, address->local.sun_path, length);
        folder[length] = '\0';
    }
    int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

static bool is_same(const struct stat *one, const struct stat *other) {
    return one->st_dev == other->st_dev && one->st_ino == other->st_ino;
}

/* ---- Taking the place of a dead file -------------------------------------------------------- */

/* 0 if the path has no file, or a socket's file that no living socket is bound to; or -EADDRINUSE;
 * or the error that kept us from finding out. */
static SLUICE_COLD int check_nobody(int folder, const struct sluice_address *address) {
    struct stat status;
    if (fstatat(folder, name_in_folder(address), &status, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? 0 : -errno;
    if (!S_ISSOCK(status.st_mode))
        return -EADDRINUSE;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    bool is_dead = connect(fd, &address->any, address->length) < 0 &&
                   (errno == ECONNREFUSED || errno == ENOENT);
    close(fd);
    return is_dead ? 0 : -EADDRINUSE;
}

/* Returns the lock's descriptor, with the name of its file in `name`; -EADDRINUSE if another server
 * holds it; or another negated errno. */
static int take_lock(int folder, const struct sluice_address *address, char *name,
                     size_t capacity) {
    snprintf(name, capacity, "%s" LOCK_SUFFIX, name_in_folder(address));
    for (int i = 0; i < LOCK_TRIES; i++) {
        int fd = openat(folder, name, O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0600);
        if (fd < 0)
            return -errno;
        struct stat held;
        struct stat there;
        if (flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &held) < 0) {
            int code = errno == EWOULDBLOCK ? -EADDRINUSE : -errno;
            close(fd);
            return code;
        }
        /* Its last holder may have removed it between our open and our lock. */
        if (fstatat(folder, name, &there, AT_SYMLINK_NOFOLLOW) == 0 && is_same(&held, &there))
            return fd;
        close(fd);
    }
    return -EADDRINUSE;
}

static SLUICE_COLD int replace(int folder, int fd, const struct sluice_address *address) {
    char lock_name[sizeof address->local.sun_path + sizeof LOCK_SUFFIX];
    int lock = take_lock(folder, address, lock_name, sizeof lock_name);
    if (lock < 0)
        return lock;
    int code = check_nobody(folder, address);
    if (code == 0 && unlinkat(folder, name_in_folder(address), 0) < 0 && errno != ENOENT)
        code = -errno;
    if (code == 0 && bind(fd, &address->any, address->length) < 0)
        code = -errno;
    unlinkat(folder, lock_name, 0);
    close(lock);
    return code;
}

/* ---- From bind to the end ------------------------------------------------------------------- */

static int bind_or_replace(int folder, int fd, const struct sluice_address *address) {
    int code = bind(fd, &address->any, address->length) < 0 ? -errno : 0;
    if (code != -EADDRINUSE)
        return code;
    /* This comes before the lock, so that no lock file is made for a path in use. */
    code = check_nobody(folder, address);
    return code == 0 ? replace(folder, fd, address) : code;
}

/* Notes what was bound. Notes nothing if the file is not there, since somebody has moved it
 * already. */
static void note(struct sluice_socket_file *file, int folder,
                 const struct sluice_address *address) {
    struct stat status;
    if (fstatat(folder, name_in_folder(address), &status, AT_SYMLINK_NOFOLLOW) < 0 ||
        !S_ISSOCK(status.st_mode))
        close(folder);
    else
        *file = (struct sluice_socket_file){
            .device = status.st_dev, .inode = status.st_ino, .folder = folder, .exists = true};
}

/* The rest of the mode: what the umask has kept from the file. */
static int complete_mode(int folder, const struct sluice_address *address, mode_t mode) {
    struct stat status;
    const char *name = name_in_folder(address);
    if (fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        (status.st_mode & 07777) == mode)
        return 0;
    return fchmodat(folder, name, mode, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

SLUICE_COLD int sluice_socket_file_bind(struct sluice_socket_file *file, int fd,
                                        const struct sluice_address *address, const mode_t *mode) {
    *file = (struct sluice_socket_file){.exists = false};
    int folder = open_folder(address);
    if (folder < 0)
        return folder;
    /* The file gets the socket's own mode, less the umask. */
    int code = mode && fchmod(fd, *mode) < 0 ? -errno : 0;
    if (code == 0)
        code = bind_or_replace(folder, fd, address);
    if (code < 0) {
        close(folder);
        return code;
    }
    note(file, folder, address);
    if (file->exists && mode)
        code = complete_mode(folder, address, *mode);
    if (code < 0)
        sluice_socket_file_remove(file, fd);
    return code;
}

SLUICE_COLD void sluice_socket_file_remove(struct sluice_socket_file *file, int fd) {
    if (!file->exists)
        return;
    struct sluice_address address;
    address.length = sizeof address.local;
    memset(&address.local, 0, sizeof address.local);
    struct stat status;
    if (getsockname(fd, &address.any, &address.length) == 0 && sluice_address_has_path(&address) &&
        fstatat(file->folder, name_in_folder(&address), &status, AT_SYMLINK_NOFOLLOW) == 0 &&
        status.st_dev == file->device && status.st_ino == file->inode)
        unlinkat(file->folder, name_in_folder(&address), 0);
    sluice_socket_file_forget(file);
}

void sluice_socket_file_forget(struct sluice_socket_file *file) {
    if (file->exists)
        close(file->folder);
    *file = (struct sluice_socket_file){.exists = false};
}
