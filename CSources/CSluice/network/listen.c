/* listen.c - listening sockets: by address, by name, and at every address there is.
 *
 * A name has several addresses, and a socket is bound to one of them: the first that this machine
 * has, IPv4 before IPv6. So "localhost" is 127.0.0.1 everywhere, whatever the resolver thinks is
 * best to connect to. Any other failure is reported, and not passed over. If 127.0.0.1 is in use,
 * listening at ::1 would leave two servers at one name.
 *
 * "*" is one socket, since a listener is one descriptor. An IPv6 socket takes IPv4 callers as well,
 * if it is told to. The machine's own setting (net.ipv6.bindv6only) is ignored.
 *
 * There is no system call that lets no more callers in. For a unix socket shutdown(2) does it. Over
 * TCP shutdown(2) would reset the callers in the queue, and a backlog of 0 still has room for one.
 * So over TCP a filter on the socket drops each packet that comes to it. Connections in the queue
 * have sockets of their own already. A caller whose packets are dropped tries again. So the caller
 * is not lost if another socket listens at the address by then, and is refused if none does.
 */
#include "base/platform.h"

#include <errno.h>
#include <linux/filter.h>
#include <netdb.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "network/address.h"
#include "network/socket.h"
#include "network/socket_file.h"
#include "sluice.h"

static int set_options(int fd, const struct sluice_address *address,
                       const struct sluice_socket_options *options) {
    const int on = 1;
    const int only_ipv6 = options->only_ipv6;
    int family = address->any.sa_family;
    if ((family != AF_UNIX && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) ||
        (family == AF_INET6 &&
         setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &only_ipv6, sizeof only_ipv6) < 0) ||
        (options->reuse_port && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on) < 0))
        return -errno;
    return 0;
}

static int bind_to(int fd, const struct sluice_address *address,
                   const struct sluice_socket_options *options, struct sluice_socket_file *file) {
    if (sluice_address_has_path(address))
        return sluice_socket_file_bind(file, fd, address,
                                       options->has_mode ? &options->mode : NULL);
    return bind(fd, &address->any, address->length) < 0 ? -errno : 0;
}

static SLUICE_COLD int listen_at(const struct sluice_address *address,
                                 const struct sluice_socket_options *options,
                                 struct sluice_socket_file *file) {
    int fd = sluice_socket_open(address);
    if (fd < 0)
        return fd;
    int code = set_options(fd, address, options);
    if (code == 0)
        code = bind_to(fd, address, options, file);
    if (code == 0 && listen(fd, options->backlog) < 0)
        code = -errno;
    if (code < 0) {
        sluice_socket_file_remove(file, fd);
        close(fd);
        return code;
    }
    return fd;
}

/* The address is not one of this machine, or is of a family that it does not have. */
static bool is_not_here(int code) {
    return code == -EADDRNOTAVAIL || code == -EAFNOSUPPORT;
}

static int listen_everywhere(uint16_t port, const struct sluice_socket_options *options,
                             struct sluice_socket_file *file) {
    struct sluice_address address;
    address.ipv6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
    address.length = sizeof address.ipv6;
    int fd = listen_at(&address, options, file);
    if (!is_not_here(fd) || options->only_ipv6)
        return fd;
    address.ipv4 = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(port)};
    address.length = sizeof address.ipv4;
    return listen_at(&address, options, file);
}

static int code_of_lookup(int result) {
    switch (result) {
    case 0:
        return 0;
    case EAI_MEMORY:
        return SLUICE_ENOMEM;
    case EAI_SYSTEM:
        return errno ? -errno : SLUICE_ENAME;
    default:
        return SLUICE_ENAME;
    }
}

/* Listens at the first of a family's addresses that this machine has. Returns `code` if there is
 * none. */
static SLUICE_COLD int listen_at_first(const struct addrinfo *found, int family, int code,
                                       uint16_t port, const struct sluice_socket_options *options,
                                       struct sluice_socket_file *file) {
    for (; found && is_not_here(code); found = found->ai_next) {
        struct sluice_address address;
        if (found->ai_family != family || found->ai_addrlen > sizeof address.ipv6)
            continue;
        memcpy(&address.any, found->ai_addr, found->ai_addrlen);
        address.length = found->ai_addrlen;
        address.ipv4.sin_port = htons(port); /* both families have it at the same place */
        code = listen_at(&address, options, file);
    }
    return code;
}

static int listen_by_name(const struct sluice_endpoint *endpoint,
                          const struct sluice_socket_options *options,
                          struct sluice_socket_file *file) {
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    struct addrinfo *found = NULL;
    int code = code_of_lookup(getaddrinfo(endpoint->name, NULL, &hints, &found));
    if (code < 0)
        return code;
    code = listen_at_first(found, AF_INET, -EADDRNOTAVAIL, endpoint->port, options, file);
    code = listen_at_first(found, AF_INET6, code, endpoint->port, options, file);
    freeaddrinfo(found);
    return code;
}

int sluice_socket_listen(const char *text, int backlog) {
    const struct sluice_socket_options options = {.backlog = backlog};
    struct sluice_socket_file file;
    int fd = sluice_socket_listen_with(text, &options, &file);
    sluice_socket_file_forget(&file);
    return fd;
}

SLUICE_COLD int sluice_socket_listen_with(const char *text,
                                          const struct sluice_socket_options *options,
                                          struct sluice_socket_file *file) {
    *file = (struct sluice_socket_file){.exists = false};
    if (options->backlog < 1)
        return SLUICE_ECAPACITY;
    struct sluice_endpoint endpoint;
    int code = sluice_address_split(&endpoint, text);
    if (code < 0)
        return code;
    switch (endpoint.form) {
    case SLUICE_ENDPOINT_ANY:
        return listen_everywhere(endpoint.port, options, file);
    case SLUICE_ENDPOINT_NAME:
        return listen_by_name(&endpoint, options, file);
    default:
        return listen_at(&endpoint.address, options, file);
    }
}

int sluice_socket_let_no_more_in(int fd, bool is_tcp) {
    if (!is_tcp)
        return shutdown(fd, SHUT_RD) < 0 ? -errno : 0;
    struct sock_filter drop = BPF_STMT(BPF_RET | BPF_K, 0);
    const struct sock_fprog program = {.len = 1, .filter = &drop};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0 ? -errno : 0;
}
