/* checks.cpp - what is reported in C++ and never undefined: a stale id, the wrong thread, a loop
 * that was moved away or has ended. */
#include <functional>
#include <iostream>
#include <optional>
#include <thread>
#include <type_traits>

#include "sluice.hpp"

static_assert(!std::is_copy_constructible_v<sluice::Loop>);
static_assert(!std::is_copy_assignable_v<sluice::Loop>);
static_assert(std::is_nothrow_move_constructible_v<sluice::Loop>);
static_assert(std::is_nothrow_move_assignable_v<sluice::Loop>);

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

/* The next event of a handle that is of a kind. */
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

int main() {
    using sluice::errc;
    sluice::Loop loop;
    sluice_id timer = loop.timer(std::chrono::seconds(1));
    loop.close(timer);
    sluice_id other = loop.timer(std::chrono::seconds(1));
    refused([&] { loop.close(timer); }, errc::stale, "close");
    refused([&] { loop.write(timer, "x"); }, errc::stale, "write");
    std::error_code error;
    loop.close(timer, error);
    check(error == errc::stale, "close without an exception");
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
        check(loop.write(event.id, "x") == sluice::written::broken, "one after the last");
        check(loop.write(event.id, "x", error) == sluice::written::broken && !error,
              "one without an exception");
        loop.abort(event.id);
        break;
    }
    loop = sluice::Loop();
    passed("what became of a write");

    sluice::Poster poster = loop.poster();
    std::thread([&] { poster.wake(); }).join();
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
        refused([&] { loop.next(event, std::chrono::nanoseconds(0)); }, errc::wrong_thread, "next");
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
    refused([&] { loop.next(event); }, errc::closed, "pull a loop that was moved away");
    refused([&] { loop.poster(); }, errc::closed, "a poster of it");
    check(moved.fd(moved.listen("127.0.0.1:0")) >= 0, "it is where it was moved to");
    poster.post(8);
    moved = sluice::Loop();
    refused([&] { poster.post(9); }, errc::closed, "post to a loop that has ended");
    refused([&] { poster.wake(); }, errc::closed, "wake it");
    passed("use after close");
    return failures == 0 ? 0 : 1;
}
