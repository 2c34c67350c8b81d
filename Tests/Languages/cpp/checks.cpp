/* checks.cpp - misuse that is reported in C++ and never undefined: a stale id, the wrong thread, a
 * loop that was moved away or has ended. */
#include <cstdio>
#include <functional>
#include <future>
#include <iostream>
#include <memory>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>

#include <sys/socket.h>
#include <unistd.h>

#include <sluice.hpp>

#if __cplusplus >= 202002L
#include <ranges>

static_assert(std::input_iterator<sluice::Loop::Iterator>);
static_assert(std::sentinel_for<sluice::Loop::Never, sluice::Loop::Iterator>);
static_assert(std::ranges::input_range<sluice::Loop>);
#endif

static_assert(!std::is_copy_constructible_v<sluice::Loop>);
static_assert(!std::is_copy_assignable_v<sluice::Loop>);
static_assert(std::is_nothrow_move_constructible_v<sluice::Loop>);
static_assert(std::is_nothrow_move_assignable_v<sluice::Loop>);
static_assert(
    std::is_same_v<std::iterator_traits<sluice::Loop::Iterator>::value_type, sluice::Event>);

static int failures = 0;

static void check(bool holds, const char *what) {
    if (holds)
        return;
    std::cout << "not so: " << what << '\n';
    failures++;
}

static void refused(const std::function<void()> &call, std::error_code expected, const char *what) {
    try {
        call();
        check(false, what);
    } catch (const std::system_error &error) {
        if (error.code() != expected)
            std::cout << what << ": " << error.what() << '\n';
        check(error.code() == expected, what);
    }
}

static void passed(const char *what) {
    if (failures == 0)
        std::cout << "ok " << what << '\n';
}

/* The next event of a handle that has this kind. */
static sluice::Event pull(sluice::Loop &loop, std::uint32_t kind, sluice_id id) {
    sluice::Event event;
    while (!loop.next(event) || event.kind != kind || event.id != id) {
    }
    return event;
}

static void names(sluice::Loop &loop) {
    const std::string local = loop.local_address(loop.listen("localhost:0"));
    pull(loop, SLUICE_CONNECTED, loop.connect("localhost" + local.substr(local.rfind(':'))));
    sluice::Event event = pull(loop, SLUICE_RESOLVED, loop.resolve("localhost:443", SLUICE_IPV4));
    check(!event.reason() && event.addresses() == std::vector<std::string>{"127.0.0.1:443"},
          "a name's addresses");
    const char *unknown = "sluice.invalid:80"; /* nobody has it: RFC 6761 */
    event = pull(loop, SLUICE_RESOLVED, loop.resolve(unknown));
    check(event.reason() == sluice::errc::unknown_name && event.addresses().empty(), "no address");
    const std::string words(event.bytes());
    event = pull(loop, SLUICE_CLOSED, loop.connect(unknown));
    check(event.reason() == sluice::errc::unknown_name, "connect to no address");
    check(!words.empty() && loop.name_problem(event.id) == words, "the words");
}

static void listener_from_elsewhere(sluice::Loop &loop) {
    sluice_id listener = loop.listen_fd(sluice_socket_listen("127.0.0.1:0", 5));
    sluice_id client = loop.connect(loop.local_address(listener));
    pull(loop, SLUICE_CONNECTED, client);
    refused([&] { loop.listen_fd(loop.fd(client)); }, sluice::errc::not_listening, "listen_fd");
}

/* Streams that a loop has accepted, and the streams of the same loop at their other ends. */
struct Pairs {
    std::vector<sluice_id> clients, streams;
};

static Pairs connected(sluice::Loop &loop, int count) {
    Pairs pairs;
    const std::string address = loop.local_address(loop.listen("127.0.0.1:0"));
    for (int i = 0; i < count; i++) {
        pairs.clients.push_back(loop.connect(address));
        sluice::Event event;
        while (!loop.next(event) || event.kind != SLUICE_ACCEPTED) {
        }
        pairs.streams.push_back(event.id);
    }
    return pairs;
}

