// tests/application/services_world.hpp — the use cases over a store and a queue in memory.
#pragma once

#include "application/service_factory.hpp"
#include "infrastructure/embedded_message_queue.hpp"
#include "infrastructure/guarded_message_queue.hpp"
#include "support/fake_store.hpp"
#include "support/fake_timer.hpp"
#include "support/fake_zones.hpp"
#include "support/faulty_message_queue.hpp"
#include "support/run_on.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string_view>
#include <variant>

namespace scheduler::application {

using namespace testing_support;
using namespace std::chrono_literals;
using domain::Reason;
using domain::RunState;
using domain::TaskStatus;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

// Knows "noop", whose parameters must be "{}".
class FakeParameters final : public ParameterCheck {
 public:
  [[nodiscard]] std::vector<FieldError> check(std::string_view type, std::string_view parameters,
                                              std::span<const std::string> upstreams) const override {
    last_upstreams.assign(upstreams.begin(), upstreams.end());
    if (type != "noop") return {{"/task_type", "is not known"}};
    if (parameters != "{}") return {{"/parameters/extra", "is not a parameter"}};
    return {};
  }
  mutable std::vector<std::string> last_upstreams;
};

class ServicesWorld : public ::testing::Test {
 protected:
  ~ServicesWorld() override { timer.abandon(); }

  template <class T>
  SchedulerResult<T> run(Async<T> work) {
    return run_on(io, std::move(work));
  }
  template <class T>
  static ErrorKind kind(const SchedulerResult<T>& result) {
    EXPECT_FALSE(result);
    return result ? ErrorKind::Internal : result.error().kind;
  }
  template <class T>
  static std::vector<std::string> pointers(const SchedulerResult<T>& result) {
    std::vector<std::string> all;
    if (!result)
      for (const auto& it : result.error().fields) all.push_back(it.pointer);
    return all;
  }
  std::size_t nudges() { return run(embedded.depth(kNudgeQueue)).value_or(99); }
  // The one control message that waits for an incarnation.
  std::optional<TaskControl> control(IncarnationId incarnation) {
    const auto consumer = embedded.consume(worker_queue(incarnation), 10);
    const auto got = run(consumer->receive(10, 0us));
    if (!got || got->size() != 1) return std::nullopt;
    return std::get<std::vector<TaskControl>>(got->at(0).message->payload).at(0);
  }
  // The task at midnight, hourly; its clock begins at midnight, too.
  TaskId hourly(domain::TaskSpec spec = {}) {
    spec.schedule = "0 * * * *";
    spec.task_type = "noop";
    const bool active = spec.status == TaskStatus::active;
    return store.add_task(std::move(spec), clock.now(), active ? std::optional(clock.now() + 1h) : std::nullopt);
  }

  asio::io_context io{1};
  FakeClock clock;
  FakeTimer timer{io, clock};
  FaultInjector faults;
  FakeStore store{clock, faults};
  infrastructure::EmbeddedMessageQueue embedded{timer};
  // Behind a circuit breaker, as over a broker: whatever is promised of failed calls holds of refused ones.
  infrastructure::GuardedMessageQueue queue{std::make_unique<FaultyMessageQueue>(embedded, faults),
                                            Circuit::make({io, clock, timer}, "message queue")};
  FakeZones zones;
  FakeParameters parameters;
  ServiceFactory factory{{store, queue, zones, parameters, clock, timer}};
};

}  // namespace scheduler::application
