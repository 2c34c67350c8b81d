/* sluice.hpp - Sluice's loop in C++17: an owner that can be moved and not copied, events by
 * range-for, errors as std::system_error.
 *
 *     sluice::Loop loop;
 *     loop.listen("127.0.0.1:9999");
 *     for (const sluice::Event &event : loop)
 *         if (event.kind == SLUICE_DATA)
 *             loop.write(event.id, event.bytes());
 *
 * sluice.h says what each call takes, and how long its result stays valid. The names are the same.
 * An event's bytes are valid until the next pull, which is the next step of the range-for.
 *
 * Calls throw a std::system_error, whose code is an errno in std::system_category(), or one of
 * sluice::errc. Each call also takes a std::error_code, as its last argument. Then it sets that and
 * throws nothing, and if it fails, it returns 0, false, nothing or a negative descriptor. What
 * happens to a connection is not an error of a call: the connection's CLOSED says it.
 *
 * With C++20 there is std::span beside std::string_view, and a loop is a std::ranges::input_range.
 * Everything is in one file, which can be copied where nothing is installed.
 */
#ifndef SLUICE_HPP
#define SLUICE_HPP

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#if __cplusplus >= 202002L
#include <span>
#endif

#include <sluice.h>

namespace sluice {

/* The codes that Sluice itself gives. A negated errno is a std::errc. */
enum class errc {
    not_supported = SLUICE_ENOTSUP,
    no_backend = SLUICE_EBACKEND,
    bad_interest = SLUICE_EINTEREST,
    negative_timeout = SLUICE_ETIMEOUT,
    no_capacity = SLUICE_ECAPACITY,
    closed = SLUICE_ENULL, /* the loop was moved away, or has ended */
    bad_address = SLUICE_EADDRESS,
    full = SLUICE_EFULL,
    stale = SLUICE_ESTALE,
    wrong_kind = SLUICE_EKIND,
    wrong_thread = SLUICE_ETHREAD,
    bad_state = SLUICE_ESTATE,
    bad_option = SLUICE_EOPTION,
    unknown_name = SLUICE_ENAME,
    listening_socket = SLUICE_ELISTENS,
    not_listening = SLUICE_ENOLISTEN,
    bad_port = SLUICE_EPORT,
    bad_path = SLUICE_EPATH,
    bad_scope = SLUICE_ESCOPE,
    not_numeric = SLUICE_ENUMERIC
};

inline const std::error_category &category() noexcept {
    struct Category : std::error_category {
        const char *name() const noexcept override {
            return "sluice";
        }
        std::string message(int code) const override {
            return code == SLUICE_ENULL ? "the loop is closed" : sluice_error_message(code);
        }
        /* The nearest errno, so that errors can be compared with a std::errc. */
        std::error_condition default_error_condition(int code) const noexcept override {
            return {sluice_error_errno(code), std::generic_category()};
        }
    };
    static const Category only;
    return only;
}

inline std::error_code make_error_code(errc code) noexcept {
    return {static_cast<int>(code), category()};
}

/* The error that a negative result stands for; none for 0 or a count. */
[[nodiscard]] inline std::error_code error_code(int result) noexcept {
    if (result >= 0)
        return {};
    if (result > -10000)
        return {-result, std::system_category()};
    return {result, category()};
}

/* The code that C has for an error, and 0 if C has none. */
[[nodiscard]] inline int code_of(const std::error_code &error) noexcept {
    if (error.category() == category())
        return error.value();
    const bool is_errno =
        error.category() == std::system_category() || error.category() == std::generic_category();
    return is_errno ? -error.value() : 0;
}

/* Given in place of a std::error_code, it makes a call throw. Nothing is ever written to it.
 * Decided against: two overloads of each call, as in std::filesystem, which would double this
 * file. */
[[nodiscard]] inline std::error_code &throws() noexcept {
    static std::error_code none;
    return none;
}

/* Says how a call went, in the way that its caller asked for. */
template <typename Result> Result report(Result result, std::error_code &error, const char *call) {
    const std::error_code code = error_code(result < 0 ? static_cast<int>(result) : 0);
    if (&error != &throws())
        error = code;
    else if (code)
        throw std::system_error(code, call);
    return result;
}

/* What became of a write. You need not look at it. */
enum class written {
    queued,
    over_high_mark, /* queued too; wait for DRAINED before writing more */
    gone,           /* not taken: the stream has ended, or takes no more, since it is broken or was
                     * shut down; CLOSED says how it ended */
    full            /* not taken: it would be over its hard limit, or the loop's memory limit */
};

struct Event : sluice_event {
    /* Empty for an event without data. The length of a CLOSED means something else. */
    [[nodiscard]] std::string_view bytes() const noexcept {
        return data ? std::string_view(static_cast<const char *>(data), length) : "";
    }
#if __cplusplus >= 202002L
    [[nodiscard]] std::span<const std::byte> span() const noexcept {
        return std::as_bytes(std::span(bytes()));
    }
#endif
    /* DATA: how many of the first bytes were in an event before, and were held. */
    [[nodiscard]] std::size_t seen() const noexcept {
        return kind == SLUICE_DATA ? static_cast<std::size_t>(value >> 1) : 0;
    }
    /* DATA: whether the bytes were held when the input ended, and nothing follows them. */
    [[nodiscard]] bool is_last() const noexcept {
        return kind == SLUICE_DATA && (value & SLUICE_LAST) != 0;
    }
    /* CLOSED: whether the peer had ended its input before. Then all that it wanted to send has
     * come. */
    [[nodiscard]] bool input_ended() const noexcept {
        return kind == SLUICE_CLOSED && value == SLUICE_INPUT_ENDED;
    }
    /* Why a stream ended, a listener stopped or a name has no address; none for an orderly end. */
    [[nodiscard]] std::error_code reason() const noexcept {
        return error_code(error);
    }
    /* RESOLVED: a name's addresses. If there are none, `bytes` says why, in words. */
    [[nodiscard]] std::vector<std::string> addresses() const {
        std::vector<std::string> all;
        std::string_view rest = kind == SLUICE_RESOLVED && error == 0 ? bytes() : "";
        while (!rest.empty()) {
            std::size_t end = std::min(rest.find('\n'), rest.size());
            all.emplace_back(rest.substr(0, end));
            rest.remove_prefix(std::min(end + 1, rest.size()));
        }
        return all;
    }
};
static_assert(sizeof(Event) == sizeof(sluice_event), "an array of one is an array of the other");

/* Reaches a loop from any thread. It may outlive the loop: then calls say errc::closed. */
class Poster {
  public:
    /* Moving one copies it, so that the old one can still be used. */
    Poster(const Poster &) = default;
    Poster &operator=(const Poster &) = default;
    void post(std::uint64_t value, std::error_code &error = throws()) const {
        std::lock_guard<std::mutex> lock(target_->mutex);
        report(sluice_post(target_->loop, value), error, "post");
    }
    /* Ends the pull that is under way, or else the next one. */
    void wake(std::error_code &error = throws()) const {
        std::lock_guard<std::mutex> lock(target_->mutex);
        report(sluice_wake(target_->loop), error, "wake");
    }

