/* places.c - see places.h. */
#include "places.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "differential.h"

enum { FIRST_NUMBER = 90, HIGH_NUMBER = 1100, FILES = 2 * PLACES };

enum kind { OTHER, TCP, CLOCK };

/* An open file: `places` numbers name it. */
struct file {
    int places;
    enum kind kind;
    int partner;    /* of a TCP connection: its other end, or -1 */
    bool is_urgent; /* urgent bytes have come: FIONREAD does not tell of what came behind them */
};

static struct file files[FILES];
static int file_of[PLACES]; /* 1 and the file's index; 0 where the place is free */

int place_number(size_t place) {
    return place == PLACES - 1 ? HIGH_NUMBER : FIRST_NUMBER + (int)place;
}

bool place_is_open(size_t place) {
    return file_of[place] != 0;
}

bool place_shares_inode(size_t place) {
    struct stat status;
    return fstat(place_number(place), &status) == 0 && (status.st_mode & S_IFMT) == 0;
}

static struct file *file_at(size_t place) {
    return file_of[place] ? &files[file_of[place] - 1] : NULL;
}

short place_state(size_t place) {
    struct pollfd look = {.fd = place_number(place),
                          .events = POLLIN | POLLOUT | POLLPRI | POLLRDHUP};
    if (poll(&look, 1, 0) < 0)
        disagree("poll: errno %d", errno);
    return look.revents;
}

bool place_is_tcp(size_t place) {
    return file_of[place] && file_at(place)->kind == TCP;
}

/* The open place of a random choice, or PLACES. */
static size_t any_open(struct choices *choices) {
    size_t start = choose_below(choices, PLACES);
    for (size_t i = 0; i < PLACES; i++)
        if (file_of[(start + i) % PLACES])
            return (start + i) % PLACES;
    return PLACES;
}

static size_t any_free(struct choices *choices) {
    size_t start = choose_below(choices, PLACES);
    for (size_t i = 0; i < PLACES; i++)
        if (!file_of[(start + i) % PLACES])
            return (start + i) % PLACES;
    return PLACES;
}

static int new_file(enum kind kind) {
    for (int i = 0; i < FILES; i++)
        if (files[i].places == 0) {
            files[i] = (struct file){.kind = kind, .partner = -1};
            return i;
        }
    disagree("more files than there are places");
}

/* Makes the place name what `fd` does, which is closed. */
static void put(size_t place, int fd, int file) {
    if (fd < 0 || dup3(fd, place_number(place), O_CLOEXEC) < 0)
        disagree("no descriptor for place %zu: errno %d", place, errno);
    close(fd);
    file_of[place] = file + 1;
    files[file].places++;
}

/* ---- What comes about by itself ----------------------------------------------------------------
 */

/* The other end, if a place names it, or PLACES. */
static size_t partner_of(const struct file *file) {
    for (size_t i = 0; i < PLACES; i++)
        if (file->partner >= 0 && file_of[i] == file->partner + 1)
            return i;
    return PLACES;
}

/* Waits until the other end of a TCP connection shows one of `events`. */
static void settle(const struct file *file, short events) {
    size_t partner = partner_of(file);
    if (file->kind != TCP || partner == PLACES)
        return;
    struct pollfd look = {.fd = place_number(partner), .events = events};
    if (poll(&look, 1, PATIENCE_MS) != 1)
        disagree("the other end does not see it");
}

static int unread(size_t place) {
    int count = 0;
    if (ioctl(place_number(place), FIONREAD, &count) < 0)
        disagree("FIONREAD: errno %d", errno);
    return count;
}

/* ---- Opening and closing -----------------------------------------------------------------------
 */

static void open_pair(size_t near, size_t far, int *fds, enum kind kind, const char *what) {
    int first = new_file(kind);
    put(near, fds[0], first);
    int second = new_file(kind);
    put(far, fds[1], second);
    files[first].partner = second;
    files[second].partner = first;
    tell("open %s: %d and %d", what, place_number(near), place_number(far));
}

static void open_tcp(size_t near, size_t far) {
    struct pair pair = tcp_pair();
    int fds[2] = {release(pair.near), release(pair.far)};
    open_pair(near, far, fds, TCP, "a TCP connection");
}

static void open_one(size_t place, uint32_t choice) {
    static const char *const names[] = {"/dev/null", "a regular file", "an eventfd", "a timerfd",
                                        "a TCP socket, unconnected"};
    int fd = choice == 0   ? open("/dev/null", O_RDWR | O_CLOEXEC)
             : choice == 1 ? open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600)
             : choice == 2 ? eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
             : choice == 3 ? timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
                           : socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    put(place, fd, new_file(choice == 3 ? CLOCK : OTHER));
    tell("open %s: %d", names[choice], place_number(place));
}

void open_some(struct choices *choices) {
    uint32_t choice = choose_below(choices, 16);
    size_t near = any_free(choices);
    if (near == PLACES)
        return;
    if (choice < 5) {
        open_one(near, choice);
        return;
    }
    size_t far = any_free(choices);
    int fds[2];
    for (size_t i = 0; i < PLACES && (far == near || file_of[far]); i++)
        far = (far + 1) % PLACES;
    if (far == near)
        return;
    if (choice < 8) {
        open_tcp(near, far);
    } else if (choice < 11) {
        if (pipe2(fds, O_NONBLOCK | O_CLOEXEC) < 0)
            disagree("pipe2: errno %d", errno);
        open_pair(near, far, fds, OTHER, "a pipe");
    } else {
        if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) < 0)
            disagree("socketpair: errno %d", errno);
        open_pair(near, far, fds, OTHER, "a unix pair");
    }
}