/* All calls that do nothing if a stream is gone. */
static void use(sluice::Loop &loop, sluice_id gone, sluice_id other) {
    check(!loop.pause(gone) && !loop.resume(gone), "pause and resume");
    check(!loop.flush(gone) && !loop.shutdown(gone) && !loop.hold(gone, 1), "what sends and holds");
    check(!loop.hold_until(gone, 1, 2), "what holds and waits");
    check(!loop.forward(gone, other) && !loop.forward(other, gone), "forward");
    check(loop.try_write(gone, "x") == sluice::written::gone, "try_write");
    loop.close(gone);
    loop.abort(gone);
}

static void gone() {
    using sluice::written;
    sluice::Loop loop;
    const Pairs pairs = connected(loop, 4);
    const std::vector<sluice_id> &streams = pairs.streams;
    loop.close(streams[0]);
    loop.abort(streams[1]);
    loop.shutdown(streams[2]);
    std::vector<written> results;
    for (sluice_id stream : streams)
        results.push_back(loop.write(stream, "to all"));
    check(results == std::vector{written::gone, written::gone, written::gone, written::queued},
          "a broadcast");
    use(loop, streams[1], streams[3]);
    check(pull(loop, SLUICE_DATA, pairs.clients[3]).bytes() == "to all", "what the last received");
    pull(loop, SLUICE_CLOSED, streams[0]);
    use(loop, streams[0], streams[3]);
    loop.write(pairs.clients[3], "and back");
    check(pull(loop, SLUICE_DATA, streams[3]).bytes() == "and back", "what it answered");
}

static void kept() {
    sluice_options options{};
    options.size = sizeof options;
    options.memory_limit = (3 * 64 + 16) * 1024; /* three buffers, and what is written */
    auto loop = std::make_unique<sluice::Loop>(&options);
    const Pairs pairs = connected(*loop, 1);
    std::vector<sluice::Kept> all;
    for (const char *word : {"one", "two", "three"}) {
        loop->write(pairs.clients[0], word);
        all.push_back(*loop->keep(pull(*loop, SLUICE_DATA, pairs.streams[0])));
    }
    check(all[0].bytes() == "one" && all[1].bytes() == "two", "kept bytes");
    loop->write(pairs.streams[0], "!");
    const sluice::Event event = pull(*loop, SLUICE_DATA, pairs.clients[0]);
    check(!loop->keep(event), "more than there is room for");
    all.erase(all.begin());
    check(all[0].bytes() == "two" && all[1].bytes() == "three", "kept bytes that were moved");
    check(loop->keep(event).has_value(), "room again");
    refused([&] { return loop->keep(event); }, sluice::errc::bad_state, "kept twice");
    loop->abort(pairs.clients[0]);
    check(!loop->keep(event), "of a stream that is gone");
    loop.reset(); /* before what is kept */
}

static void over_the_hard_limit() {
    using sluice::written;
    sluice_options options{};
    options.size = sizeof options;
    options.hard_limit = 20;
    sluice::Loop first(&options);
    const Pairs pairs = connected(first, 3);
    const std::vector<sluice_id> &streams = pairs.streams;
    check(first.write(streams[0], std::string(20, 'x')) == written::queued, "what fits");
    check(first.write(streams[0], "one more") == written::full, "what does not");
    check(first.write(streams[0], "one more") == written::gone, "what comes after it");
    check(first.try_write(streams[1], std::string(21, 'x')) == written::full, "what was tried");
    check(first.try_write(streams[1], "fits") == written::queued, "and fits");
    check(first.write(streams[2], "as ever") == written::queued, "another's");
    sluice::Loop loop = std::move(first);
    const sluice::Event closed = pull(loop, SLUICE_CLOSED, streams[0]);
    check(closed.reason() == sluice::errc::full && closed.length == 20, "the reason");
    check(closed.bytes().empty(), "it has no bytes");
    loop.write(streams[1], "!");
    loop.write(pairs.clients[2], "and back");
    check(pull(loop, SLUICE_DATA, streams[2]).bytes() == "and back", "the other goes on");
}

/* A stream, and its other end. */
struct Pair {
    sluice_id stream = 0;
    int peer = -1;