  private:
    friend class Loop;
    friend class Kept;
    struct Target {
        std::mutex mutex;
        sluice_loop *loop = nullptr;
    };
    explicit Poster(std::shared_ptr<Target> target) : target_(std::move(target)) {
    }
    std::shared_ptr<Target> target_;
};

/* The bytes of a DATA event, kept beyond the next pull. They are valid as long as both this object
 * and the loop live. Destroy it on the loop's thread, or the bytes stay until the loop ends. */
class [[nodiscard]] Kept {
  public:
    Kept(Kept &&other) noexcept
        : target_(std::move(other.target_)), name_(std::exchange(other.name_, nullptr)),
          bytes_(std::exchange(other.bytes_, "")) {
    }
    Kept &operator=(Kept &&other) noexcept {
        std::swap(target_, other.target_);
        std::swap(name_, other.name_);
        std::swap(bytes_, other.bytes_);
        return *this;
    }
    ~Kept() {
        if (!name_)
            return;
        std::lock_guard<std::mutex> lock(target_->mutex);
        if (target_->loop)
            sluice_return(target_->loop, name_);
    }
    [[nodiscard]] std::string_view bytes() const noexcept {
        return bytes_;
    }
#if __cplusplus >= 202002L
    [[nodiscard]] std::span<const std::byte> span() const noexcept {
        return std::as_bytes(std::span(bytes_));
    }
#endif

