// application/ports/message_queue.hpp — work and news between processes.
//
// Every adapter promises:
//   - at least once, in no promised order: a message is delivered again until it was acknowledged;
//   - publish() returns after the queue has taken responsibility for the whole batch; on an error any part of it may
//     have been taken, and repeating it is safe because every effect is guarded by a token;
//   - one message goes to one consumer of its queue at a time;
//   - memory is bounded: a queue that is full refuses with MessageQueue. Unavailable means that the queue is away.
#pragma once

#include "application/messages.hpp"
#include "core/async.hpp"
#include "core/circuit.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace scheduler::application {

struct QueueName {
  std::string value;
  auto operator<=>(const QueueName&) const = default;
};

// The queues of the system; each worker incarnation has one of its own, for work and control.
[[nodiscard]] inline QueueName worker_queue(IncarnationId id) { return {"worker." + std::to_string(id.value)}; }
inline const QueueName kStatusQueue{"status"};
inline const QueueName kHeartbeatQueue{"heartbeats"};
inline const QueueName kLogQueue{"logs"};
inline const QueueName kNudgeQueue{"nudge"};

using DeliveryTag = std::uint64_t;  // unique within its consumer

struct Delivery {
  DeliveryTag tag = 0;
  bool redelivered = false;                // it may have been handled before
  std::shared_ptr<const Message> message;  // never null; shared with the queue, which keeps it until acknowledged
};

// Takes messages from one queue. Closing it (the destructor) gives back what was not acknowledged.
class QueueConsumer {
 public:
  virtual ~QueueConsumer() = default;
  // At least one message, at most `max`; empty when nothing came within `wait_max`. Unavailable while the queue is.
  virtual Async<std::vector<Delivery>> receive(std::size_t max, Micros wait_max) = 0;
  // Ends a receive() in progress at once, with nothing: its owner is stopping.
  virtual void interrupt() = 0;
  // After the effect is committed, never before. Unknown tags are ignored.
  virtual Async<void> acknowledge(std::vector<DeliveryTag> done) = 0;
  // Gives them back: delivered again, here or elsewhere.
  virtual Async<void> give_back(std::vector<DeliveryTag> tags) = 0;
};

class MessageQueue {
 public:
  virtual ~MessageQueue() = default;
  virtual Async<void> publish(QueueName to, std::vector<Message> batch) = 0;
  // At most `prefetch` messages are out and not acknowledged at any time. The queue comes into being when first named.
  [[nodiscard]] virtual std::unique_ptr<QueueConsumer> consume(QueueName from, std::size_t prefetch) = 0;
  // Messages waiting or out, for people.
  virtual Async<std::size_t> depth(QueueName of) = 0;
  // Drops the queue and what is in it: the worker's incarnation is dead. Publishing to it again makes a new one.
  virtual Async<void> remove(QueueName name) = 0;

  // Whether messages are taken at this moment, asked by sending a nudge, which harms nobody. Unavailable, Timeout: the
  // broker is away, or takes nothing. Config: it does not let us in, and will not before settings or its accounts are
  // corrected.
  [[nodiscard]] virtual Async<void> check() { return publish_message(kNudgeQueue, Message{Nudge{}}); }
  // How it stands with the way to the broker; nothing: there is none, the queue is part of this process. Unless it is
  // closed, publish() fails at once.
  [[nodiscard]] virtual std::optional<Circuit::Report> circuit() const { return std::nullopt; }

  Async<void> publish_message(QueueName to, Message message) {
    std::vector<Message> batch;
    batch.push_back(std::move(message));
    co_return co_await publish(std::move(to), std::move(batch));
  }
};

}  // namespace scheduler::application
