#include "dispatcher/log_loop.hpp"

namespace scheduler::dispatcher {
namespace {

using namespace application;

// A message holds at most a few chunks of 32 KiB, so this bounds a transaction to some megabytes.
constexpr std::size_t kMessagesMax = 64;

}  // namespace

LogLoop::LogLoop(RunLogRepository& logs, MessageQueue& queue, Micros wait_max)
    : logs_(logs), chunks_(queue.consume(kLogQueue, kMessagesMax)), wait_max_(wait_max) {}

Async<Tick> LogLoop::tick() {
  CO_TRY(const auto deliveries, chunks_->receive(kMessagesMax, wait_max_));
  if (deliveries.empty()) co_return Tick{.rest = Micros{0}};
  std::vector<DeliveryTag> tags;
  std::vector<LogChunk> all;
  for (const auto& it : deliveries) {
    tags.push_back(it.tag);
    if (const auto* chunks = std::get_if<std::vector<LogChunk>>(&it.message->payload))
      all.insert(all.end(), chunks->begin(), chunks->end());
  }
  const auto stored = all.size();
  auto appended = co_await logs_.append(std::move(all));
  if (!appended) {
    CO_CHECK(chunks_->give_back(std::move(tags)));
    co_return std::unexpected(std::move(appended).error());
  }
  CO_CHECK(chunks_->acknowledge(std::move(tags)));
  co_return Tick{.done = stored, .rest = Micros{0}};
}

}  // namespace scheduler::dispatcher