    explicit Pair(sluice::Loop &loop, const sluice_stream_options *options = nullptr) {
        int ends[2];
        check(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "a pair");
        stream = loop.adopt(ends[0], options);
        peer = ends[1];
    }
    ~Pair() {
        end();
    }
    Pair(const Pair &) = delete;
    Pair &operator=(const Pair &) = delete;
    void send(std::string_view bytes) const {
        check(write(peer, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()),
              "send");
    }
    std::string received(std::size_t length) const {
        std::string bytes(length, ' ');
        const ssize_t count = recv(peer, bytes.data(), length, MSG_WAITALL);
        check(count == static_cast<ssize_t>(length), "receive");
        return bytes;
    }
    void end() {
        if (peer >= 0)
            close(std::exchange(peer, -1));
    }
};

static void abort_with_a_reason() {
    using sluice::errc;
    sluice::Loop loop;
    const std::vector<sluice_id> streams = connected(loop, 4).streams;
    const std::error_code too_long(EMSGSIZE, std::system_category());
    loop.abort_with(streams[0], std::make_error_code(std::errc::message_size));
    const std::error_code told = pull(loop, SLUICE_CLOSED, streams[0]).reason();
    check(told == too_long, "an errno");
    loop.abort_with(streams[1], told);
    check(pull(loop, SLUICE_CLOSED, streams[1]).reason() == too_long, "what was told");
    loop.abort_with(streams[2], errc::full);
    check(pull(loop, SLUICE_CLOSED, streams[2]).reason() == errc::full, "one of Sluice's own");
    std::error_code error;
    loop.abort_with(streams[3], std::make_error_code(std::future_errc::no_state), error);
    check(error == errc::bad_option, "one that C has not");
    refused([&] { loop.abort_with(streams[3], {}); }, errc::bad_option, "none");
    check(loop.write(streams[3], "x") == sluice::written::queued, "and it goes on");
    loop.abort_with(loop.timer(std::chrono::seconds(1)), too_long);
    loop.abort_with(streams[0], too_long, error); /* it has ended */
    check(!error, "a stream that is gone");
}

/* The next data is this. */
static void check_data(sluice::Loop &loop, std::string_view bytes, std::size_t seen, bool is_last) {
    sluice::Event event;
    while (!loop.next(event) || event.kind != SLUICE_DATA) {
    }
    check(event.bytes() == bytes, "its bytes");
    check(event.seen() == seen, "how many came before");
    check(event.is_last() == is_last, "whether they are the last");
}

static void what_comes_again() {
    using sluice::errc;
    sluice_options options{};
    options.size = sizeof options;
    options.hard_limit = 20;
    sluice::Loop loop(&options);
    Pair pair(loop);
    pair.send("ab");
    check_data(loop, "ab", 0, false);
    refused([&] { loop.hold_until(pair.stream, 3, 4); }, errc::no_capacity, "more than there was");
    check(loop.hold_until(pair.stream, 2, 4), "hold_until");
    pair.send("c");
    sluice::Event event;
    check(!loop.next(event, std::chrono::nanoseconds(0)), "no data before all is there");
    pair.send("d");
    check_data(loop, "abcd", 2, false);
    loop.hold(pair.stream, 3);
    pair.end();
    check_data(loop, "bcd", 3, true);
    pull(loop, SLUICE_EOF, pair.stream);
    check(pull(loop, SLUICE_CLOSED, pair.stream).input_ended(), "whether the input had ended");
    loop.poster().post(3);
    while (!loop.next(event) || event.kind != SLUICE_POSTED) {
    }
    check(event.seen() == 0 && !event.is_last(), "a post has no bytes");

    Pair other(loop);
    other.send("!");
    check_data(loop, "!", 0, false);
    check(!loop.hold_until(other.stream, 1, 21), "more than the hard limit");
    event = pull(loop, SLUICE_CLOSED, other.stream);
    check(event.reason() == errc::full, "the reason");
    check(!event.input_ended(), "whether the input had ended");
}

