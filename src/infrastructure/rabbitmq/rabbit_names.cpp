#include "infrastructure/rabbitmq/rabbit_names.hpp"

#include "infrastructure/rabbitmq/amqp_text.hpp"

#include <amqp.h>
#include <amqp_framing.h>

namespace scheduler::infrastructure {
namespace {

amqp_table_entry_t number(const char* key, std::int64_t value) {
  return {.key = amqp_cstring_bytes(key), .value = {.kind = AMQP_FIELD_KIND_I64, .value = {.i64 = value}}};
}

amqp_table_entry_t text(const char* key, amqp_bytes_t value) {
  return {.key = amqp_cstring_bytes(key), .value = {.kind = AMQP_FIELD_KIND_UTF8, .value = {.bytes = value}}};
}

}  // namespace

void RabbitNames::declare(amqp_connection_state_t link, std::uint16_t channel, const std::string& queue) const {
  const auto dead_letters = dead();
  amqp_table_entry_t arguments[] = {
      text("x-dead-letter-exchange", to_amqp(dead_letters)),
      number("x-max-length", static_cast<std::int64_t>(depth_max)),
      text("x-overflow", amqp_cstring_bytes("reject-publish")),
      number("x-expires", std::chrono::ceil<Millis>(expiry).count()),
  };
  amqp_queue_declare(link, channel, to_amqp(queue), 0, 1, 0, 0, {std::size(arguments), arguments});
}

void RabbitNames::declare_dead_exchange(amqp_connection_state_t link, std::uint16_t channel) const {
  amqp_exchange_declare(link, channel, to_amqp(dead()), amqp_cstring_bytes("fanout"), 0, 1, 0, 0, amqp_empty_table);
}

void RabbitNames::declare_dead_queue(amqp_connection_state_t link, std::uint16_t channel) const {
  amqp_table_entry_t arguments[] = {number("x-max-length", static_cast<std::int64_t>(dead_max))};
  amqp_queue_declare(link, channel, to_amqp(dead()), 0, 1, 0, 0, {std::size(arguments), arguments});
}

void RabbitNames::bind_dead_queue(amqp_connection_state_t link, std::uint16_t channel) const {
  amqp_queue_bind(link, channel, to_amqp(dead()), to_amqp(dead()), amqp_empty_bytes, amqp_empty_table);
}

}  // namespace scheduler::infrastructure
