// benches/queue_bench.cpp — items per second through each queue, published in envelopes of 1, 100 and 500, consumed and
// acknowledged by the same loop.
//
//   queue_bench [--quick]
//
// Brokers: SCHEDULER_TEST_REDIS_URL and SCHEDULER_TEST_RABBITMQ_URL, as `./dev services up` writes them to
// build/services/env. Prints one table.
#include "application/ports/message_queue.hpp"
#include "bench_support.hpp"
#include "config/app_config.hpp"
#include "core/log.hpp"
#include "core/task_group.hpp"
#include "infrastructure/asio_timer.hpp"
#include "infrastructure/message_codec.hpp"
#include "infrastructure/message_queue_factory.hpp"
#include "infrastructure/prometheus_metrics.hpp"
#include "infrastructure/system_clock.hpp"
#include "infrastructure/system_random.hpp"

#include <boost/asio/io_context.hpp>
#include <fmt/format.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <unistd.h>

namespace scheduler {
namespace {

using namespace application;
using namespace std::chrono_literals;

constexpr int kPublishers = 16;  // at the same time: several loops publish, and a worker's reports do not wait for logs
const QueueName kQueue{"bench"};

Message work(std::size_t items) {
  return {std::vector(items, TaskExecution{.run = {123'456'789},
                                           .task = {42},
                                           .task_name = "nightly report",
                                           .task_type = "shell",
                                           .parameters = R"({"command":"report --day yesterday"})",
                                           .attempt = 1,
                                           .token = 7,
                                           .slot = TimePoint{1'780'000'000'000'000us}})};
}

struct Bench {
  asio::io_context io{1};
  infrastructure::SystemClock clock;
  infrastructure::SystemRandom random;
  infrastructure::AsioTimer timer{io};
  infrastructure::PrometheusMetrics metrics{"bench"};
  std::unique_ptr<MessageQueue> queue;

  asio::awaitable<void> publish(std::size_t envelopes, std::size_t items) {
    for (std::size_t i = 0; i < envelopes;) {
      const auto sent = co_await queue->publish_message(kQueue, work(items));
      if (sent)
        ++i;
      else if (sent.error().kind == ErrorKind::MessageQueue)
        co_await timer.sleep(1ms);  // full: the consumer needs the loop
      else
        must(sent);
    }
  }
  asio::awaitable<void> consume(std::size_t envelopes) {
    const auto consumer = queue->consume(kQueue, 256);
    for (std::size_t seen = 0; seen < envelopes;) {
      std::vector<DeliveryTag> tags;
      for (const auto& it : must(co_await consumer->receive(256, 10s))) tags.push_back(it.tag);
      seen += tags.size();
      must(co_await consumer->acknowledge(std::move(tags)));
    }
  }
  asio::awaitable<void> measure(std::string_view name, std::size_t envelopes, std::size_t items) {
    must(co_await queue->depth(kQueue));  // connects
    const auto began = SteadyClock::now();
    TaskGroup group(io, timer);
    for (int i = 0; i < kPublishers; ++i) group.spawn("publish", publish(envelopes / kPublishers, items));
    group.spawn("consume", consume(envelopes / kPublishers * kPublishers));
    co_await group.join();
    const auto per_second = static_cast<double>(envelopes / kPublishers * kPublishers) / seconds_since(began);
    fmt::print("| {}, envelopes of {} items | {:.0f} items/s ({:.0f} envelopes/s) | |\n", name, items,
               per_second * static_cast<double>(items), per_second);
    must(co_await queue->remove(kQueue));
    io.stop();
  }
};

void measure_codec(std::size_t items, bool quick) {
  const auto message = work(items);
  const std::size_t rounds = (quick ? 20'000 : 200'000) / items;
  auto began = SteadyClock::now();
  std::string text;
  for (std::size_t i = 0; i < rounds; ++i) text = infrastructure::encode_message(message, {.id = "x"}).at(0);
  const auto encoding = seconds_since(began);
  began = SteadyClock::now();
  for (std::size_t i = 0; i < rounds; ++i) (void)must(infrastructure::decode_message(text));
  const auto each = 1e6 / static_cast<double>(rounds * items);
  fmt::print("| codec, envelopes of {} items | {:.2f} us to write, {:.2f} us to read an item | |\n", items,
             encoding * each, seconds_since(began) * each);
}

void measure_queue(const config::MessageQueueConfig& settings, bool quick) {
  for (const std::size_t items : {1, 100, 500}) {
    Bench bench;
    bench.queue = must(infrastructure::MessageQueueFactory::create(
        settings, {bench.io, bench.clock, bench.timer, bench.random, bench.metrics}));
    const std::size_t envelopes = (items == 1 ? 20'000 : 200'000 / items) / (quick ? 10 : 1);
    spawn(bench.io, "measure", bench.measure(settings.type, std::max<std::size_t>(envelopes, kPublishers), items));
    bench.io.run();
  }
}

}  // namespace
}  // namespace scheduler

int main(int argc, char** argv) {
  using namespace scheduler;
  const bool quick = argc > 1 && std::string_view(argv[1]) == "--quick";
  std::puts("| measure | seen | goal |");
  for (const std::size_t items : {1, 100, 500}) measure_codec(items, quick);
  measure_queue({}, quick);
  const auto prefix = fmt::format("bench-{}", ::getpid());
  for (const auto& [type, variable] :
       {std::pair("rabbitmq", "SCHEDULER_TEST_RABBITMQ_URL"), std::pair("redis_stream", "SCHEDULER_TEST_REDIS_URL")}) {
    if (const char* url = std::getenv(variable))
      measure_queue({.type = type, .url = url, .prefix = prefix}, quick);
    else
      fmt::print("{} is left out: {} is not set\n", type, variable);
  }
}