static void a_file_that_is_sent() {
    sluice::Loop loop;
    sluice_stream_options options{};
    options.size = sizeof options;
    options.high_mark = 6;
    Pair pair(loop, &options);
    const std::unique_ptr<std::FILE, int (*)(std::FILE *)> opened(std::tmpfile(), std::fclose);
    const int file = fileno(opened.get());
    check(write(file, "0123456789", 10) == 10, "a file");
    loop.write(pair.stream, "head ");
    check(loop.send_file(pair.stream, file, 1, 100) == 6, "as much as the high mark");
    pull(loop, SLUICE_DRAINED, pair.stream);
    check(loop.send_file(pair.stream, file, 7, 2) == 2, "and then the rest");
    check(pair.received(13) == "head 12345678", "what was received");
    const auto of_file = [&](int fd, std::int64_t offset, int expected) {
        refused([&] { return loop.send_file(pair.stream, fd, offset, 1); },
                std::error_code(expected, std::system_category()), "a fault of the file");
    };
    of_file(file, 10, ENODATA);
    of_file(file, -1, EINVAL);
    of_file(-1, 0, EBADF);
    of_file(pair.peer, 0, ESPIPE);
    check(loop.send_file(pair.stream, file, 9, 1) == 1, "the stream goes on");
    check(pair.received(1) == "9", "and what it sent");
    const sluice_id timer = loop.timer(std::chrono::seconds(1));
    refused([&] { return loop.send_file(timer, file, 0, 1); }, sluice::errc::wrong_kind,
            "to a timer");
    pair.end();
    check(!loop.send_file(pair.stream, file, 0, 1), "a broken connection");
    check(pull(loop, SLUICE_CLOSED, pair.stream).reason() == std::errc::broken_pipe, "the reason");
    check(!loop.send_file(pair.stream, file, 0, 1), "a stream that is gone");
}

/* Each call puts into a std::error_code what it would throw, and clears it if there is nothing. */
static void without_exceptions() {
    using sluice::errc;
    const auto zero = std::chrono::nanoseconds(0);
    std::error_code error;
    sluice_options none{}; /* without its size */
    sluice::Loop refused(&none, error);
    check(error == errc::bad_option, "a loop of wrong options");
    sluice::Event event;
    check(!refused.next(event, zero, error) && error == errc::closed, "which is no loop");
    sluice::Loop loop(error);
    check(!error, "a loop");
    check(loop.listen("no address", error) == 0 && error == errc::bad_address, "listen");
    check(loop.listen(std::string("127.0.0.1:0\0", 12), error) == 0, "a 0 byte to listen at");
    check(loop.connect(std::string("127.0.0.1:9\0", 12), error) == 0, "a 0 byte to connect to");
    check(loop.resolve(std::string("localhost:1\0", 12), SLUICE_ANY_FAMILY, 0, error) == 0 &&
              error == errc::bad_address,
          "a 0 byte to look up");
    check(loop.adopt(-1, error) == 0 && error == std::errc::bad_file_descriptor, "adopt");
    check(loop.watch(-1, SLUICE_READ, 0, error) == 0 && error, "watch");
    check(!loop.next(event, std::chrono::nanoseconds(-1), error), "a negative timeout");
    check(error == errc::negative_timeout && error == std::errc::invalid_argument, "its condition");
    const sluice_id listener = loop.listen("127.0.0.1:0", error);
    check(listener != 0 && !error, "what succeeds clears the error");
    check(loop.kind_of(listener) == SLUICE_KIND_LISTENER, "its kind");
    check(loop.fd(1, error) < 0 && error == errc::stale, "fd");
    check(loop.local_address(1, error).empty() && error == errc::stale, "local_address");
    check(loop.write(listener, "x", error) == sluice::written::gone && error == errc::wrong_kind,
          "write");
    check(loop.stats(error).handles[SLUICE_KIND_LISTENER] == 1 && !error, "stats");
    check(loop.backend_fd(error) >= 0 || error == errc::not_supported, "backend_fd");
    check(loop.now() > zero && loop.until_next() > zero, "the time");
    std::error_code thread_error;
    std::thread([&] { check(!loop.next(event, zero, thread_error), "next elsewhere"); }).join();
    check(thread_error == errc::wrong_thread && thread_error == std::errc::operation_not_permitted,
          "the wrong thread");
}

/* The peer ends, and still gets its answer. */
static void half_close() {
    sluice::Loop loop;
    sluice_stream_options options{};
    options.size = sizeof options;
    options.flags = SLUICE_HALF_OPEN;
    Pair pair(loop, &options);
    pair.send("a question");
    shutdown(pair.peer, SHUT_WR);
    check_data(loop, "a question", 0, false);
    pull(loop, SLUICE_EOF, pair.stream);
    const std::string_view words[] = {"an ", "answer"};
    const sluice_slice slices[] = {{words[0].data(), 3}, {words[1].data(), 6}};
    check(loop.writev(pair.stream, slices, 2) == sluice::written::queued, "writev");
    check(loop.shutdown(pair.stream), "shutdown");
    const sluice::Event closed = pull(loop, SLUICE_CLOSED, pair.stream);
    check(!closed.reason() && closed.bytes().empty() && closed.bytes().data(), "an orderly end");
    check(pair.received(9) == "an answer", "the answer");
}