  private:
    friend class Loop;
    Kept(std::shared_ptr<Poster::Target> target, void *name, std::string_view bytes)
        : target_(std::move(target)), name_(name), bytes_(bytes) {
    }
    std::shared_ptr<Poster::Target> target_;
    void *name_;
    std::string_view bytes_;
};

/* A loop belongs to the thread that made it: calls from others say errc::wrong_thread. Destroy it
 * there too, or it stays open. As with any object, the caller keeps pointers to it valid. */
class Loop {
  public:
    using nanoseconds = std::chrono::nanoseconds;

    /* If `error` is given and was set, the loop is like one that was moved away. */
    explicit Loop(const sluice_options *options = nullptr, std::error_code &error = throws())
        : target_(std::make_shared<Poster::Target>()) {
        report(sluice_open(&target_->loop, options), error, "open");
        loop_ = target_->loop;
    }
    explicit Loop(std::error_code &error) : Loop(nullptr, error) {
    }
    ~Loop() {
        destroy();
    }
    Loop(Loop &&other) noexcept
        : loop_(std::exchange(other.loop_, nullptr)), target_(std::move(other.target_)) {
    }
    Loop &operator=(Loop &&other) noexcept {
        if (this != &other) {
            destroy();
            loop_ = std::exchange(other.loop_, nullptr);
            target_ = std::move(other.target_);
        }
        return *this;
    }
    Loop(const Loop &) = delete;
    Loop &operator=(const Loop &) = delete;

    /* ---- Pulling ---- */

    /* False when `timeout` has passed without an event, or after a wake. */
    [[nodiscard]] bool next(Event &event, nanoseconds timeout = nanoseconds::max(),
                            std::error_code &error = throws()) {
        return report(sluice_next(loop_, &event, timeout.count()), error, "next") > 0;
    }
    /* Pulls as many events as there are, up to `capacity`. The bytes of each are valid until the
     * next pull. A stream may have ended before its event is looked at. */
    [[nodiscard]] std::size_t next_many(Event *events, std::size_t capacity,
                                        nanoseconds timeout = nanoseconds::max(),
                                        std::error_code &error = throws()) {
        const int most = static_cast<int>(std::min(capacity, std::size_t{1} << 20));
        return count(
            report(sluice_next_many(loop_, events, most, timeout.count()), error, "next_many"));
    }

    struct Never {};

    class Iterator {
      public:
        using iterator_category = std::input_iterator_tag;
        using value_type = Event;
        using difference_type = std::ptrdiff_t;
        using pointer = const Event *;
        using reference = const Event &;

        explicit Iterator(Loop &loop) : loop_(&loop) {
            ++*this;
        }
        const Event &operator*() const noexcept {
            return event_;
        }
        const Event *operator->() const noexcept {
            return &event_;
        }
        Iterator &operator++() {
            if (!loop_->next(event_))
                event_ = Event{};
            return *this;
        }
        void operator++(int) {
            ++*this;
        }
        friend bool operator==(const Iterator &, Never) noexcept {
            return false;
        }
        friend bool operator!=(const Iterator &, Never) noexcept {
            return true;
        }
        friend bool operator==(Never, const Iterator &) noexcept {
            return false;
        }
        friend bool operator!=(Never, const Iterator &) noexcept {
            return true;
        }

      private:
        Loop *loop_;
        Event event_{};
    };

    /* All events to come. After a wake it is an event of kind 0. There is no end to them: leave by
     * break or return. Each step waits for its event, even a step that a view takes only to see
     * that it is done: views::take(1) waits for a second event. */
    [[nodiscard]] Iterator begin() {
        return Iterator(*this);
    }
    [[nodiscard]] Never end() const noexcept {
        return {};
    }

    [[nodiscard]] Poster poster() const {
        if (!target_)
            throw std::system_error(make_error_code(errc::closed), "poster");
        return Poster(target_);
    }

