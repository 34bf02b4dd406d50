#include "infrastructure/rabbitmq/rabbit_call.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

namespace scheduler::infrastructure {

void post_to_loop(asio::io_context& io, std::move_only_function<void()> work) { asio::post(io, std::move(work)); }

}  // namespace scheduler::infrastructure
