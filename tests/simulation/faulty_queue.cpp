#include "simulation/faults.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

namespace scheduler::simulation {

using namespace application;
using namespace std::chrono_literals;

namespace {

asio::awaitable<void> deliver_later(MessageQueue& real, Faults faults, Micros delay, QueueName to, Message message) {
  co_await faults.time().sleep(delay);
  (void)co_await real.publish_message(to, std::move(message));
  faults.doorbells().ring(to);
}

}  // namespace

class FaultyConsumer final : public QueueConsumer {
 public:
  FaultyConsumer(MessageQueue& real, QueueName from, std::size_t prefetch, Faults faults,
                 std::vector<FaultyConsumer*>& all)
      : real_queue_(real),
        from_(std::move(from)),
        prefetch_(prefetch),
        real_(real.consume(from_, prefetch)),
        faults_(std::move(faults)),
        bell_(faults_.time().wake_signal()),
        all_(all) {
    all_.push_back(this);
    faults_.doorbells().add(from_, bell_.get());
  }
  ~FaultyConsumer() override {
    faults_.doorbells().remove(from_, bell_.get());
    std::erase(all_, this);
  }

  Async<std::vector<Delivery>> receive(std::size_t max, Micros wait_max) override {
    const auto deadline = faults_.time().elapsed() + wait_max;
    for (;;) {
      co_await faults_.step(100us, 5ms);
      if (faults_.is_unreachable()) co_return fail(ErrorKind::Unavailable, "simulated: the broker is away");
      CO_TRY(auto deliveries, real_->receive(max, Micros{0}));
      if (!deliveries.empty()) co_return hand_out(std::move(deliveries));
      const auto left = deadline - faults_.time().elapsed();
      if (left <= Micros{0} || std::exchange(interrupted_, false)) co_return deliveries;
      co_await bell_->wait(left);
    }
  }

  void interrupt() override {
    interrupted_ = true;
    bell_->notify();
  }

  Async<void> acknowledge(std::vector<DeliveryTag> done) override {
    const auto about = about_all(done);
    co_await faults_.step(10us, 1ms, about);
    if (faults_.is_unreachable(about)) co_return fail(ErrorKind::Unavailable, "simulated: the broker is away");
    if (faults_.happens(faults_.source().rates.ack_lost, Fault::ack_lost, about))
      co_return co_await give_back(std::move(done));  // the broker never heard of it
    for (const auto tag : done)
      if (const auto found = out_.find(tag); found != out_.end())
        faults_.checker().acknowledged(*found->second.message);
    co_return co_await real_->acknowledge(take(done));
  }

  Async<void> give_back(std::vector<DeliveryTag> tags) override {
    auto given = co_await real_->give_back(take(tags));
    faults_.doorbells().ring(from_);
    co_return given;
  }

  // The broker delivers again what was out; a new connection knows none of the old tags.
  void lose_connection(bool for_good) {
    real_.reset();
    out_.clear();
    ++connection_;
    if (!for_good) real_ = real_queue_.consume(from_, prefetch_);
    faults_.doorbells().ring(from_);
  }

 private:
  static constexpr DeliveryTag kTagsPerConnection = 1u << 30;
  struct Out {
    std::shared_ptr<const Message> message;
    Passages about;  // as it was when the message came
  };

  std::vector<Delivery> hand_out(std::vector<Delivery> deliveries) {
    for (auto& it : deliveries) {
      it.tag += connection_ * kTagsPerConnection;
      out_.emplace(it.tag, Out{it.message, faults_.checker().about(*it.message)});
    }
    return deliveries;
  }

  // Those that this connection knows, as it knows them.
  std::vector<DeliveryTag> take(const std::vector<DeliveryTag>& tags) {
    std::vector<DeliveryTag> known;
    for (const auto tag : tags)
      if (out_.erase(tag) > 0) known.push_back(tag - connection_ * kTagsPerConnection);
    return known;
  }

  Passages about_all(const std::vector<DeliveryTag>& tags) const {
    Passages all;
    for (const auto tag : tags)
      if (const auto found = out_.find(tag); found != out_.end())
        all.insert(all.end(), found->second.about.begin(), found->second.about.end());
    return all;
  }

  MessageQueue& real_queue_;
  const QueueName from_;
  const std::size_t prefetch_;
  std::unique_ptr<QueueConsumer> real_;
  Faults faults_;
  std::unique_ptr<WakeSignal> bell_;
  std::vector<FaultyConsumer*>& all_;
  std::map<DeliveryTag, Out> out_;
  DeliveryTag connection_ = 0;
  bool interrupted_ = false;
};

FaultyQueue::~FaultyQueue() = default;

Async<void> FaultyQueue::publish(QueueName to, std::vector<Message> batch) {
  auto& source = faults_.source();
  Passages about;
  for (const auto& message : batch) {
    const auto more = faults_.checker().about(message);
    about.insert(about.end(), more.begin(), more.end());
  }
  co_await faults_.step(50us, 3ms, about);
  if (faults_.is_unreachable(about)) co_return fail(ErrorKind::Unavailable, "simulated: the broker is away");
  const bool refused = faults_.happens(source.rates.publish_refused, Fault::publish_refused, about);
  const bool taken = !refused || source.happens(50);
  for (auto& message : batch)
    if (taken) co_await send(to, message);
  if (refused) co_return fail(ErrorKind::MessageQueue, "simulated: the queue refused");
  co_return SchedulerResult<void>{};
}

std::unique_ptr<QueueConsumer> FaultyQueue::consume(QueueName from, std::size_t prefetch) {
  return std::make_unique<FaultyConsumer>(real_, std::move(from), prefetch, faults_, consumers_);
}

Async<void> FaultyQueue::remove(QueueName name) {
  co_await faults_.step(10us, 1ms);
  co_return co_await real_.remove(std::move(name));
}

void FaultyQueue::lose_connection(bool for_good) {
  for (auto* consumer : consumers_) consumer->lose_connection(for_good);
}

asio::awaitable<void> FaultyQueue::send(const QueueName& to, const Message& message) {
  auto& source = faults_.source();
  const auto about = faults_.checker().about(message);
  if (faults_.happens(source.rates.message_lost, Fault::message_lost, about)) co_return;
  const int copies = faults_.happens(source.rates.message_doubled, Fault::message_doubled, about) ? 2 : 1;
  for (int i = 0; i < copies; ++i) {
    auto delay = source.between(10us, 2ms);
    if (faults_.happens(source.rates.message_overtaken, Fault::message_overtaken, about))
      delay = source.between(20ms, 500ms);
    if (faults_.happens(source.rates.message_late, Fault::message_late, about)) delay = source.between(500ms, 20s);
    asio::co_spawn(faults_.time().io(), deliver_later(real_, faults_, delay, to, message), asio::detached);
  }
}

}  // namespace scheduler::simulation
