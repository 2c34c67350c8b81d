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
 * Calls throw, but those of handles that may have ended come a second time with a std::error_code,
 * as in std::filesystem. An error's code is an errno in std::system_category(), or one of
 * sluice::errc.
 */
#ifndef SLUICE_HPP
#define SLUICE_HPP

#include <algorithm>
#include <chrono>
#include <memory>
#include <mutex>
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

inline int check(int result, const char *call) {
    if (result < 0)
        throw std::system_error(error_code(result), call);
    return result;
}

/* What became of a write. */
enum class written {
    queued,
    over_high_mark, /* queued too; wait for DRAINED before writing more */
    broken          /* not taken: the connection is broken, or was shut down; CLOSED says more */
};

struct Event : sluice_event {
    std::string_view bytes() const {
        return {static_cast<const char *>(data), length};
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
    struct Target {
        std::mutex mutex;
        sluice_loop *loop = nullptr;
    };
    explicit Poster(std::shared_ptr<Target> target) : target_(std::move(target)) {
    }
    std::shared_ptr<Target> target_;
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

    void close(sluice_id id) {
        check(sluice_close(loop_, id), "close");
    }
    void close(sluice_id id, std::error_code &error) noexcept {
        error = error_code(sluice_close(loop_, id));
    }
    void abort(sluice_id id) {
        check(sluice_abort(loop_, id), "abort");
    }
    void abort(sluice_id id, std::error_code &error) noexcept {
        error = error_code(sluice_abort(loop_, id));
    }
    /* CLOSED says `reason`, a negative code. */
    void abort_with(sluice_id id, int reason) {
        check(sluice_abort_with(loop_, id, reason), "abort_with");
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
        check(sluice_listen(loop_, &id, address.c_str(), options), address.c_str());
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
        check(sluice_resolve(loop_, &id, address.c_str(), family, user), address.c_str());
        return id;
    }
    /* Why the name of a stream that has ended was not found; empty for others. */
    std::string_view name_problem(sluice_id id) const noexcept {
        const char *words = sluice_name_problem(loop_, id);
        return words ? words : "";
    }
    sluice_id connect(const std::string &address, const sluice_stream_options *options = nullptr) {
        sluice_id id;
        check(sluice_connect(loop_, &id, address.c_str(), options), address.c_str());
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

    /* A broken connection is no error of the call. */
    written write(sluice_id id, std::string_view bytes) {
        int result = sluice_write(loop_, id, bytes.data(), bytes.size());
        return is_broken(result) ? written::broken : static_cast<written>(check(result, "write"));
    }
    written write(sluice_id id, std::string_view bytes, std::error_code &error) noexcept {
        int result = sluice_write(loop_, id, bytes.data(), bytes.size());
        error = is_broken(result) ? std::error_code() : error_code(result);
        return result < 0 ? written::broken : static_cast<written>(result);
    }
    /* False where the connection is broken, as of a write. */
    bool flush(sluice_id id) {
        int result = sluice_flush(loop_, id);
        return !is_broken(result) && check(result, "flush") >= 0;
    }
    bool shutdown(sluice_id id) {
        int result = sluice_shutdown(loop_, id);
        return !is_broken(result) && check(result, "shutdown") >= 0;
    }
    void pause(sluice_id id) {
        check(sluice_pause(loop_, id), "pause");
    }
    void resume(sluice_id id) {
        check(sluice_resume(loop_, id), "resume");
    }
    void hold(sluice_id id, std::size_t length) {
        check(sluice_hold(loop_, id, length), "hold");
    }
    void hold_until(sluice_id id, std::size_t length, std::size_t total) {
        check(sluice_hold_until(loop_, id, length, total), "hold_until");
    }
    std::size_t pending(sluice_id id) const {
        std::int64_t bytes = sluice_pending(loop_, id);
        check(bytes < 0 ? static_cast<int>(bytes) : 0, "pending");
        return static_cast<std::size_t>(bytes);
    }
    void forward(sluice_id from, sluice_id to) {
        check(sluice_forward(loop_, from, to), "forward");
    }

  private:
    /* The kernel says so, or would; no memory is no such thing. */
    static bool is_broken(int result) noexcept {
        return result < 0 && result > -10000 && result != SLUICE_ENOMEM;
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
