#include "infrastructure/rabbitmq/rabbitmq_message_queue.hpp"

#include "infrastructure/message_codec.hpp"
#include "infrastructure/rabbitmq/rabbit_publisher.hpp"
#include "infrastructure/rabbitmq/rabbit_subscriber.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <limits>
#include <map>
#include <set>

namespace scheduler::infrastructure {

using namespace application;

namespace {

constexpr Micros kIdle = std::chrono::milliseconds{200};  // after this a consumer is busy with something else

}  // namespace

struct RabbitMqMessageQueue::Core {
  Core(QueuePorts p, const Settings& s)
      : ports(p),
        names(s.names),
        instance(fmt::format("{}-{:016x}", s.server.name, ports.random.next())),
        publisher(ports, s.server, s.names),
        subscriber(ports, s.server, s.names) {}

  QueuePorts ports;
  RabbitNames names;
  std::string instance;
  std::uint64_t messages = 0;
  std::set<const Consumer*> consumers;
  RabbitPublisher publisher;
  RabbitSubscriber subscriber;
};

class RabbitMqMessageQueue::Consumer final : public QueueConsumer, private RabbitListener {
 public:
  Consumer(Core& core, QueueName queue, std::uint16_t prefetch)
      : core_(core),
        queue_(std::move(queue)),
        prefetch_(prefetch),
        wake_(core_.ports.timer.wake_signal()),
        id_(core_.subscriber.add(*this)) {
    core_.consumers.insert(this);
    *self_ = this;
  }
  ~Consumer() override {
    *self_ = nullptr;
    core_.consumers.erase(this);
    core_.subscriber.close(id_);
  }

  [[nodiscard]] const QueueName& queue() const { return queue_; }
  [[nodiscard]] std::size_t held() const { return ready_.size() + out_.size(); }

  Async<std::vector<Delivery>> receive(std::size_t max, Micros wait_max) override {
    const auto& clock = core_.ports.clock;
    const auto deadline = clock.elapsed() + wait_max;
    interrupted_ = false;
    receiving_ = true;
    ++receives_;
    while (ready_.empty() && !interrupted_ && !fault_) {
      const auto left = deadline - clock.elapsed();
      if (state_ == State::none) {
        state_ = State::asked;
        core_.subscriber.subscribe(id_, core_.names.queue(queue_), prefetch_);
      }
      if (left <= Micros{0} && state_ == State::subscribed) break;
      co_await wake_->wait(state_ == State::asked ? std::chrono::hours{1} : left);  // an answer comes in any case
    }
    receiving_ = false;
    if (!std::exchange(watched_, true)) spawn(core_.ports.io, "rabbitmq idle consumer", watch(self_));
    if (ready_.empty() && fault_) co_return std::unexpected(*std::exchange(fault_, std::nullopt));
    co_return hand_out(max);
  }

  void interrupt() override {
    interrupted_ = true;
    wake_->notify();
  }

  Async<void> acknowledge(std::vector<DeliveryTag> done) override {
    core_.subscriber.acknowledge(id_, take_out(done));
    co_return SchedulerResult<void>{};
  }

  Async<void> give_back(std::vector<DeliveryTag> tags) override {
    auto back = take_out(tags);
    if (receiving_)
      core_.subscriber.give_back(id_, std::move(back));
    else
      stop_listening(std::move(back));
    co_return SchedulerResult<void>{};
  }

 private:
  enum class State { none, asked, subscribed };

  // While nobody asks for more. `back` goes back, and so does what nobody has seen yet.
  void stop_listening(std::vector<RabbitTag> back) {
    for (const auto& it : ready_) back.push_back(it.tag);
    ready_.clear();
    state_ = State::none;
    core_.subscriber.unsubscribe(id_, std::move(back));
  }

  // Until a receive() is in progress again, whose end starts it anew, or none has begun for a while.
  static asio::awaitable<void> watch(std::shared_ptr<Consumer*> self) {
    std::uint64_t seen = 0;
    while (*self && !(*self)->receiving_ && (*self)->receives_ != seen) {
      seen = (*self)->receives_;
      co_await (*self)->core_.ports.timer.sleep(kIdle);
    }
    if (!*self) co_return;
    (*self)->watched_ = false;
    if (!(*self)->receiving_) (*self)->stop_listening({});
  }

