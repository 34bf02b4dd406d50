// cli/sse.hpp — server-sent events out of a stream of bytes, however they were cut (WHATWG HTML, 9.2).
#pragma once

#include <functional>
#include <string>
#include <string_view>

namespace scheduler::cli {

struct SseEvent {
  std::string name = "message";
  std::string data;  // the data lines, joined by newlines
  std::string id;    // the last id seen, also of an earlier event
};

class SseParser {
 public:
  // Calls `on_event` for each event that `bytes` completes; stops and returns false as soon as it returns false.
  bool feed(std::string_view bytes, const std::function<bool(const SseEvent&)>& on_event);

 private:
  bool take_line(std::string_view line, const std::function<bool(const SseEvent&)>& on_event);

  std::string line_;
  SseEvent event_;
  bool has_data_ = false;
  bool after_cr_ = false;  // a line feed right after a carriage return belongs to it
};

}  // namespace scheduler::cli