    /* CLOCK_MONOTONIC as of the last wait: timers count from it. */
    [[nodiscard]] nanoseconds now(std::error_code &error = throws()) const {
        return nanoseconds(count(report(sluice_now(loop_), error, "now")));
    }
    /* Reads that clock again. */
    nanoseconds update_now(std::error_code &error = throws()) {
        return nanoseconds(count(report(sluice_update_now(loop_), error, "update_now")));
    }
    /* Makes the calling thread the loop's. The thread that had it must not use it any more. */
    void take_over(std::error_code &error = throws()) {
        report(sluice_take_over(loop_), error, "take_over");
    }
    /* Call it in the child, after a fork. */
    void after_fork(std::error_code &error = throws()) {
        report(sluice_after_fork(loop_), error, "after_fork");
    }
    /* To wait for the loop in another one: its descriptor, and how long until a timer is due. */
    [[nodiscard]] int backend_fd(std::error_code &error = throws()) {
        return report(sluice_backend_fd(loop_), error, "backend_fd");
    }
    [[nodiscard]] nanoseconds until_next(std::error_code &error = throws()) {
        return nanoseconds(count(report(sluice_until_next(loop_), error, "until_next")));
    }
    [[nodiscard]] sluice_statistics stats(std::error_code &error = throws()) const {
        sluice_statistics all{};
        all.size = sizeof all;
        report(sluice_stats(loop_, &all), error, "stats");
        return all;
    }

    /* ---- Handles ---- */

    /* If the handle has ended already, this does nothing. */
    void close(sluice_id id, std::error_code &error = throws()) {
        told(id, sluice_close(loop_, id), error, "close");
    }
    void abort(sluice_id id, std::error_code &error = throws()) {
        told(id, sluice_abort(loop_, id), error, "abort");
    }
    /* The same, except that a stream's CLOSED has this reason: sluice::errc, or an errno. */
    void abort_with(sluice_id id, std::error_code reason, std::error_code &error = throws()) {
        told(id, sluice_abort_with(loop_, id, code_of(reason)), error, "abort_with");
    }
    [[nodiscard]] std::uint64_t user(sluice_id id, std::error_code &error = throws()) const {
        std::uint64_t user = 0;
        report(sluice_user(loop_, id, &user), error, "user");
        return user;
    }
    void set_user(sluice_id id, std::uint64_t user, std::error_code &error = throws()) {
        report(sluice_set_user(loop_, id, user), error, "set_user");
    }
    [[nodiscard]] int fd(sluice_id id, std::error_code &error = throws()) const {
        return report(sluice_fd(loop_, id), error, "fd");
    }
    [[nodiscard]] sluice_kind kind_of(sluice_id id, std::error_code &error = throws()) const {
        return static_cast<sluice_kind>(count(report(sluice_kind_of(loop_, id), error, "kind_of")));
    }

    /* You need not keep the id that these calls return: each event says whose it is. */
    sluice_id watch(int fd, std::uint32_t interest, std::uint64_t user = 0,
                    std::error_code &error = throws()) {
        sluice_id id = 0;
        report(sluice_watch(loop_, &id, fd, interest, user), error, "watch");
        return id;
    }
    void rewatch(sluice_id id, std::uint32_t interest, std::error_code &error = throws()) {
        report(sluice_rewatch(loop_, id, interest), error, "rewatch");
    }
    sluice_id timer(nanoseconds first, nanoseconds repeat = nanoseconds::zero(),
                    std::uint64_t user = 0, std::error_code &error = throws()) {
        sluice_id id = 0;
        report(sluice_timer(loop_, &id, first.count(), repeat.count(), user), error, "timer");
        return id;
    }
    void timer_reset(sluice_id id, nanoseconds first, std::error_code &error = throws()) {
        report(sluice_timer_reset(loop_, id, first.count()), error, "timer_reset");
    }
    sluice_id signal(int number, std::error_code &error = throws()) {
        sluice_id id = 0;
        report(sluice_signal(loop_, &id, number), error, "signal");
        return id;
    }

    /* ---- Network ---- */

