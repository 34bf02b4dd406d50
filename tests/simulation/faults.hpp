// simulation/faults.hpp — one process's view of store and queue, through which everything can go wrong.
#pragma once

#include "application/ports/message_queue.hpp"
#include "application/ports/store.hpp"
#include "simulation/checker.hpp"
#include "simulation/coverage.hpp"
#include "simulation/sim_time.hpp"

#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

namespace scheduler::simulation {

// How often each fault happens, per call or message, in percent. All zero: a perfect world.
struct FaultRates {
  int store_refused = 0;
  int store_answer_lost = 0;
  int message_lost = 0;
  int message_doubled = 0;
  int message_late = 0;
  int message_overtaken = 0;
  int publish_refused = 0;
  int ack_lost = 0;
};

// The dice of one world and what is wrong with it at the moment.
struct FaultSource {
  explicit FaultSource(std::uint64_t seed) : dice(seed) {}
  [[nodiscard]] bool happens(int percent) { return percent > 0 && below(100) < static_cast<std::uint64_t>(percent); }
  [[nodiscard]] std::uint64_t below(std::uint64_t end) { return dice() % end; }
  [[nodiscard]] Micros between(Micros low, Micros high) {
    return low + Micros{static_cast<std::int64_t>(below(static_cast<std::uint64_t>((high - low).count()) + 1))};
  }
  FaultRates rates;
  Micros broker_away_until{0}, store_away_until{0};
  int set_forward = 0, set_backward = 0;  // how often the wall clock was set
  std::mt19937_64 dice;
};

// Which consumers wait at which queue, in all processes: nobody has to look again and again.
class Doorbells {
 public:
  void add(const application::QueueName& queue, WakeSignal* bell) { bells_[queue].push_back(bell); }
  void remove(const application::QueueName& queue, WakeSignal* bell) { std::erase(bells_[queue], bell); }
  void ring(const application::QueueName& queue) {
    for (auto* bell : bells_[queue]) bell->notify();
  }

 private:
  std::map<application::QueueName, std::vector<WakeSignal*>> bells_;
};

// What the processes of one world share.
struct Surroundings {
  SimTime& time;
  FaultSource& source;
  Checker& checker;
  Coverage& coverage;
  Doorbells& doorbells;
};

// When it is killed, none of its calls returns any more.
struct Process {
  std::string name;
  bool killed = false;
  Micros paused_until{0};   // SIGSTOP: nothing goes on before
  Micros cut_off_until{0};  // it reaches no broker before
  int strikes_in = 0;       // > 0: so many calls about runs from now `strike` hits it, in the middle of one
  std::function<void()> strike;
};

class Faults {
 public:
  Faults(Surroundings& around, std::shared_ptr<Process> process) : around_(around), process_(std::move(process)) {}

  [[nodiscard]] SimTime& time() const { return around_.time; }
  [[nodiscard]] FaultSource& source() const { return around_.source; }
  [[nodiscard]] Checker& checker() const { return around_.checker; }
  [[nodiscard]] Doorbells& doorbells() const { return around_.doorbells; }
  [[nodiscard]] const Process& process() const { return *process_; }

  [[nodiscard]] bool happens(int percent, Fault fault, const Passages& about) const {
    if (!around_.source.happens(percent)) return false;
    around_.coverage.met(fault, about);
    return true;
  }

  // The queue cannot be reached: by nobody, or not from here.
  [[nodiscard]] bool is_unreachable(const Passages& about = {}) const {
    const auto now = around_.time.elapsed();
    const bool cut_off = now < process_->cut_off_until;
    if (!cut_off && now >= around_.source.broker_away_until) return false;
    around_.coverage.met(cut_off ? Fault::cut_off : Fault::broker_away, about);
    return true;
  }

  // One store call, with a latency and whatever goes wrong around it. `about`: the passages that it would make.
  template <class T>
  Async<T> store_call(std::function<Async<T>()> call, Passages about) {
    auto& rates = around_.source.rates;
    co_await step(std::chrono::microseconds{100}, std::chrono::milliseconds{8}, about);
    const bool away = around_.time.elapsed() < around_.source.store_away_until;
    if (away) around_.coverage.met(Fault::store_away, about);
    if (away && !around_.source.happens(3)) co_return fail(ErrorKind::Database, "simulated: the store is away");
    if (happens(rates.store_refused, Fault::store_refused, about))
      co_return fail(ErrorKind::Database, "simulated: the store refused");
    auto result = co_await call();
    const auto made = co_await around_.checker.observe();
    if (away) co_return fail(ErrorKind::Database, "simulated: the store went away before it answered");
    co_await step(std::chrono::microseconds{10}, std::chrono::milliseconds{2}, made);
    if (happens(rates.store_answer_lost, Fault::store_answer_lost, made))
      co_return fail(ErrorKind::Database, "simulated: the answer got lost");
    co_return result;
  }

  // Some time passes in the middle of a call that is about these passages; a killed process stays there for ever.
  asio::awaitable<void> step(Micros low, Micros high, const Passages& about = {}) {
    const int forward = around_.source.set_forward, backward = around_.source.set_backward;
    co_await around_.time.sleep(around_.source.between(low, high));
    if (process_->strikes_in > 0 && !about.empty() && --process_->strikes_in == 0) process_->strike();
    if (around_.source.set_forward != forward) around_.coverage.met(Fault::clock_forward, about);
    if (around_.source.set_backward != backward) around_.coverage.met(Fault::clock_backward, about);
    if (around_.time.elapsed() < process_->paused_until) around_.coverage.met(Fault::paused, about);
    while (around_.time.elapsed() < process_->paused_until)
      co_await around_.time.sleep(process_->paused_until - around_.time.elapsed());
    if (!process_->killed) co_return;
    around_.coverage.met(Fault::killed, about);
    co_await around_.time.hang();
  }

 private:
  Surroundings& around_;
  std::shared_ptr<Process> process_;
};

[[nodiscard]] std::unique_ptr<application::Store> faulty_store(application::Store& real, const Faults& faults);

// A connection to the broker. What a process has taken and not acknowledged when it loses the connection is delivered
// again, to whoever asks.
class FaultyConsumer;
class FaultyQueue final : public application::MessageQueue {
 public:
  FaultyQueue(application::MessageQueue& real, Faults faults) : real_(real), faults_(std::move(faults)) {}
  ~FaultyQueue() override;

  Async<void> publish(application::QueueName to, std::vector<application::Message> batch) override;
  std::unique_ptr<application::QueueConsumer> consume(application::QueueName from, std::size_t prefetch) override;
  Async<std::size_t> depth(application::QueueName of) override { return real_.depth(std::move(of)); }
  Async<void> remove(application::QueueName name) override;

  void lose_connection(bool for_good);

 private:
  asio::awaitable<void> send(const application::QueueName& to, const application::Message& message);

  application::MessageQueue& real_;
  Faults faults_;
  std::vector<FaultyConsumer*> consumers_;
};

}  // namespace scheduler::simulation
