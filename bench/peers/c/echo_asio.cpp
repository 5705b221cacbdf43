// echo_asio PORT: C++20 coroutines on one standalone-Asio io_context.

#include "common.h"
#include <asio/awaitable.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/write.hpp>

using asio::ip::tcp;

static asio::awaitable<void> serve(tcp::socket s) {
    char buf[1024];
    try {
        for (;;) {
            std::size_t n = co_await s.async_read_some(asio::buffer(buf), asio::use_awaitable);
            co_await asio::async_write(s, asio::buffer(buf, n), asio::use_awaitable);
        }
    } catch (const std::exception &) {
    }
}

static asio::awaitable<void> accept_all(asio::io_context &ctx, unsigned short port) {
    tcp::acceptor a(ctx);
    a.open(tcp::v4());
    a.set_option(tcp::acceptor::reuse_address(true));
    a.bind({tcp::v4(), port});
    a.listen(4096);
    for (;;) {
        tcp::socket s = co_await a.async_accept(asio::use_awaitable);
        s.set_option(tcp::no_delay(true));
        asio::co_spawn(ctx, serve(std::move(s)), asio::detached);
    }
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: echo_asio PORT\n");
        return 2;
    }
    raise_nofile();
    asio::io_context ctx(1);
    asio::co_spawn(ctx, accept_all(ctx, (unsigned short)atoi(argv[1])), asio::detached);
    ctx.run();
    return 0;
}
