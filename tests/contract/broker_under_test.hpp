// tests/contract/broker_under_test.hpp — a queue over a real server, on a loop and a clock of its own.
#pragma once

#include "contract/message_queue_contract.hpp"
#include "infrastructure/asio_timer.hpp"
#include "infrastructure/system_clock.hpp"
#include "infrastructure/system_random.hpp"
#include "support/recording_metrics.hpp"

#include <boost/asio/executor_work_guard.hpp>

namespace scheduler::contract {

inline const QueueName kQueue{"queue"};

// `Queue` is made from Ports{io, clock, timer, random, metrics} and Settings. Several of them are like several
// processes.
template <class Queue>
class BrokerUnderTest final : public QueueUnderTest {
 public:
  explicit BrokerUnderTest(typename Queue::Settings settings)
      : queue_({io_, clock_, timer_, random_, metrics_}, std::move(settings)) {}

  [[nodiscard]] MessageQueue& queue() override { return queue_; }
  [[nodiscard]] asio::io_context& io() override { return io_; }
  void pass(Micros time) override {
    io_.restart();
    if (time == Micros{0})
      io_.poll();
    else
      io_.run_for(time);
  }
  [[nodiscard]] const testing_support::RecordingMetrics& metrics() const { return metrics_; }

  // Until it has ended, ten seconds at most.
  template <class T>
  SchedulerResult<T> run(Async<T> work) {
    Running<T> running(io_, std::move(work));
    return finish(running);
  }
  template <class T>
  SchedulerResult<T> finish(Running<T>& running) {
    for (Micros spent{0}; !running.done() && spent < 10s; spent += 2ms) pass(2ms);
    if (!running.done()) return fail(ErrorKind::Timeout, "did not end within ten seconds");
    return std::move(running.result());
  }

 private:
  asio::io_context io_{1};
  asio::executor_work_guard<asio::io_context::executor_type> open_{io_.get_executor()};  // time passes when idle, too
  infrastructure::SystemClock clock_;
  infrastructure::SystemRandom random_;
  infrastructure::AsioTimer timer_{io_};
  testing_support::RecordingMetrics metrics_;
  Queue queue_;
};

}  // namespace scheduler::contract
