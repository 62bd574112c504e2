// Awaitable<T>: a coroutine of the io threads. Coroutines live only in lib/net, lib/rest,
// lib/streaming, lib/site_client and lib/agent_hub; each is a named function with parameters.
#ifndef INTERLINK_NET_AWAITABLE_H_
#define INTERLINK_NET_AWAITABLE_H_

#include <boost/asio/awaitable.hpp>
#include <utility>  // Asio's coroutines need std::exchange before their own headers

namespace interlink::net {

template <typename T>
using Awaitable = boost::asio::awaitable<T>;

}  // namespace interlink::net

#endif  // INTERLINK_NET_AWAITABLE_H_