/* Lines that come in pieces of any size. */
static void framing() {
    sluice::Loop loop;
    const Pair pair(loop);
    const std::string sent = "first\nsecond\n\nand a long one at the end\n";
    std::string lines;
    std::size_t at = 0;
    while (lines.size() < sent.size()) {
        const std::size_t length = std::min<std::size_t>(3, sent.size() - at);
        pair.send(std::string_view(sent).substr(at, length));
        at += length;
        sluice::Event event;
        while (!loop.next(event) || event.kind != SLUICE_DATA) {
        }
        std::string_view bytes = event.bytes();
        for (std::size_t end; (end = bytes.find('\n')) != bytes.npos; bytes.remove_prefix(end + 1))
            lines += bytes.substr(0, end + 1);
        loop.hold(pair.stream, bytes.size());
    }
    check(lines == sent, "the lines");
}

static void many_at_once() {
    sluice::Loop loop;
    for (std::uint64_t i = 0; i < 5; i++)
        loop.poster().post(i);
    sluice::Event events[3];
    check(loop.next_many(events, 3) == 3 && events[0].value == 0 && events[2].value == 2, "three");
    check(loop.next_many(events, 3) == 2 && events[1].value == 4, "the rest");
    std::error_code error;
    check(loop.next_many(events, 0, std::chrono::nanoseconds(0), error) == 0 &&
              error == sluice::errc::no_capacity,
          "no room");
}

static void poller() {
    using sluice::errc;
    const auto zero = std::chrono::nanoseconds(0);
    std::error_code error;
    sluice::Poller none("no such backend", error);
    check(error == errc::no_backend && none.backend_name().empty(), "a backend that there is not");
    none.add(0, SLUICE_READ, 0, error);
    check(error == errc::closed, "which is no poller");
    sluice::Poller first("poll");
    sluice::Poller poller = std::move(first);
    check(poller.backend_name() == "poll", "its name");
    int ends[2];
    check(pipe(ends) == 0, "a pipe");
    poller.add(ends[0], SLUICE_READ, 7);
    refused([&] { poller.add(ends[0], SLUICE_READ); },
            std::error_code(EEXIST, std::system_category()), "add twice");
    sluice_ready events[4];
    check(poller.wait(events, 4, zero) == 0, "nothing there");
    check(write(ends[1], "x", 1) == 1, "a byte");
    check(poller.wait(events, 4) == 1 && events[0].user == 7, "it is ready");
    check(poller.is_current(events[0]), "it stands");
    poller.remove(ends[0]);
    check(!poller.is_current(events[0]), "it does not");
    poller.wake();
    check(poller.wait(events, 4) == 0, "a wake");
    close(ends[0]);
    close(ends[1]);
}

#if __cplusplus >= 202002L
static void spans() {
    sluice::Loop loop;
    const Pair pair(loop);
    const std::byte sent[] = {std::byte{1}, std::byte{0}, std::byte{255}};
    check(loop.write(pair.stream, sent) == sluice::written::queued, "a span");
    pair.send("received");
    const auto is_data = [](const sluice::Event &event) { return event.kind == SLUICE_DATA; };
    for (const sluice::Event &event : loop | std::views::filter(is_data)) {
        check(event.span().size() == 8 && event.span()[0] == std::byte{'r'}, "as a span");
        break;
    }
    check(pair.received(3) == std::string_view("\1\0\377", 3), "what was sent");
}
#endif

