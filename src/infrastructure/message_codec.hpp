// infrastructure/message_codec.hpp — a Message as the text that travels through a broker, and back.
//
// One JSON object, the envelope:
//   {"version":1,"id":"…","type":"status_update","timestamp":"2026-01-01T00:00:00Z","correlation_id":"…",
//    "traceparent":"…","tracestate":"…","items":[…]}
//
// Always true:
//   - members of an item are named like the members of its struct in application/messages.hpp; durations and instants
//     are whole numbers in the unit of their type (instants: microseconds since 1970, UTC);
//   - within a version members are only ever added: unknown ones are ignored, absent ones keep their default unless
//   they
//     are required. Any other change is a new version, and a reader refuses a version that it does not know;
//   - decoding never throws and never guesses: any text is a message or an error with a sentence.
#pragma once

#include "application/messages.hpp"
#include "errors/result.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace scheduler::infrastructure {

inline constexpr int kEnvelopeVersion = 1;
inline constexpr std::size_t kEnvelopeBytesTarget = 4 << 20;  // a message that is larger travels in parts
inline constexpr std::size_t kEnvelopeBytesMax = 16 << 20;    // more than this is not read

struct EnvelopeHeader {
  std::string id;  // the same when the same message is published again
  TimePoint sent_at{};
  std::string correlation_id;           // empty: none
  std::string traceparent, tracestate;  // W3C trace context; empty: none
  bool operator==(const EnvelopeHeader&) const = default;
};

struct Envelope {
  EnvelopeHeader header;
  application::Message message;
};

// One text. Several, with ids of their own, where one would be larger than `bytes_target` and the items can be parted:
// every item stands for itself.
[[nodiscard]] std::vector<std::string> encode_message(const application::Message& message, const EnvelopeHeader& header,
                                                      std::size_t bytes_target = kEnvelopeBytesTarget);

// Error: Validation, with what is wrong and where. Bytes that are no UTF-8 are kept: a process may have said anything.
[[nodiscard]] SchedulerResult<Envelope> decode_message(std::string_view text);

}  // namespace scheduler::infrastructure
