// What comes from a broker: any text is a message or an error with a sentence, and a message is the same after another
// journey, whole or in parts.
#include "core/utf8.hpp"
#include "fuzz/fuzz.hpp"
#include "infrastructure/message_codec.hpp"

namespace scheduler::fuzz {
namespace {

using infrastructure::decode_message;
using infrastructure::encode_message;
using infrastructure::Envelope;

std::size_t items_in(const application::Payload& payload) {
  return std::visit(
      [](const auto& it) -> std::size_t {
        if constexpr (requires { it.size(); })
          return it.size();
        else
          return 1;
      },
      payload);
}

void check_parts(const Envelope& envelope, std::string_view whole) {
  constexpr std::size_t kSmall = 300;
  std::size_t items = 0;
  for (const auto& part : encode_message(envelope.message, envelope.header, kSmall)) {
    const auto read = decode_message(part);
    MUST(read, read.error().message);
    MUST(read->message.payload.index() == envelope.message.payload.index(), part);
    items += items_in(read->message.payload);
  }
  MUST(items == items_in(envelope.message.payload), whole);
}

}  // namespace
}  // namespace scheduler::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace scheduler;
  using namespace scheduler::fuzz;
  const auto text = as_text(data, size);
  const auto envelope = decode_message(text);
  if (!envelope) {
    MUST(envelope.error().kind == ErrorKind::Validation && !envelope.error().message.empty(), envelope.error().message);
    return 0;
  }
  const auto once = encode_message(envelope->message, envelope->header);
  MUST(once.size() == 1, text);
  const auto again = decode_message(once[0]);
  MUST(again, again.error().message + "\n" + once[0]);
  MUST(again->header == envelope->header, once[0]);
  MUST(encode_message(again->message, again->header) == once, once[0]);
  check_parts(*envelope, once[0]);
  return 0;
}
