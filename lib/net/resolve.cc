#include "net/resolve.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <memory>

namespace interlink::net {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

Awaitable<Result<Addresses>> Resolve(asio::any_io_executor strand, std::string host, uint16_t port,
                                     SteadyTime deadline) {
  struct Lookup {
    explicit Lookup(const asio::any_io_executor& executor) : resolver(executor), timer(executor) {}
    tcp::resolver resolver;
    asio::steady_timer timer;
    bool done = false;
    error_code error;
    Addresses addresses;
  };
  auto lookup = std::make_shared<Lookup>(strand);  // owners: this coroutine and the handler
  lookup->timer.expires_at(deadline);
  lookup->resolver.async_resolve(host, std::to_string(port),
                                 [lookup](const error_code& error, Addresses addresses) {
                                   lookup->done = true;
                                   lookup->error = error;
                                   lookup->addresses = std::move(addresses);
                                   lookup->timer.cancel();
                                 });
  error_code ignored;
  if (!lookup->done)
    co_await lookup->timer.async_wait(asio::redirect_error(asio::use_awaitable, ignored));
  const std::string text = "look up \"" + host + "\": ";
  if (!lookup->done) {
    lookup->resolver.cancel();
    co_return Unavailable(text + "no answer in time");
  }
  if (lookup->error) co_return Unavailable(text + lookup->error.message());
  co_return std::move(lookup->addresses);
}

}  // namespace interlink::net
