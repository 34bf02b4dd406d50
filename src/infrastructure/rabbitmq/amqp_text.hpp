// infrastructure/rabbitmq/amqp_text.hpp — text as librabbitmq passes it. Neither side owns it.
#pragma once

#include <amqp.h>
#include <string_view>

namespace scheduler::infrastructure {

inline amqp_bytes_t to_amqp(std::string_view text) { return {text.size(), const_cast<char*>(text.data())}; }
inline std::string_view from_amqp(amqp_bytes_t bytes) { return {static_cast<const char*>(bytes.bytes), bytes.len}; }

}  // namespace scheduler::infrastructure
