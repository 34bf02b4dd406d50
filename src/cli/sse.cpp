#include "cli/sse.hpp"

#include <utility>

namespace scheduler::cli {

bool SseParser::feed(std::string_view bytes, const std::function<bool(const SseEvent&)>& on_event) {
  for (const char c : bytes) {
    const bool second_half = c == '\n' && std::exchange(after_cr_, false);
    if (second_half) continue;
    after_cr_ = c == '\r';
    if (c != '\n' && c != '\r') {
      line_ += c;
      continue;
    }
    const auto line = std::exchange(line_, {});
    if (!take_line(line, on_event)) return false;
  }
  return true;
}

bool SseParser::take_line(std::string_view line, const std::function<bool(const SseEvent&)>& on_event) {
  if (line.empty()) {
    const auto event = std::exchange(event_, SseEvent{.data = {}, .id = event_.id});
    return !std::exchange(has_data_, false) || on_event(event);
  }
  const auto colon = line.find(':');
  const auto field = line.substr(0, colon);
  auto value = colon == line.npos ? std::string_view() : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (field == "event") event_.name = value;
  if (field == "id") event_.id = value;
  if (field == "data") {
    if (has_data_) event_.data += '\n';
    event_.data += value;
    has_data_ = true;
  }
  return true;
}

}  // namespace scheduler::cli
