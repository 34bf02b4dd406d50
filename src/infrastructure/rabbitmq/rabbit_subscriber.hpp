// infrastructure/rabbitmq/rabbit_subscriber.hpp — takes messages from queues, and asks and deletes queues.
//
// Always true:
//   - each subscription has a channel of its own, so a fault of one queue ends no other;
//   - a tag is good until the channel or the connection ends; the broker then delivers again what was out, and what is
//     said about old tags is ignored;
//   - what cannot be read is rejected once: the broker moves it to the dead letters.
#pragma once

#include "infrastructure/rabbitmq/rabbit_call.hpp"
#include "infrastructure/rabbitmq/rabbit_names.hpp"
#include "infrastructure/rabbitmq/rabbit_thread.hpp"

#include <cstdint>
#include <map>
#include <set>

namespace scheduler::infrastructure {

struct RabbitTag {
  std::uint64_t channel_life = 0;  // no two channels share one
  std::uint64_t number = 0;
};

struct RabbitDelivery {
  RabbitTag tag;
  bool redelivered = false;
  std::shared_ptr<const application::Message> message;
};

// Who subscribed. Everything is told on the loop.
class RabbitListener {
 public:
  virtual ~RabbitListener() = default;
  virtual void delivered(RabbitDelivery delivery) = 0;
  virtual void subscribed() = 0;
  // No subscription, or no longer; what was delivered comes again.
  virtual void ended(SchedulerError why) = 0;
};

class RabbitSubscriber final : private RabbitThread {
 public:
  using Id = std::uint64_t;

  RabbitSubscriber(QueuePorts ports, Settings settings, RabbitNames names);
  ~RabbitSubscriber() override;

  // --- on the loop ---

  // `listener` lives until close().
  Id add(RabbitListener& listener);
  void subscribe(Id id, std::string queue, std::uint16_t prefetch);
  // Nothing more comes, and `tags` go back; other tags stay good.
  void unsubscribe(Id id, std::vector<RabbitTag> tags);
  // Everything that is out goes back.
  void close(Id id);
  void acknowledge(Id id, std::vector<RabbitTag> tags);
  void give_back(Id id, std::vector<RabbitTag> tags);
  // How many messages wait in it.
  Async<std::size_t> waiting(std::string queue);
  Async<void> remove(std::string queue);

 private:
  struct Subscription {
    Id id = 0;
    std::string queue;
    std::uint64_t life = 0;
    bool consuming = false;
    std::set<std::uint64_t> out;
    // The delivery that is being read:
    std::uint64_t number = 0, bytes_left = 0;
    bool redelivered = false;
    std::string body;
  };

  SchedulerResult<void> connected() override;
  void on_frame(const amqp_frame_t_& frame) override;
  void lost(const SchedulerError& why) override;

  SchedulerResult<Channel> open_for(Id id, std::string queue, std::uint16_t prefetch);
  SchedulerResult<void> consume(Channel channel);
  void end(Channel channel, const SchedulerError& why);
  void on_method(Channel channel, Subscription& it, const amqp_frame_t_& frame);
  void complete(Channel channel, Subscription& it);
  void reject(Channel channel, const Subscription& it, std::string_view why);
  void acknowledge_now(Channel channel, std::vector<RabbitTag> tags);
  void give_back_now(Channel channel, std::vector<RabbitTag> tags);
  [[nodiscard]] std::map<Channel, Subscription>::iterator find(Id id);
  Async<std::size_t> ask(std::move_only_function<SchedulerResult<std::size_t>()> question);
  void tell(Id id, std::move_only_function<void(RabbitListener&)> event);

  struct Listeners {
    std::map<Id, RabbitListener*> by_id;
  };
  QueuePorts ports_;
  const Micros deadline_;
  const RabbitNames names_;
  std::shared_ptr<Listeners> listeners_ = std::make_shared<Listeners>();  // touched on the loop only
  Id next_id_ = 1;
  // On the thread:
  std::map<Channel, Subscription> subscriptions_;
  std::uint64_t lives_ = 0;
  Channel next_channel_ = 0;
};

}  // namespace scheduler::infrastructure