    sluice_id listen(const std::string &address, const sluice_listen_options *options = nullptr,
                     std::error_code &error = throws()) {
        sluice_id id = 0;
        report(has_nul(address) ? SLUICE_EADDRESS
                                : sluice_listen(loop_, &id, address.c_str(), options),
               error, address.c_str());
        return id;
    }
    sluice_id listen(const std::string &address, std::error_code &error) {
        return listen(address, nullptr, error);
    }
    sluice_id listen_fd(int fd, const sluice_listen_options *options = nullptr,
                        std::error_code &error = throws()) {
        sluice_id id = 0;
        report(sluice_listen_fd(loop_, &id, fd, options), error, "listen_fd");
        return id;
    }
    sluice_id listen_fd(int fd, std::error_code &error) {
        return listen_fd(fd, nullptr, error);
    }
    sluice_id resolve(const std::string &address, sluice_family family = SLUICE_ANY_FAMILY,
                      std::uint64_t user = 0, std::error_code &error = throws()) {
        sluice_id id = 0;
        report(has_nul(address) ? SLUICE_EADDRESS
                                : sluice_resolve(loop_, &id, address.c_str(), family, user),
               error, address.c_str());
        return id;
    }
    /* Why the name of a stream that has ended was not found; empty for others. */
    [[nodiscard]] std::string_view name_problem(sluice_id id) const noexcept {
        const char *words = sluice_name_problem(loop_, id);
        return words ? words : "";
    }
    sluice_id connect(const std::string &address, const sluice_stream_options *options = nullptr,
                      std::error_code &error = throws()) {
        sluice_id id = 0;
        report(has_nul(address) ? SLUICE_EADDRESS
                                : sluice_connect(loop_, &id, address.c_str(), options),
               error, address.c_str());
        return id;
    }
    sluice_id connect(const std::string &address, std::error_code &error) {
        return connect(address, nullptr, error);
    }
    sluice_id adopt(int fd, const sluice_stream_options *options = nullptr,
                    std::error_code &error = throws()) {
        sluice_id id = 0;
        report(sluice_adopt(loop_, &id, fd, options), error, "adopt");
        return id;
    }
    sluice_id adopt(int fd, std::error_code &error) {
        return adopt(fd, nullptr, error);
    }
    [[nodiscard]] std::string local_address(sluice_id id, std::error_code &error = throws()) const {
        char text[SLUICE_ADDRESS_MAX] = "";
        report(sluice_local_address(loop_, id, text, sizeof text), error, "local_address");
        return text;
    }
    [[nodiscard]] std::string peer_address(sluice_id id, std::error_code &error = throws()) const {
        char text[SLUICE_ADDRESS_MAX] = "";
        report(sluice_peer_address(loop_, id, text, sizeof text), error, "peer_address");
        return text;
    }

    /* ---- Streams ---- */