void duplicate_one(struct choices *choices) {
    size_t from = any_open(choices);
    size_t to = any_free(choices);
    if (from == PLACES || to == PLACES)
        return;
    tell("duplicate %d as %d", place_number(from), place_number(to));
    put(to, fcntl(place_number(from), F_DUPFD_CLOEXEC, 0), file_of[from] - 1);
}

void close_place(size_t place, bool resets) {
    struct file *file = file_at(place);
    if (!file)
        return;
    bool is_last = file->places == 1;
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};
    resets = resets && is_last && file->kind == TCP;
    if (resets)
        (void)setsockopt(place_number(place), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    tell("close %d%s", place_number(place), resets ? " with a reset" : "");
    close(place_number(place));
    file_of[place] = 0;
    file->places--;
    if (!is_last)
        return;
    settle(file, resets ? POLLHUP | POLLERR : POLLRDHUP);
    for (int i = 0; i < FILES; i++)
        if (files[i].partner == file - files)
            files[i].partner = -1;
}

void close_all_places(void) {
    for (size_t i = 0; i < PLACES; i++) {
        if (file_of[i])
            close(place_number(i));
        file_of[i] = 0;
    }
    for (int i = 0; i < FILES; i++)
        files[i].places = 0;
}

/* ---- Using -------------------------------------------------------------------------------------
 */

static void write_some(size_t place, size_t size) {
    static const char bytes[300000];
    const struct file *file = file_at(place);
    int number = place_number(place);
    size_t partner = partner_of(file);
    if (file->kind == TCP && partner < PLACES && files[file->partner].is_urgent)
        return;
    bool is_received = file->kind == TCP && partner < PLACES;
    int before = is_received ? unread(partner) : 0;
    /* Little over TCP, so that no window closes. And 1 to an eventfd, which takes 8 bytes. */
    static const uint64_t one = 1;
    ssize_t count = send(number, bytes, file->kind == TCP ? size % 1000 + 1 : size, MSG_NOSIGNAL);
    if (count < 0 && errno == ENOTSOCK)
        count = size == 1 ? write(number, &one, sizeof one) : write(number, bytes, size);
    tell("write to %d: %zd", number, count);
    if (count <= 0 || file->kind != TCP)
        return;
    while (is_received && unread(partner) < before + count)
        settle(file, POLLIN);
    /* Nobody reads it: the answer is a reset. */
    if (file->partner < 0) {
        struct pollfd look = {.fd = number, .events = POLLHUP};
        if (poll(&look, 1, PATIENCE_MS) != 1)
            disagree("no reset came");
    }
}

void move_bytes(struct choices *choices) {
    static char bytes[300000];
    size_t place = any_open(choices);
    size_t size = choose_below(choices, 3) ? 1 : sizeof bytes;
    if (place == PLACES)
        return;
    if (choose_below(choices, 2)) {
        write_some(place, size);
        return;
    }
    const struct file *file = file_at(place);
    size_t least = size == 1 && (file->kind == CLOCK) ? 8 : size;
    ssize_t count = read(place_number(place), bytes, least);
    if (count < 0 && errno == EINVAL)
        count = read(place_number(place), bytes, 8); /* an eventfd */
    tell("read from %d: %zd", place_number(place), count);
}

void send_urgent(struct choices *choices) {
    size_t place = any_open(choices);
    if (place == PLACES)
        return;
    const struct file *file = file_at(place);
    size_t partner = partner_of(file);
    /* Before its reader has finished reading, so that it shows. */
    if (file->kind != TCP || partner == PLACES || (place_state(partner) & (POLLRDHUP | POLLHUP)))
        return;
    ssize_t count = send(place_number(place), "!", 1, MSG_OOB | MSG_NOSIGNAL);
    tell("send an urgent byte to %d: %zd", place_number(place), count);
    if (count <= 0)
        return;
    files[file->partner].is_urgent = true;
    settle(file, POLLPRI);
}

void finish_one(struct choices *choices) {
    size_t place = any_open(choices);
    bool writes = choose_below(choices, 3) > 0;
    if (place == PLACES)
        return;
    /* What TCP makes of a reading end that is shut, the other end sees only when it writes. */
    writes |= file_at(place)->kind == TCP;
    int code = shutdown(place_number(place), writes ? SHUT_WR : SHUT_RD);
    tell("shut down %d for %s: %d", place_number(place), writes ? "writing" : "reading", code);
    if (code == 0 && writes)
        settle(file_at(place), POLLRDHUP);
}

void set_clock(struct choices *choices) {
    size_t start = any_open(choices);
    /* Past, never, or off. */
    const struct timespec times[] = {{.tv_nsec = 1}, {.tv_sec = 100000}, {0}};
    uint32_t choice = choose_below(choices, COUNT_OF(times));
    for (size_t i = 0; start < PLACES && i < PLACES; i++) {
        size_t place = (start + i) % PLACES;
        const struct file *file = file_at(place);
        if (!file || file->kind != CLOCK)
            continue;
        const struct itimerspec setting = {.it_value = times[choice]};
        if (timerfd_settime(place_number(place), 0, &setting, NULL) < 0)
            disagree("timerfd_settime: errno %d", errno);
        tell("set the timerfd %d %s", place_number(place),
             choice == 0   ? "to now"
             : choice == 1 ? "to later"
                           : "off");
        struct pollfd look = {.fd = place_number(place), .events = POLLIN};
        if (choice == 0 && poll(&look, 1, PATIENCE_MS) != 1)
            disagree("a timerfd does not expire");
        return;
    }
}