int main() {
    using sluice::errc;
    sluice::Loop loop;
    sluice_id timer = loop.timer(std::chrono::seconds(1));
    loop.close(timer);
    sluice_id other = loop.timer(std::chrono::seconds(1));
    refused([&] { loop.timer_reset(timer, std::chrono::seconds(1)); }, errc::stale, "reset");
    refused([&] { return loop.fd(timer); }, errc::stale, "fd");
    std::error_code error;
    loop.close(timer);
    loop.close(timer, error);
    check(!error, "close without an exception");
    check(loop.write(timer, "x") == sluice::written::gone, "write");
    passed("stale id");

    refused([&] { loop.write(other, "x"); }, errc::wrong_kind, "write to a timer");
    passed("wrong kind");

    sluice_id listener = loop.listen("127.0.0.1:0");
    loop.connect(loop.local_address(listener));
    for (const sluice::Event &event : loop) {
        if (event.kind != SLUICE_ACCEPTED)
            continue;
        check(loop.write(event.id, "x") == sluice::written::queued, "a write");
        check(loop.write(event.id, std::string(20'000'000, 'x')) == sluice::written::over_high_mark,
              "a large one");
        loop.shutdown(event.id);
        check(loop.write(event.id, "x") == sluice::written::gone, "one after the last");
        check(loop.write(event.id, "x", error) == sluice::written::gone && !error,
              "one without an exception");
        loop.abort(event.id);
        break;
    }
    loop = sluice::Loop();
    passed("what became of a write");
    gone();
    passed("a stream that is gone");
    kept();
    passed("bytes that are kept");
    over_the_hard_limit();
    passed("over the hard limit");
    abort_with_a_reason();
    passed("abort with a reason");
    what_comes_again();
    passed("what comes again");
    a_file_that_is_sent();
    passed("a file that is sent");
    without_exceptions();
    passed("errors without exceptions");
    half_close();
    passed("half-close");
    framing();
    passed("framing");
    many_at_once();
    passed("many at once");
    poller();
    passed("readiness");
#if __cplusplus >= 202002L
    spans();
    passed("spans");
#endif

    sluice::Poster poster = loop.poster();
    sluice::Poster copied = std::move(poster);
    std::thread([&] { copied.wake(); }).join();
    sluice::Event woken;
    check(!loop.next(woken), "a wake");
    const auto now = loop.update_now();
    check(loop.update_now() >= now, "the clock");
    std::thread([&] {
        loop.take_over();
        check(!loop.next(woken, std::chrono::nanoseconds(0)), "a loop taken over");
    }).join();
    refused([&] { loop.update_now(); }, errc::wrong_thread, "update_now");
    loop.take_over();
    passed("wake");

    std::thread([&] {
        sluice::Event event;
        refused([&] { return loop.next(event, std::chrono::nanoseconds(0)); }, errc::wrong_thread,
                "next");
        refused([&] { loop.timer(std::chrono::seconds(1)); }, errc::wrong_thread, "timer");
        poster.post(7);
    }).join();
    for (const sluice::Event &event : loop) {
        check(event.kind == SLUICE_POSTED && event.value == 7, "the post");
        break;
    }
    passed("wrong thread");

    refused([&] { loop.listen("no address"); }, errc::bad_address, "listen");
    refused([&] { loop.listen("127.0.0.1:99999"); }, errc::bad_port, "listen at a port");
    refused([&] { loop.listen(std::string("127.0.0.1:0\0", 12)); }, errc::bad_address, "a 0 byte");
    refused([&] { loop.connect("*:80"); }, errc::not_numeric, "connect");
    refused([&] { loop.listen("unix:/no/such/folder/s"); },
            std::error_code(ENOENT, std::system_category()), "listen");
    check(std::string(sluice::make_error_code(errc::stale).message()).find("has ended") !=
              std::string::npos,
          "a message");
    check(sluice::error_code(-ENOENT) == std::errc::no_such_file_or_directory, "a condition");
    check(sluice::error_code(SLUICE_EPORT) == std::errc::invalid_argument, "one of Sluice's own");
    passed("errors");

    names(loop);
    passed("names");
    listener_from_elsewhere(loop);
    passed("listener from elsewhere");

    sluice::Event event;
    sluice::Loop moved = std::move(loop);
    refused([&] { return loop.next(event); }, errc::closed, "pull a loop that was moved away");
    refused([&] { return loop.poster(); }, errc::closed, "a poster of it");
    check(moved.fd(moved.listen("127.0.0.1:0")) >= 0, "it is where it was moved to");
    poster.post(8);
    moved = sluice::Loop();
    refused([&] { poster.post(9); }, errc::closed, "post to a loop that has ended");
    refused([&] { poster.wake(); }, errc::closed, "wake it");
    passed("use after close");
    return failures == 0 ? 0 : 1;
}
