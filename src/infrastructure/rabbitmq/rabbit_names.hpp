// infrastructure/rabbitmq/rabbit_names.hpp — what our queues are called at the broker, and what they are.
#pragma once

#include "application/ports/message_queue.hpp"

#include <cstdint>
#include <string>
#include <string_view>

struct amqp_connection_state_t_;

namespace scheduler::infrastructure {

struct RabbitNames {
  std::string prefix = "scheduler";
  std::size_t depth_max = 100'000;  // messages that wait; more are refused
  std::size_t dead_max = 10'000;    // dead letters that are kept; older ones go
  Micros expiry = std::chrono::hours{24 * 7};

  [[nodiscard]] std::string queue(const application::QueueName& name) const { return prefix + "." + name.value; }
  [[nodiscard]] std::string dead() const { return prefix + ".dead-letters"; }

  // Each asks the broker and leaves its answer in the connection. All that we have survives a restart of the broker;
  // a queue that nobody has used for `expiry` goes, what it rejects goes to the dead letters, and when it is full it
  // refuses what is published.
  void declare(amqp_connection_state_t_* link, std::uint16_t channel, const std::string& queue) const;
  void declare_dead_exchange(amqp_connection_state_t_* link, std::uint16_t channel) const;
  void declare_dead_queue(amqp_connection_state_t_* link, std::uint16_t channel) const;
  void bind_dead_queue(amqp_connection_state_t_* link, std::uint16_t channel) const;
};

}  // namespace scheduler::infrastructure
