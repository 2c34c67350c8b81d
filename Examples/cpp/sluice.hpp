/* sluice.hpp - Sluice's loop in C++17: an owner that can be moved and not copied, events by
 * range-for, errors as std::system_error.
 *
 *     sluice::Loop loop;
 *     loop.listen("127.0.0.1:9999");
 *     for (const sluice::Event &event : loop)
 *         if (event.kind == SLUICE_DATA)
 *             loop.write(event.id, event.bytes());
 *
 * What a call takes and how long what it gives stays valid is said in sluice.h; the names are the
 * same. An event's bytes are valid until the next pull, which is the next step of the range-for.
 *
 * Calls throw a std::system_error, whose code is an errno in std::system_category(), or one of
 * sluice::errc. What befalls a connection is not thrown at the call in hand: its CLOSED says it.
 * Calls that end what a destructor has come a second time with a std::error_code, as in
 * std::filesystem.
 */
#ifndef SLUICE_HPP
#define SLUICE_HPP

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>
#include <vector>

#include <sluice.h>

namespace sluice {

/* The codes that Sluice itself gives. Those that are an errno, negated, are std::errc. */
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

inline const std::error_category &category() {
    struct Category : std::error_category {
        const char *name() const noexcept override {
            return "sluice";
        }
        std::string message(int code) const override {
            return code == SLUICE_ENULL ? "the loop is closed" : sluice_error_message(code);
        }
        /* The errno that comes nearest: so errors can be compared with a std::errc. */
        std::error_condition default_error_condition(int code) const noexcept override {
            return {sluice_error_errno(code), std::generic_category()};
        }
    };
    static const Category only;
    return only;
}

inline std::error_code make_error_code(errc code) {
    return {static_cast<int>(code), category()};
}

/* What a negative result stands for; none for 0 or a count. */
inline std::error_code error_code(int result) {
    if (result >= 0)
        return {};
    if (result > -10000)
        return {-result, std::system_category()};
    return {result, category()};
}

/* An error as C has it, and 0 for one that C has not. */
inline int code_of(const std::error_code &error) noexcept {
    if (error.category() == category())
        return error.value();
    const bool is_errno =
        error.category() == std::system_category() || error.category() == std::generic_category();
    return is_errno ? -error.value() : 0;
}

inline int check(int result, const char *call) {
    if (result < 0)
        throw std::system_error(error_code(result), call);
    return result;
}

/* What became of a write; it need not be looked at. */
enum class written {
    queued,
    over_high_mark, /* queued too; wait for DRAINED before writing more */
    gone,           /* not taken: the stream has ended, or takes no more, since it is broken or was
                     * shut down; CLOSED says how it ended */
    full            /* not taken: it would be over its hard limit, or the loop's memory limit */
};

struct Event : sluice_event {
    /* None of an event that has no data: the length of a CLOSED is of another kind. */
    std::string_view bytes() const {
        return data ? std::string_view(static_cast<const char *>(data), length)
                    : std::string_view();
    }
    /* DATA: how many of the first bytes were in an event before, and were held. */
    std::size_t seen() const {
        return kind == SLUICE_DATA ? static_cast<std::size_t>(value >> 1) : 0;
    }
    /* DATA: whether these were held when the input ended, and nothing follows them. */
    bool is_last() const {
        return kind == SLUICE_DATA && (value & SLUICE_LAST) != 0;
    }
    /* Why a stream ended, a listener stopped or a name has no address; none for an orderly end. */
    std::error_code reason() const {
        return error_code(error);
    }
    /* RESOLVED: a name's addresses. Where there are none, `bytes` says why, in words. */
    std::vector<std::string> addresses() const {
        std::vector<std::string> all;
        std::string_view rest = error == 0 ? bytes() : std::string_view();
        while (!rest.empty()) {
            std::size_t end = std::min(rest.find('\n'), rest.size());
            all.emplace_back(rest.substr(0, end));
            rest.remove_prefix(std::min(end + 1, rest.size()));
        }
        return all;
    }
};

/* Reaches a loop from any thread, for as long as one likes: once the loop has ended, calls throw
 * errc::closed. */
class Poster {
  public:
    /* Moving one copies it, so that the old one can still be used. */
    Poster(const Poster &) = default;
    Poster &operator=(const Poster &) = default;
    void post(std::uint64_t value) const {
        std::lock_guard<std::mutex> lock(target_->mutex);
        check(sluice_post(target_->loop, value), "post");
    }
    /* Ends the pull that is under way, or else the next. */
    void wake() const {
        std::lock_guard<std::mutex> lock(target_->mutex);
        check(sluice_wake(target_->loop), "wake");
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

/* The bytes of a DATA event beyond the next pull: as long as this lives, and the loop does. Let it
 * end on the loop's thread, or they stay until the loop ends. */
class Kept {
  public:
    Kept(Kept &&other) noexcept
        : target_(std::move(other.target_)), name_(std::exchange(other.name_, nullptr)),
          bytes_(std::exchange(other.bytes_, {})) {
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
    std::string_view bytes() const noexcept {
        return bytes_;
    }

  private:
    friend class Loop;
    Kept(std::shared_ptr<Poster::Target> target, void *name, std::string_view bytes)
        : target_(std::move(target)), name_(name), bytes_(bytes) {
    }
    std::shared_ptr<Poster::Target> target_;
    void *name_;
    std::string_view bytes_;
};

/* Of the thread that made it: calls from others throw errc::wrong_thread. Let it end there too, or
 * it stays open. Pointers to it are the caller's to keep right, as with any object. */
class Loop {
  public:
    using nanoseconds = std::chrono::nanoseconds;

    explicit Loop(const sluice_options *options = nullptr)
        : target_(std::make_shared<Poster::Target>()) {
        check(sluice_open(&target_->loop, options), "open");
        loop_ = target_->loop;
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
    bool next(Event &event, nanoseconds timeout = nanoseconds::max()) {
        return check(sluice_next(loop_, &event, timeout.count()), "next") > 0;
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
        const Event &operator*() const {
            return event_;
        }
        Iterator &operator++() {
            loop_->next(event_);
            return *this;
        }
        void operator++(int) {
            ++*this;
        }
        bool operator!=(Never) const {
            return true;
        }

      private:
        Loop *loop_;
        Event event_{};
    };

    /* All events to come, and after a wake one of kind 0. There is no end to them: leave by break
     * or return. */
    Iterator begin() {
        return Iterator(*this);
    }
    Never end() const {
        return {};
    }

    Poster poster() const {
        if (!target_)
            throw std::system_error(make_error_code(errc::closed), "poster");
        return Poster(target_);
    }

    /* CLOCK_MONOTONIC, read anew: timers count from it. */
    nanoseconds update_now() {
        std::int64_t now = sluice_update_now(loop_);
        check(now < 0 ? static_cast<int>(now) : 0, "update_now");
        return nanoseconds(now);
    }
    /* Makes the calling thread the loop's. The one that had it makes no call of it any more. */
    void take_over() {
        check(sluice_take_over(loop_), "take_over");
    }

    /* ---- Handles ---- */

    /* What has ended already is let pass. */
    void close(sluice_id id) {
        told(id, sluice_close(loop_, id), "close");
    }
    void close(sluice_id id, std::error_code &error) noexcept {
        told(id, sluice_close(loop_, id), error);
    }
    void abort(sluice_id id) {
        told(id, sluice_abort(loop_, id), "abort");
    }
    void abort(sluice_id id, std::error_code &error) noexcept {
        told(id, sluice_abort(loop_, id), error);
    }
    /* The same, but a stream's CLOSED has this reason: sluice::errc, or an errno. */
    void abort_with(sluice_id id, std::error_code reason) {
        told(id, sluice_abort_with(loop_, id, code_of(reason)), "abort_with");
    }
    void abort_with(sluice_id id, std::error_code reason, std::error_code &error) noexcept {
        told(id, sluice_abort_with(loop_, id, code_of(reason)), error);
    }
    std::uint64_t user(sluice_id id) const {
        std::uint64_t user;
        check(sluice_user(loop_, id, &user), "user");
        return user;
    }
    void set_user(sluice_id id, std::uint64_t user) {
        check(sluice_set_user(loop_, id, user), "set_user");
    }
    int fd(sluice_id id) const {
        return check(sluice_fd(loop_, id), "fd");
    }

    sluice_id watch(int fd, std::uint32_t interest, std::uint64_t user = 0) {
        sluice_id id;
        check(sluice_watch(loop_, &id, fd, interest, user), "watch");
        return id;
    }
    void rewatch(sluice_id id, std::uint32_t interest) {
        check(sluice_rewatch(loop_, id, interest), "rewatch");
    }
    sluice_id timer(nanoseconds first, nanoseconds repeat = nanoseconds::zero(),
                    std::uint64_t user = 0) {
        sluice_id id;
        check(sluice_timer(loop_, &id, first.count(), repeat.count(), user), "timer");
        return id;
    }
    void timer_reset(sluice_id id, nanoseconds first) {
        check(sluice_timer_reset(loop_, id, first.count()), "timer_reset");
    }
    sluice_id signal(int number) {
        sluice_id id;
        check(sluice_signal(loop_, &id, number), "signal");
        return id;
    }

    /* ---- Network ---- */

    sluice_id listen(const std::string &address, const sluice_listen_options *options = nullptr) {
        sluice_id id;
        check(sluice_listen(loop_, &id, text_of(address), options), address.c_str());
        return id;
    }
    sluice_id listen_fd(int fd, const sluice_listen_options *options = nullptr) {
        sluice_id id;
        check(sluice_listen_fd(loop_, &id, fd, options), "listen_fd");
        return id;
    }
    sluice_id resolve(const std::string &address, sluice_family family = SLUICE_ANY_FAMILY,
                      std::uint64_t user = 0) {
        sluice_id id;
        check(sluice_resolve(loop_, &id, text_of(address), family, user), address.c_str());
        return id;
    }
    /* Why the name of a stream that has ended was not found; empty for others. */
    std::string_view name_problem(sluice_id id) const noexcept {
        const char *words = sluice_name_problem(loop_, id);
        return words ? words : "";
    }
    sluice_id connect(const std::string &address, const sluice_stream_options *options = nullptr) {
        sluice_id id;
        check(sluice_connect(loop_, &id, text_of(address), options), address.c_str());
        return id;
    }
    sluice_id adopt(int fd, const sluice_stream_options *options = nullptr) {
        sluice_id id;
        check(sluice_adopt(loop_, &id, fd, options), "adopt");
        return id;
    }
    std::string local_address(sluice_id id) const {
        char text[SLUICE_ADDRESS_MAX];
        check(sluice_local_address(loop_, id, text, sizeof text), "local_address");
        return text;
    }
    std::string peer_address(sluice_id id) const {
        char text[SLUICE_ADDRESS_MAX];
        check(sluice_peer_address(loop_, id, text, sizeof text), "peer_address");
        return text;
    }

    /* ---- Streams ---- */

    /* A stream for which that is too much ends: full, which is also the reason of its CLOSED. */
    written write(sluice_id id, std::string_view bytes) {
        return told(id, sluice_write(loop_, id, bytes.data(), bytes.size()), "write");
    }
    written write(sluice_id id, std::string_view bytes, std::error_code &error) noexcept {
        return told(id, sluice_write(loop_, id, bytes.data(), bytes.size()), error);
    }
    /* As write, but where the answer is full, the stream goes on as it was. */
    written try_write(sluice_id id, std::string_view bytes) {
        std::error_code error;
        const written result =
            written_of(sluice_write(loop_, id, bytes.data(), bytes.size()), error);
        return checked(result, error, "try_write");
    }
    /* Has the kernel send bytes of a file, behind all that was written. How many went: where those
     * are fewer than `length`, DRAINED says when to go on with the rest. Nothing for a stream that
     * is gone. An error is the file's, and the stream goes on. */
    std::optional<std::size_t> send_file(sluice_id id, int fd, std::int64_t offset,
                                         std::size_t length) {
        const std::ptrdiff_t sent = sluice_send_file(loop_, id, fd, offset, length);
        if (sent >= 0)
            return static_cast<std::size_t>(sent);
        const int code = static_cast<int>(sent);
        if (code > -10000 && try_write(id, {}) != written::gone)
            check(code, "send_file"); /* it is not the stream that is broken */
        told(id, code, "send_file");
        return std::nullopt;
    }
    /* False for a stream that is gone, as of all below. */
    bool flush(sluice_id id) {
        return told(id, sluice_flush(loop_, id), "flush") < written::gone;
    }
    bool shutdown(sluice_id id) {
        const int code = sluice_shutdown(loop_, id);
        if (code > -10000 && code != -EPIPE)
            check(code, "shutdown"); /* a listener's: no stream says so */
        return told(id, code, "shutdown") < written::gone;
    }
    bool pause(sluice_id id) {
        return told(id, sluice_pause(loop_, id), "pause") < written::gone;
    }
    bool resume(sluice_id id) {
        return told(id, sluice_resume(loop_, id), "resume") < written::gone;
    }
    /* A stream for which that is too much ends, as of write. */
    bool hold(sluice_id id, std::size_t length) {
        return told(id, sluice_hold(loop_, id, length), "hold") < written::gone;
    }
    /* The same, and no DATA comes before `total` bytes are there together, those among them, or the
     * stream ends. */
    bool hold_until(sluice_id id, std::size_t length, std::size_t total) {
        return told(id, sluice_hold_until(loop_, id, length, total), "hold_until") < written::gone;
    }
    bool forward(sluice_id from, sluice_id to) {
        return told(from, sluice_forward(loop_, from, to), "forward") < written::gone;
    }
    /* Keeps the bytes of the event just pulled. Nothing for a stream that is gone, and where there
     * is no room: they can be copied then. */
    std::optional<Kept> keep(const Event &event) {
        void *name;
        std::error_code error;
        const written result = written_of(sluice_keep(loop_, event.id, &name), error);
        if (checked(result, error, "keep") >= written::gone)
            return std::nullopt;
        return Kept(target_, name, event.bytes());
    }
    std::size_t pending(sluice_id id) const {
        std::int64_t bytes = sluice_pending(loop_, id);
        check(bytes < 0 ? static_cast<int>(bytes) : 0, "pending");
        return static_cast<std::size_t>(bytes);
    }

  private:
    /* In C a 0 byte would end it. */
    static const char *text_of(const std::string &address) {
        if (address.find('\0') != std::string::npos)
            throw std::system_error(make_error_code(errc::bad_address), address.c_str());
        return address.c_str();
    }
    /* What a call of a stream says. That it is broken is told in the kernel's words, and no error;
     * no memory is one. */
    static written written_of(int result, std::error_code &error) noexcept {
        error.clear();
        if (result >= 0)
            return static_cast<written>(result);
        if (result == SLUICE_EFULL)
            return written::full;
        if (result == SLUICE_ENOMEM || (result < -10000 && result != SLUICE_ESTALE))
            error = error_code(result);
        return written::gone;
    }
    static written checked(written result, std::error_code error, const char *call) {
        if (error)
            throw std::system_error(error, call);
        return result;
    }
    /* The same of a call whose bytes are lost where they are too many: that ends the stream. */
    written told(sluice_id id, int code, std::error_code &error) noexcept {
        const written result = written_of(code, error);
        if (result == written::full)
            error = error_code(sluice_abort_with(loop_, id, code));
        return result;
    }
    written told(sluice_id id, int code, const char *call) {
        std::error_code error;
        const written result = told(id, code, error);
        return checked(result, error, call);
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

} // namespace sluice

template <> struct std::is_error_code_enum<sluice::errc> : std::true_type {};

#endif
