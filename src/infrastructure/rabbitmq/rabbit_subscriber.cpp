#include "infrastructure/rabbitmq/rabbit_subscriber.hpp"

#include "core/log.hpp"
#include "infrastructure/message_codec.hpp"
#include "infrastructure/rabbitmq/amqp_text.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <amqp.h>
#include <amqp_framing.h>

namespace scheduler::infrastructure {
namespace {

using application::Counter;
using application::Message;

constexpr RabbitThread::Channel kAdmin = 1;  // for questions; the broker closes it when it refuses one
constexpr RabbitThread::Channel kFirst = 2, kLast = 2047;

std::string consumer_tag(RabbitSubscriber::Id id) { return "c" + std::to_string(id); }

}  // namespace

RabbitSubscriber::RabbitSubscriber(QueuePorts ports, Settings settings, RabbitNames names)
    : RabbitThread(settings), ports_(ports), deadline_(2 * settings.deadline), names_(std::move(names)) {
  start();
}

RabbitSubscriber::~RabbitSubscriber() { stop(); }

RabbitSubscriber::Id RabbitSubscriber::add(RabbitListener& listener) {
  listeners_->by_id.emplace(next_id_, &listener);
  return next_id_++;
}

void RabbitSubscriber::subscribe(Id id, std::string queue, std::uint16_t prefetch) {
  post([this, id, queue = std::move(queue), prefetch]() mutable {
    const auto channel = is_up() ? open_for(id, std::move(queue), prefetch) : std::unexpected(why_down());
    const auto consuming = channel ? consume(*channel) : std::unexpected(channel.error());
    if (consuming)
      tell(id, [](RabbitListener& it) { it.subscribed(); });
    else
      tell(id, [why = consuming.error()](RabbitListener& it) { it.ended(why); });
  });
}

void RabbitSubscriber::unsubscribe(Id id, std::vector<RabbitTag> tags) {
  post([this, id, tags = std::move(tags)]() mutable {
    const auto found = find(id);
    if (found == subscriptions_.end() || !is_up()) return;
    const auto channel = found->first;
    if (std::exchange(found->second.consuming, false)) {
      amqp_basic_cancel(link(), channel, to_amqp(consumer_tag(id)));
      if (const auto cancelled = check_reply(channel); !cancelled) return end(channel, cancelled.error());
    }
    give_back_now(channel, std::move(tags));
  });
}

void RabbitSubscriber::close(Id id) {
  listeners_->by_id.erase(id);
  post([this, id] {
    const auto found = find(id);
    if (found == subscriptions_.end()) return;
    const auto channel = found->first;
    subscriptions_.erase(found);
    if (!is_up()) return;
    amqp_channel_close(link(), channel, AMQP_REPLY_SUCCESS);
    (void)check_reply(channel);
  });
}

void RabbitSubscriber::acknowledge(Id id, std::vector<RabbitTag> tags) {
  post([this, id, tags = std::move(tags)]() mutable {
    if (const auto found = find(id); found != subscriptions_.end()) acknowledge_now(found->first, std::move(tags));
  });
}

void RabbitSubscriber::give_back(Id id, std::vector<RabbitTag> tags) {
  post([this, id, tags = std::move(tags)]() mutable {
    if (const auto found = find(id); found != subscriptions_.end()) give_back_now(found->first, std::move(tags));
  });
}

Async<std::size_t> RabbitSubscriber::waiting(std::string queue) {
  co_return co_await ask([this, queue = std::move(queue)]() -> SchedulerResult<std::size_t> {
    const auto* found = amqp_queue_declare(link(), kAdmin, to_amqp(queue), 1, 1, 0, 0, amqp_empty_table);
    if (found) return found->message_count;
    const auto refused = check_reply(kAdmin);
    if (refused.error().kind == ErrorKind::Unavailable) return std::unexpected(refused.error());
    CHECK(open_channel(kAdmin));
    if (refused.error().kind == ErrorKind::NotFound) return 0;
    return std::unexpected(refused.error());
  });
}

Async<void> RabbitSubscriber::remove(std::string queue) {
  CO_CHECK(ask([this, queue = std::move(queue)]() -> SchedulerResult<std::size_t> {
    if (amqp_queue_delete(link(), kAdmin, to_amqp(queue), 0, 0)) return 0;
    const auto refused = check_reply(kAdmin);
    if (refused.error().kind != ErrorKind::Unavailable) CHECK(open_channel(kAdmin));
    return std::unexpected(refused.error());
  }));
  co_return SchedulerResult<void>{};
}

Async<std::size_t> RabbitSubscriber::ask(std::move_only_function<SchedulerResult<std::size_t>()> question) {
  co_return co_await ask_rabbit<std::size_t>(ports_, deadline_, [&](RabbitAnswer<std::size_t> answer) {
    post([this, question = std::move(question), answer = std::move(answer)]() mutable {
      answer.give(is_up() ? question() : std::unexpected(why_down()));
    });
  });
}

// --- on the thread ---

SchedulerResult<void> RabbitSubscriber::connected() {
  CHECK(open_channel(kAdmin));
  names_.declare_dead_exchange(link(), kAdmin);
  CHECK(check_reply(kAdmin));
  names_.declare_dead_queue(link(), kAdmin);
  CHECK(check_reply(kAdmin));
  names_.bind_dead_queue(link(), kAdmin);
  return check_reply(kAdmin);
}

std::map<RabbitThread::Channel, RabbitSubscriber::Subscription>::iterator RabbitSubscriber::find(Id id) {
  return std::ranges::find_if(subscriptions_, [&](const auto& it) { return it.second.id == id; });
}

SchedulerResult<RabbitThread::Channel> RabbitSubscriber::open_for(Id id, std::string queue, std::uint16_t prefetch) {
  if (const auto found = find(id); found != subscriptions_.end()) return found->first;
  if (subscriptions_.size() > kLast - kFirst)
    return fail(ErrorKind::MessageQueue, at("there are more consumers than one connection carries"));
  // Numbers go round: frames of a channel that was closed just now may still wait to be read.
  do next_channel_ = next_channel_ < kFirst || next_channel_ == kLast ? kFirst : next_channel_ + 1;
  while (subscriptions_.contains(next_channel_));
  const auto channel = next_channel_;
  CHECK(open_channel(channel));
  amqp_basic_qos(link(), channel, 0, prefetch, 0);
  CHECK(check_reply(channel));
  auto& made = subscriptions_[channel];
  made.id = id;
  made.queue = std::move(queue);
  made.life = ++lives_;
  return channel;
}

// Also where the queue is gone meanwhile: it comes into being when it is named.
SchedulerResult<void> RabbitSubscriber::consume(Channel channel) {
  auto& it = subscriptions_.at(channel);
  if (it.consuming) return {};
  names_.declare(link(), channel, it.queue);
  auto done = check_reply(channel);
  if (done) {
    amqp_basic_consume(link(), channel, to_amqp(it.queue), to_amqp(consumer_tag(it.id)), 0, 0, 0, amqp_empty_table);
    done = check_reply(channel);
  }
  if (done)
    it.consuming = true;
  else
    subscriptions_.erase(channel);
  return done;
}

void RabbitSubscriber::end(Channel channel, const SchedulerError& why) {
  const auto found = subscriptions_.find(channel);
  if (found == subscriptions_.end()) return;
  tell(found->second.id, [why](RabbitListener& it) { it.ended(why); });
  subscriptions_.erase(found);
}

void RabbitSubscriber::lost(const SchedulerError& why) {
  while (!subscriptions_.empty()) end(subscriptions_.begin()->first, why);
}

void RabbitSubscriber::on_frame(const amqp_frame_t& frame) {
  if (frame.frame_type == AMQP_FRAME_METHOD && frame.payload.method.id == AMQP_CHANNEL_CLOSE_METHOD) {
    const auto why = take_channel_close(frame.channel, frame.payload.method.decoded);
    if (frame.channel == kAdmin) return drop(why.message);
    return end(frame.channel, why);
  }
  const auto found = subscriptions_.find(frame.channel);
  if (found == subscriptions_.end()) return;
  auto& it = found->second;
  if (frame.frame_type == AMQP_FRAME_METHOD) {
    on_method(frame.channel, it, frame);
  } else if (frame.frame_type == AMQP_FRAME_HEADER) {
    it.bytes_left = frame.payload.properties.body_size;
    it.body.clear();
    it.body.reserve(std::min<std::uint64_t>(it.bytes_left, kEnvelopeBytesMax));
    if (it.bytes_left == 0) complete(frame.channel, it);
  } else if (frame.frame_type == AMQP_FRAME_BODY) {
    const auto& part = frame.payload.body_fragment;
    it.bytes_left -= std::min<std::uint64_t>(it.bytes_left, part.len);
    if (it.body.size() <= kEnvelopeBytesMax) it.body.append(from_amqp(part));
    if (it.bytes_left == 0) complete(frame.channel, it);
  }
}

void RabbitSubscriber::on_method(Channel channel, Subscription& it, const amqp_frame_t& frame) {
  if (frame.payload.method.id == AMQP_BASIC_DELIVER_METHOD) {
    const auto* delivery = static_cast<const amqp_basic_deliver_t*>(frame.payload.method.decoded);
    it.number = delivery->delivery_tag;
    it.redelivered = delivery->redelivered != 0;
  } else if (frame.payload.method.id == AMQP_BASIC_CANCEL_METHOD) {  // the queue was deleted
    it.consuming = false;
    const auto id = it.id;
    const auto again = consume(channel);
    if (!again) tell(id, [why = again.error()](RabbitListener& listener) { listener.ended(why); });
  }
}

void RabbitSubscriber::complete(Channel channel, Subscription& it) {
  auto read = decode_message(it.body);
  it.body = {};
  if (!read) return reject(channel, it, read.error().message);
  it.out.insert(it.number);
  RabbitDelivery delivery{.tag = {it.life, it.number},
                          .redelivered = it.redelivered,
                          .message = std::make_shared<const Message>(std::move(read->message))};
  tell(it.id,
       [delivery = std::move(delivery)](RabbitListener& listener) mutable { listener.delivered(std::move(delivery)); });
}

void RabbitSubscriber::reject(Channel channel, const Subscription& it, std::string_view why) {
  if (!sent(amqp_basic_reject(link(), channel, it.number, 0))) return;
  log::error("set a message aside that cannot be read",
             {{"queue", it.queue}, {"kept in", names_.dead()}, {"why", why}});
  post_to_loop(ports_.io, [&metrics = ports_.metrics] { metrics.add(Counter::messages_dropped); });
}

// One word for as many as possible: all that are out up to some tag.
void RabbitSubscriber::acknowledge_now(Channel channel, std::vector<RabbitTag> tags) {
  auto& it = subscriptions_.at(channel);
  std::set<std::uint64_t> done;
  for (const auto& tag : tags)
    if (tag.channel_life == it.life && it.out.contains(tag.number)) done.insert(tag.number);
  std::uint64_t up_to = 0;
  while (!it.out.empty() && done.erase(*it.out.begin()) > 0) {
    up_to = *it.out.begin();
    it.out.erase(it.out.begin());
  }
  if (up_to != 0 && !sent(amqp_basic_ack(link(), channel, up_to, 1))) return;
  for (const auto number : done) {
    it.out.erase(number);
    if (!sent(amqp_basic_ack(link(), channel, number, 0))) return;
  }
}

void RabbitSubscriber::give_back_now(Channel channel, std::vector<RabbitTag> tags) {
  auto& it = subscriptions_.at(channel);
  for (const auto& tag : tags)
    if (tag.channel_life == it.life && it.out.erase(tag.number) > 0 &&
        !sent(amqp_basic_nack(link(), channel, tag.number, 0, 1)))
      return;
}

void RabbitSubscriber::tell(Id id, std::move_only_function<void(RabbitListener&)> event) {
  post_to_loop(ports_.io, [listeners = listeners_, id, event = std::move(event)]() mutable {
    if (const auto found = listeners->by_id.find(id); found != listeners->by_id.end()) event(*found->second);
  });
}

}  // namespace scheduler::infrastructure
