// infrastructure/log_line.hpp — one event as one line of text, without the line's end.
//
// Whatever a message or a value holds, the line stays one line and, as JSON, one valid object: control characters, line
// separators and bytes that are not UTF-8 are escaped or replaced. So nothing that a task prints can forge a line.
#pragma once

#include "core/log.hpp"
#include "core/time.hpp"

#include <span>
#include <string>
#include <string_view>

namespace scheduler::infrastructure {

// {"ts":"2026-03-29T01:30:00.250000Z","level":"info","msg":"run ended","run":"7"}; a field that bears the name of one
// of the first three is written as "field.ts".
[[nodiscard]] std::string json_log_line(TimePoint at, log::Level level, std::string_view message,
                                        std::span<const log::Field> fields);

// 01:30:00.250 info    run ended  run=7 state="timed out"
[[nodiscard]] std::string pretty_log_line(TimePoint at, log::Level level, std::string_view message,
                                          std::span<const log::Field> fields, bool colour);

}  // namespace scheduler::infrastructure
