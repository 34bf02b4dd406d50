// infrastructure/rabbitmq/rabbit_publisher.hpp — publishes and waits for the broker's confirmation.
//
// Always true:
//   - a batch is answered well only when the broker has confirmed every text of it; texts are persistent, queues
//   durable;
//   - at most kWindow texts are under way unconfirmed, and at most kBytesMax wait: more are refused as MessageQueue;
//   - while the broker says that it takes nothing (memory or disk alarm), everything is refused at once;
//   - after a loss nothing is sent again by itself: the batch is refused, and its owner decides.
// It has a connection of its own: the broker stops reading from those that publish when it is short of memory.
#pragma once

#include "infrastructure/rabbitmq/rabbit_call.hpp"
#include "infrastructure/rabbitmq/rabbit_names.hpp"
#include "infrastructure/rabbitmq/rabbit_thread.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <set>

namespace scheduler::infrastructure {

class RabbitPublisher final : private RabbitThread {
 public:
  static constexpr std::size_t kWindow = 512;
  static constexpr std::size_t kBytesMax = 64 << 20;

  RabbitPublisher(QueuePorts ports, Settings settings, RabbitNames names);
  ~RabbitPublisher() override;

  Async<void> publish(std::string queue, std::vector<std::string> texts);
  using RabbitThread::is_refused;
  // Somebody deleted the queue: the next text for it declares it again.
  Async<void> forget(std::string queue);

 private:
  struct Batch {
    std::string queue;
    RabbitAnswer<void> answer;
    std::size_t open;  // texts that were not confirmed
    bool failed = false;
  };
  struct Text {
    std::shared_ptr<Batch> batch;
    std::string body;
    int tries = 0;
  };

  SchedulerResult<void> connected() override;
  void on_frame(const amqp_frame_t_& frame) override;
  void turn() override;
  void lost(const SchedulerError& why) override;

  void accept(std::shared_ptr<Batch> batch, std::vector<std::string> texts);
  void send(Text text);
  void settle(std::uint64_t number, bool multiple, bool taken);
  void settle_one(Text text, bool returned, bool taken);
  void refuse(Batch& batch, SchedulerError why);
  void refuse_waiting(const SchedulerError& why);
  void drop_bytes(const Text& text) { bytes_ -= text.body.size(); }

  QueuePorts ports_;
  const Micros deadline_;
  const RabbitNames names_;
  std::atomic<std::size_t> bytes_ = 0;  // of texts that wait or are under way
  // On the thread:
  std::set<std::string> declared_;
  std::deque<Text> waiting_;
  std::map<std::uint64_t, Text> under_way_;  // by the broker's count
  std::set<std::uint64_t> returned_;         // came back: no such queue. The confirmation follows
  std::uint64_t published_ = 0;
  bool blocked_ = false;
};

}  // namespace scheduler::infrastructure
