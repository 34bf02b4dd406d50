#include "simulation/faults.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace scheduler::simulation {

using namespace application;
using namespace std::chrono_literals;

namespace {

asio::awaitable<void> publish_later(MessageQueue& real, SimTime& time, Micros delay, QueueName to, Message message) {
  co_await time.sleep(delay);
  (void)co_await real.publish_message(std::move(to), std::move(message));
}

}  // namespace

class FaultyConsumer final : public QueueConsumer {
 public:
  FaultyConsumer(std::unique_ptr<QueueConsumer> real, Faults faults, std::set<FaultyConsumer*>& all)
      : real_(std::move(real)), faults_(std::move(faults)), all_(all) {
    all_.insert(this);
  }
  ~FaultyConsumer() override { all_.erase(this); }

  // Looks again and again instead of waiting inside the queue, so that a killed process can let go of its messages.
  Async<std::vector<Delivery>> receive(std::size_t max, Micros wait_max) override {
    const auto deadline = faults_.time().elapsed() + wait_max;
    for (;;) {
      co_await faults_.step(100us, 5ms);
      if (faults_.broker_is_away()) co_return fail(ErrorKind::Unavailable, "simulated: the broker is away");
      CO_TRY(auto deliveries, real_->receive(max, Micros{0}));
      const bool over = faults_.time().elapsed() >= deadline || std::exchange(interrupted_, false);
      if (!deliveries.empty() || over) co_return deliveries;
      co_await faults_.step(40ms, 90ms);
    }
  }
  void interrupt() override { interrupted_ = true; }
  Async<void> acknowledge(std::vector<DeliveryTag> done) override {
    co_await faults_.step(10us, 1ms);
    if (faults_.source().happens(faults_.source().rates.publish_error)) {
      ++faults_.source().met["ack_lost"];
      co_return co_await real_->give_back(std::move(done));  // the broker never heard of it
    }
    co_return co_await real_->acknowledge(std::move(done));
  }
  Async<void> give_back(std::vector<DeliveryTag> tags) override { return real_->give_back(std::move(tags)); }

  void release() { real_.reset(); }

 private:
  std::unique_ptr<QueueConsumer> real_;
  Faults faults_;
  std::set<FaultyConsumer*>& all_;
  bool interrupted_ = false;
};

class FaultyQueue final : public MessageQueue {
 public:
  FaultyQueue(MessageQueue& real, Faults faults) : real_(real), faults_(std::move(faults)) {}

  Async<void> publish(QueueName to, std::vector<Message> batch) override {
    auto& source = faults_.source();
    co_await faults_.step(50us, 3ms);
    if (faults_.broker_is_away()) co_return fail(ErrorKind::Unavailable, "simulated: the broker is away");
    const bool refused = source.happens(source.rates.publish_error);
    const bool taken = !refused || source.happens(50);
    if (refused) ++source.met["publish_error"];
    for (auto& message : batch)
      if (taken) co_await send(to, message);
    if (refused) co_return fail(ErrorKind::MessageQueue, "simulated: the queue refused");
    co_return SchedulerResult<void>{};
  }
  std::unique_ptr<QueueConsumer> consume(QueueName from, std::size_t prefetch) override {
    return std::make_unique<FaultyConsumer>(real_.consume(std::move(from), prefetch), faults_, consumers_);
  }
  Async<std::size_t> depth(QueueName of) override { return real_.depth(std::move(of)); }
  Async<void> remove(QueueName name) override {
    co_await faults_.step(10us, 1ms);
    co_return co_await real_.remove(std::move(name));
  }

  void release() {
    for (auto* consumer : consumers_) consumer->release();
  }

 private:
  asio::awaitable<void> send(const QueueName& to, const Message& message) {
    auto& source = faults_.source();
    if (source.happens(source.rates.message_lost)) {
      ++source.met["message_lost"];
      co_return;
    }
    const int copies = source.happens(source.rates.message_doubled) ? 2 : 1;
    if (copies == 2) ++source.met["message_doubled"];
    for (int i = 0; i < copies; ++i) {
      const bool late = source.happens(source.rates.message_delayed);
      if (late) ++source.met["message_delayed"];
      const auto delay = late ? source.between(100ms, 20s) : source.between(10us, 2ms);
      asio::co_spawn(faults_.time().io(), publish_later(real_, faults_.time(), delay, to, message), asio::detached);
    }
  }

  MessageQueue& real_;
  Faults faults_;
  std::set<FaultyConsumer*> consumers_;
};

std::unique_ptr<MessageQueue> faulty_queue(MessageQueue& real, Faults faults) {
  return std::make_unique<FaultyQueue>(real, std::move(faults));
}

void release_consumers(MessageQueue& faulty) { static_cast<FaultyQueue&>(faulty).release(); }

}  // namespace scheduler::simulation
