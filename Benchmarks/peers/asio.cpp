// asio.cpp - an echo server on Asio, which does the I/O: a session reads into its own buffer and
// writes from it.
//
//     peer-asio ADDRESS [answer]
//
// With "answer" it answers each 64 bytes with 1 KiB of its own memory. The io_context is told that
// it has one thread, so nothing is locked. A buffer of 64 KiB takes no more memory than the pages
// that were read into.

#include <asio.hpp>

#include <array>
#include <cstdio>
#include <memory>
#include <string>
#include <sys/resource.h>

namespace {

using asio::ip::tcp;
using std::size_t;

constexpr size_t receivedAtOnce = 65536, request = 64, answer = 1024;
bool answering;
std::array<char, receivedAtOnce / request * answer> answers;

class Session {
  public:
    explicit Session(tcp::socket accepted) : socket(std::move(accepted)) {
    }

    static void read(std::unique_ptr<Session> session) {
        auto &self = *session;
        self.socket.async_read_some(
            asio::buffer(self.bytes),
            [session = std::move(session)](std::error_code error, size_t length) mutable {
                if (!error)
                    write(std::move(session), length);
            });
    }

  private:
    static void write(std::unique_ptr<Session> session, size_t length) {
        auto &self = *session;
        asio::const_buffer due = asio::buffer(self.bytes, length);
        if (answering) {
            self.begun += length;
            due = asio::buffer(answers, self.begun / request * answer);
            self.begun %= request;
        }
        asio::async_write(self.socket, due,
                          [session = std::move(session)](std::error_code error, size_t) mutable {
                              if (!error)
                                  read(std::move(session));
                          });
    }

    tcp::socket socket;
    size_t begun = 0;
    std::array<char, receivedAtOnce> bytes;
};

void accept(tcp::acceptor &listener) {
    listener.async_accept([&listener](std::error_code error, tcp::socket socket) {
        if (!error)
            Session::read(std::unique_ptr<Session>(new Session(std::move(socket))));
        accept(listener);
    });
}

tcp::endpoint parse(const std::string &address) {
    auto colon = address.rfind(':');
    return {asio::ip::make_address(address.substr(0, colon)),
            static_cast<unsigned short>(std::stoi(address.substr(colon + 1)))};
}

void allowManyDescriptors() {
    rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

} // namespace

int main(int argc, char **argv) {
    if (argc < 2) {
        std::fprintf(stderr, "usage: %s ADDRESS [answer]; an ADDRESS is as 127.0.0.1:0\n", argv[0]);
        return 2;
    }
    allowManyDescriptors();
    answering = argc > 2 && std::string(argv[2]) == "answer";
    for (size_t i = 0; answering && i < answers.size(); i++)
        answers[i] = static_cast<char>(i % answer % 251);
    asio::io_context context(ASIO_CONCURRENCY_HINT_UNSAFE);
    tcp::acceptor listener(context, tcp::v4());
    listener.set_option(tcp::acceptor::reuse_address(true));
    listener.set_option(tcp::no_delay(true));
    listener.bind(parse(argv[1]));
    listener.listen(1024);
    std::printf("127.0.0.1:%u\n", unsigned{listener.local_endpoint().port()});
    std::fflush(stdout);
    accept(listener);
    context.run();
}