    /* If there is no room for the bytes, the answer is full, and the stream ends. Its CLOSED has
     * the same reason. */
    written write(sluice_id id, std::string_view bytes, std::error_code &error = throws()) {
        return told(id, sluice_write(loop_, id, bytes.data(), bytes.size()), error, "write");
    }
    /* As write, except that after full the stream goes on as it was. */
    [[nodiscard]] written try_write(sluice_id id, std::string_view bytes,
                                    std::error_code &error = throws()) {
        return written_of(sluice_write(loop_, id, bytes.data(), bytes.size()), error, "try_write");
    }
    /* Several pieces, all of them or none. */
    written writev(sluice_id id, const sluice_slice *slices, int count,
                   std::error_code &error = throws()) {
        return told(id, sluice_writev(loop_, id, slices, count), error, "writev");
    }
#if __cplusplus >= 202002L
    written write(sluice_id id, std::span<const std::byte> bytes,
                  std::error_code &error = throws()) {
        return told(id, sluice_write(loop_, id, bytes.data(), bytes.size()), error, "write");
    }
    [[nodiscard]] written try_write(sluice_id id, std::span<const std::byte> bytes,
                                    std::error_code &error = throws()) {
        return written_of(sluice_write(loop_, id, bytes.data(), bytes.size()), error, "try_write");
    }
#endif
    /* Makes the kernel send bytes of a file, after all that was written. Returns how many went. If
     * they are fewer than `length`, DRAINED says when to go on with the rest. Returns nothing for a
     * stream that is gone. An error is about the file, and the stream goes on. */
    [[nodiscard]] std::optional<std::size_t> send_file(sluice_id id, int fd, std::int64_t offset,
                                                       std::size_t length,
                                                       std::error_code &error = throws()) {
        const std::ptrdiff_t sent = sluice_send_file(loop_, id, fd, offset, length);
        if (sent >= 0) {
            report(0, error, "send_file");
            return count(sent);
        }
        const int code = static_cast<int>(sent);
        const bool is_errno = code > -10000; /* of the file, unless the stream is broken */
        if (is_errno && sluice_write(loop_, id, "", 0) >= 0)
            report(code, error, "send_file");
        else
            told(id, code, error, "send_file");
        return std::nullopt;
    }
    /* False for a stream that is gone. So it is for each call on a stream that returns a bool. */
    bool flush(sluice_id id, std::error_code &error = throws()) {
        return told(id, sluice_flush(loop_, id), error, "flush") < written::gone;
    }
    bool shutdown(sluice_id id, std::error_code &error = throws()) {
        const int code = sluice_shutdown(loop_, id);
        if (code < 0 && code > -10000 && code != -EPIPE) /* a listener's: no stream says so */
            return report(code, error, "shutdown") >= 0;
        return told(id, code, error, "shutdown") < written::gone;
    }
    bool pause(sluice_id id, std::error_code &error = throws()) {
        return told(id, sluice_pause(loop_, id), error, "pause") < written::gone;
    }
    bool resume(sluice_id id, std::error_code &error = throws()) {
        return told(id, sluice_resume(loop_, id), error, "resume") < written::gone;
    }
    /* If there is no room for the bytes, the stream ends, as with write. */
    bool hold(sluice_id id, std::size_t length, std::error_code &error = throws()) {
        return told(id, sluice_hold(loop_, id, length), error, "hold") < written::gone;
    }
    /* The same, and no DATA comes before `total` bytes are there, counting those that are held, or
     * the stream ends. */
    bool hold_until(sluice_id id, std::size_t length, std::size_t total,
                    std::error_code &error = throws()) {
        return told(id, sluice_hold_until(loop_, id, length, total), error, "hold_until") <
               written::gone;
    }
    bool forward(sluice_id from, sluice_id to, std::error_code &error = throws()) {
        return told(from, sluice_forward(loop_, from, to), error, "forward") < written::gone;
    }
    /* Keeps the bytes of the event just pulled. Returns nothing if the stream is gone, or if there
     * is no room: then copy them. */
    [[nodiscard]] std::optional<Kept> keep(const Event &event, std::error_code &error = throws()) {
        void *name = nullptr;
        const written result = written_of(sluice_keep(loop_, event.id, &name), error, "keep");
        if (result >= written::gone)
            return std::nullopt;
        return Kept(target_, name, event.bytes());
    }
    [[nodiscard]] std::size_t pending(sluice_id id, std::error_code &error = throws()) const {
        return count(report(sluice_pending(loop_, id), error, "pending"));
    }

  private:
    /* In C a 0 byte would end the address. */
    static bool has_nul(const std::string &address) noexcept {
        return address.find('\0') != std::string::npos;
    }
    /* The result, or 0 if it is an error. */
    template <typename Result> static std::size_t count(Result result) noexcept {
        return result < 0 ? 0 : static_cast<std::size_t>(result);
    }
    /* What a call on a stream says. An errno says that the stream is broken, which is not an error
     * here. ENOMEM is one. */
    static written written_of(int result, std::error_code &error, const char *call) {
        const bool is_error =
            result == SLUICE_ENOMEM ||
            (result < -10000 && result != SLUICE_ESTALE && result != SLUICE_EFULL);
        report(is_error ? result : 0, error, call);
        if (result >= 0)
            return static_cast<written>(result);
        return result == SLUICE_EFULL ? written::full : written::gone;
    }
    /* The same for a call whose bytes are lost if there is no room for them: that ends the
     * stream. */
    written told(sluice_id id, int code, std::error_code &error, const char *call) {
        const written result = written_of(code, error, call);
        if (result == written::full)
            report(sluice_abort_with(loop_, id, code), error, call);
        return result;
    }
    void destroy() noexcept {
        if (!loop_)
            return;
        std::lock_guard<std::mutex> lock(target_->mutex);
        if (sluice_destroy(loop_) == 0)
            target_->loop = nullptr;
        loop_ = nullptr;
    }

