// Internal: names to addresses.
#ifndef INTERLINK_NET_RESOLVE_H_
#define INTERLINK_NET_RESOLVE_H_

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <string>

#include "base/clock.h"
#include "base/status.h"
#include "net/awaitable.h"

namespace interlink::net {

using Addresses = boost::asio::ip::tcp::resolver::results_type;

// kUnavailable: unknown, or no answer in time (getaddrinfo(3) cannot be interrupted: after the
// deadline its answer is dropped).
Awaitable<Result<Addresses>> Resolve(boost::asio::any_io_executor strand, std::string host,
                                     uint16_t port, SteadyTime deadline);

}  // namespace interlink::net

#endif  // INTERLINK_NET_RESOLVE_H_
