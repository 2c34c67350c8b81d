/* echo.cpp [ADDRESS] - an echo server that says where it listens. On SIGTERM it ends in an orderly
 * way: it accepts no more, sends what is queued, and waits until each peer has it. */
#include <csignal>
#include <iostream>
#include <unordered_set>

#include <sluice.hpp>

static void serve(sluice::Loop &loop, const char *address) {
    const sluice_id listener = loop.listen(address);
    loop.signal(SIGTERM);
    std::cout << "listening on " << loop.local_address(listener) << std::endl;
    std::unordered_set<sluice_id> streams;
    bool ending = false;
    for (const sluice::Event &event : loop) {
        if (event.kind == SLUICE_ACCEPTED)
            streams.insert(event.id);
        else if (event.kind == SLUICE_DATA)
            loop.write(event.id, event.bytes());
        else if (event.kind == SLUICE_CLOSED)
            streams.erase(event.id);
        else if (event.kind == SLUICE_SIGNAL) {
            ending = true;
            loop.close(listener);
            for (sluice_id stream : streams)
                loop.close(stream);
        }
        if (ending && streams.empty())
            return;
    }
}

int main(int argc, char **argv) {
    try {
        sluice::Loop loop;
        serve(loop, argc > 1 ? argv[1] : "127.0.0.1:9999");
    } catch (const std::exception &error) {
        std::cerr << "echo: " << error.what() << '\n';
        return 1;
    }
}