    sluice_loop *loop_ = nullptr;
    std::shared_ptr<Poster::Target> target_;
};

/* The readiness layer by itself: registrations, and the kernel's call that waits for them. One
 * thread at a time may use it. Descriptors stay the caller's. */
class Poller {
  public:
    /* A backend is named "epoll", "poll" or "select". nullptr is the best there is. */
    explicit Poller(const char *backend = nullptr, std::error_code &error = throws()) {
        report(sluice_poller_create(&poller_, backend), error, "create");
    }
    ~Poller() {
        sluice_poller_destroy(poller_);
    }
    Poller(Poller &&other) noexcept : poller_(std::exchange(other.poller_, nullptr)) {
    }
    Poller &operator=(Poller &&other) noexcept {
        std::swap(poller_, other.poller_);
        return *this;
    }
    Poller(const Poller &) = delete;
    Poller &operator=(const Poller &) = delete;

    void add(int fd, std::uint32_t interest, std::uint64_t user = 0,
             std::error_code &error = throws()) {
        report(sluice_poller_add(poller_, fd, interest, user), error, "add");
    }
    void modify(int fd, std::uint32_t interest, std::uint64_t user = 0,
                std::error_code &error = throws()) {
        report(sluice_poller_modify(poller_, fd, interest, user), error, "modify");
    }
    void remove(int fd, std::error_code &error = throws()) {
        report(sluice_poller_remove(poller_, fd), error, "remove");
    }
    /* Returns how many of the `capacity` events were filled in: 0 when the time is up, or on a
     * wake. */
    [[nodiscard]] std::size_t
    wait(sluice_ready *events, std::size_t capacity,
         std::chrono::nanoseconds timeout = std::chrono::nanoseconds::max(),
         std::error_code &error = throws()) {
        const int most = static_cast<int>(std::min(capacity, std::size_t{1} << 20));
        const int count =
            report(sluice_poller_wait(poller_, events, most, timeout.count()), error, "wait");
        return static_cast<std::size_t>(std::max(count, 0));
    }
#if __cplusplus >= 202002L
    [[nodiscard]] std::size_t
    wait(std::span<sluice_ready> events,
         std::chrono::nanoseconds timeout = std::chrono::nanoseconds::max(),
         std::error_code &error = throws()) {
        return wait(events.data(), events.size(), timeout, error);
    }
#endif
    /* Whether the registration of an event still stands. */
    [[nodiscard]] bool is_current(const sluice_ready &event) const noexcept {
        return sluice_poller_is_current(poller_, &event) > 0;
    }
    /* Ends the wait that is under way, or else the next one. Any thread may call it while this
     * lives. */
    void wake(std::error_code &error = throws()) {
        report(sluice_poller_wake(poller_), error, "wake");
    }
    [[nodiscard]] int backend_fd(std::error_code &error = throws()) {
        return report(sluice_poller_backend_fd(poller_), error, "backend_fd");
    }
    void after_fork(std::error_code &error = throws()) {
        report(sluice_poller_after_fork(poller_), error, "after_fork");
    }
    void set_flags(std::uint32_t flags, std::error_code &error = throws()) {
        report(sluice_poller_set_flags(poller_, flags), error, "set_flags");
    }
    /* A set of enum sluice_feature. */
    [[nodiscard]] std::uint32_t features() const noexcept {
        return sluice_poller_features(poller_);
    }
    [[nodiscard]] std::string_view backend_name() const noexcept {
        const char *name = sluice_poller_backend_name(poller_);
        return name ? name : "";
    }

  private:
    sluice_poller *poller_ = nullptr;
};

} // namespace sluice

template <> struct std::is_error_code_enum<sluice::errc> : std::true_type {};

#endif