  void delivered(RabbitDelivery delivery) override {
    if (state_ == State::none) return core_.subscriber.give_back(id_, {delivery.tag});
    ready_.push_back(std::move(delivery));
    wake_->notify();
  }
  void subscribed() override {
    if (state_ == State::asked) state_ = State::subscribed;
    wake_->notify();
  }
  void ended(SchedulerError why) override {
    ready_.clear();
    out_.clear();
    state_ = State::none;
    if (receiving_) fault_ = std::move(why);
    wake_->notify();
  }

  std::vector<Delivery> hand_out(std::size_t max) {
    std::vector<Delivery> deliveries;
    for (; !ready_.empty() && deliveries.size() < max; ready_.pop_front()) {
      auto& next = ready_.front();
      out_.emplace(next_tag_, next.tag);
      deliveries.push_back({next_tag_++, next.redelivered, std::move(next.message)});
    }
    return deliveries;
  }

  std::vector<RabbitTag> take_out(const std::vector<DeliveryTag>& tags) {
    std::vector<RabbitTag> taken;
    for (const auto tag : tags)
      if (const auto found = out_.extract(tag)) taken.push_back(found.mapped());
    return taken;
  }

  Core& core_;
  QueueName queue_;
  std::uint16_t prefetch_;
  std::unique_ptr<WakeSignal> wake_;
  RabbitSubscriber::Id id_;
  State state_ = State::none;
  bool receiving_ = false, interrupted_ = false;
  std::uint64_t receives_ = 0;
  bool watched_ = false;
  std::shared_ptr<Consumer*> self_ = std::make_shared<Consumer*>(nullptr);  // null when it is gone
  std::optional<SchedulerError> fault_;
  std::deque<RabbitDelivery> ready_;
  std::map<DeliveryTag, RabbitTag> out_;
  DeliveryTag next_tag_ = 1;
};

RabbitMqMessageQueue::RabbitMqMessageQueue(QueuePorts ports, Settings settings)
    : core_(std::make_unique<Core>(ports, settings)) {}
RabbitMqMessageQueue::~RabbitMqMessageQueue() = default;

Async<void> RabbitMqMessageQueue::publish(QueueName to, std::vector<Message> batch) {
  std::vector<std::string> texts;
  for (const auto& message : batch) {
    const EnvelopeHeader header{.id = fmt::format("{}.{}", core_->instance, ++core_->messages),
                                .sent_at = core_->ports.clock.now()};
    for (auto& text : encode_message(message, header)) texts.push_back(std::move(text));
  }
  co_return co_await core_->publisher.publish(core_->names.queue(to), std::move(texts));
}

std::unique_ptr<QueueConsumer> RabbitMqMessageQueue::consume(QueueName from, std::size_t prefetch) {
  constexpr std::size_t kMost = std::numeric_limits<std::uint16_t>::max();
  return std::make_unique<Consumer>(*core_, std::move(from), static_cast<std::uint16_t>(std::min(prefetch, kMost)));
}

Async<std::size_t> RabbitMqMessageQueue::depth(QueueName of) {
  CO_TRY(auto messages, core_->subscriber.waiting(core_->names.queue(of)));
  for (const auto* it : core_->consumers)
    if (it->queue() == of) messages += it->held();
  co_return messages;
}

Async<void> RabbitMqMessageQueue::check() {
  auto asked = co_await MessageQueue::check();
  if (!asked && core_->publisher.is_refused()) asked.error().kind = ErrorKind::Config;
  co_return asked;
}

Async<void> RabbitMqMessageQueue::remove(QueueName name) {
  const auto queue = core_->names.queue(name);
  CO_CHECK(core_->subscriber.remove(queue));
  co_return co_await core_->publisher.forget(queue);
}

}  // namespace scheduler::infrastructure
