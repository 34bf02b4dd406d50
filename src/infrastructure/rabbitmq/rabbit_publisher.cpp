#include "infrastructure/rabbitmq/rabbit_publisher.hpp"

#include "core/log.hpp"
#include "infrastructure/rabbitmq/amqp_text.hpp"

#include <fmt/format.h>

#include <amqp.h>
#include <amqp_framing.h>
#include <charconv>

namespace scheduler::infrastructure {
namespace {

constexpr RabbitThread::Channel kChannel = 1;
constexpr int kTriesMax = 3;
constexpr std::uint8_t kPersistent = 2;

const SchedulerError kBlocked{ErrorKind::Unavailable,
                              "RabbitMQ takes no messages: it is short of memory or disk (its alarm is on)"};

}  // namespace

RabbitPublisher::RabbitPublisher(QueuePorts ports, Settings settings, RabbitNames names)
    : RabbitThread(settings), ports_(ports), deadline_(2 * settings.deadline), names_(std::move(names)) {
  start();
}

RabbitPublisher::~RabbitPublisher() { stop(); }

Async<void> RabbitPublisher::publish(std::string queue, std::vector<std::string> texts) {
  if (texts.empty()) co_return SchedulerResult<void>{};
  std::size_t size = 0;
  for (const auto& text : texts) size += text.size();
  if (bytes_ + size > kBytesMax && bytes_ > 0)
    co_return fail(ErrorKind::MessageQueue, at("it takes messages more slowly than they are sent"));
  bytes_ += size;
  co_return co_await ask_rabbit<void>(ports_, deadline_, [&](RabbitAnswer<void> answer) {
    auto batch = std::make_shared<Batch>(std::move(queue), std::move(answer), texts.size());
    post([this, texts = std::move(texts), batch = std::move(batch)]() mutable {
      accept(std::move(batch), std::move(texts));
    });
  });
}

Async<void> RabbitPublisher::forget(std::string queue) {
  co_return co_await ask_rabbit<void>(ports_, deadline_, [&](RabbitAnswer<void> answer) {
    post([this, queue = std::move(queue), answer = std::move(answer)]() mutable {
      declared_.erase(queue);
      answer.give({});
    });
  });
}

// --- on the thread ---

SchedulerResult<void> RabbitPublisher::connected() {
  published_ = 0;
  blocked_ = false;
  CHECK(open_channel(kChannel));
  amqp_confirm_select(link(), kChannel);
  return check_reply(kChannel);
}

void RabbitPublisher::accept(std::shared_ptr<Batch> batch, std::vector<std::string> texts) {
  for (auto& text : texts) waiting_.push_back({batch, std::move(text)});
  if (!is_up()) refuse_waiting(why_down());
}

void RabbitPublisher::turn() {
  if (blocked_) return refuse_waiting(kBlocked);
  while (!waiting_.empty() && under_way_.size() < kWindow && is_up()) {
    auto text = std::move(waiting_.front());
    waiting_.pop_front();
    if (text.batch->failed || !text.batch->answer.is_wanted())
      drop_bytes(text);
    else
      send(std::move(text));
  }
}

void RabbitPublisher::send(Text text) {
  const auto& queue = text.batch->queue;
  if (!declared_.contains(queue)) {
    names_.declare(link(), kChannel, queue);
    if (const auto made = check_reply(kChannel); !made) {
      refuse(*text.batch, made.error());
      drop_bytes(text);
      if (is_up()) drop(made.error().message);  // the broker has closed our only channel
      return;
    }
    declared_.insert(queue);
  }
  const auto id = std::to_string(++published_);
  amqp_basic_properties_t properties{};
  properties._flags = AMQP_BASIC_DELIVERY_MODE_FLAG | AMQP_BASIC_MESSAGE_ID_FLAG | AMQP_BASIC_CONTENT_TYPE_FLAG;
  properties.delivery_mode = kPersistent;
  properties.message_id = to_amqp(id);
  properties.content_type = to_amqp("application/json");
  // Mandatory: a queue that is gone sends the text back rather than losing it.
  ++text.tries;
  const auto& kept = under_way_.emplace(published_, std::move(text)).first->second;
  (void)sent(amqp_basic_publish(link(), kChannel, amqp_empty_bytes, to_amqp(kept.batch->queue), 1, 0, &properties,
                                to_amqp(kept.body)));
}

void RabbitPublisher::on_frame(const amqp_frame_t& frame) {
  if (frame.frame_type == AMQP_FRAME_HEADER) {  // of a text that was returned; nothing else comes to us
    const auto* properties = static_cast<const amqp_basic_properties_t*>(frame.payload.properties.decoded);
    const auto id = from_amqp(properties->message_id);
    std::uint64_t number = 0;
    std::from_chars(id.data(), id.data() + id.size(), number);
    returned_.insert(number);
    return;
  }
  if (frame.frame_type != AMQP_FRAME_METHOD) return;
  const auto* method = frame.payload.method.decoded;
  switch (frame.payload.method.id) {
    case AMQP_BASIC_ACK_METHOD: {
      const auto* ack = static_cast<const amqp_basic_ack_t*>(method);
      return settle(ack->delivery_tag, ack->multiple, true);
    }
    case AMQP_BASIC_NACK_METHOD: {
      const auto* nack = static_cast<const amqp_basic_nack_t*>(method);
      return settle(nack->delivery_tag, nack->multiple, false);
    }
    case AMQP_CONNECTION_BLOCKED_METHOD:
      blocked_ = true;
      log::warning("RabbitMQ takes no messages: its alarm is on");
      return;
    case AMQP_CONNECTION_UNBLOCKED_METHOD:
      blocked_ = false;
      log::info("RabbitMQ takes messages again");
      return;
    case AMQP_CHANNEL_CLOSE_METHOD:
      drop(take_channel_close(frame.channel, method).message);
      return;
    default:
      return;
  }
}

void RabbitPublisher::settle(std::uint64_t number, bool multiple, bool taken) {
  auto it = multiple ? under_way_.begin() : under_way_.find(number);
  while (it != under_way_.end() && it->first <= number) {
    auto text = std::move(it->second);
    const bool returned = returned_.erase(it->first) > 0;
    it = under_way_.erase(it);
    settle_one(std::move(text), returned, taken);
  }
}

void RabbitPublisher::settle_one(Text text, bool returned, bool taken) {
  auto& batch = *text.batch;
  if (returned) declared_.erase(batch.queue);
  if (returned && text.tries < kTriesMax) return waiting_.push_front(std::move(text));
  drop_bytes(text);
  if (returned)
    refuse(batch, {ErrorKind::MessageQueue, at(fmt::format("queue '{}' is deleted again and again", batch.queue))});
  else if (!taken)
    refuse(batch, {ErrorKind::MessageQueue,
                   fmt::format("queue '{}' is full ({} messages are the most), or the broker failed; its consumer is "
                               "slow or gone",
                               batch.queue, names_.depth_max)});
  else if (--batch.open == 0)
    batch.answer.give({});
}

void RabbitPublisher::refuse(Batch& batch, SchedulerError why) {
  batch.failed = true;
  batch.answer.give(std::unexpected(std::move(why)));
}

void RabbitPublisher::refuse_waiting(const SchedulerError& why) {
  for (auto& text : waiting_) {
    refuse(*text.batch, why);
    drop_bytes(text);
  }
  waiting_.clear();
}

void RabbitPublisher::lost(const SchedulerError& why) {
  for (auto& [number, text] : under_way_) {
    refuse(*text.batch, why);
    drop_bytes(text);
  }
  under_way_.clear();
  returned_.clear();
  declared_.clear();
  refuse_waiting(why);
}

}  // namespace scheduler::infrastructure
