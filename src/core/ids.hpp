// core/ids.hpp — ids are types: swapping two arguments does not compile.
//
// Numbers come from the store's sequences and stay below 2^53, so every JSON reader keeps them exactly.
// 0 means "not stored yet".
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <string>

namespace scheduler {

template <class Tag>
struct Id {
  std::int64_t value = 0;
  auto operator<=>(const Id&) const = default;
};

using TaskId = Id<struct TaskTag>;
using RunId = Id<struct RunTag>;
using UserId = Id<struct UserTag>;
using SessionId = Id<struct SessionTag>;  // of a login: the family of its refresh tokens
using ApiKeyId = Id<struct ApiKeyTag>;
// One life of a worker process: random in [1, 2^53), never used again.
using IncarnationId = Id<struct IncarnationTag>;

// The name an operator gives a worker; one worker has many incarnations over time.
struct WorkerId {
  std::string value;
  auto operator<=>(const WorkerId&) const = default;
};

// Grows with every dispatch, rescue and timeout of a run; a report with an older one changes nothing.
using Token = std::int64_t;

}  // namespace scheduler

template <class Tag>
struct std::hash<scheduler::Id<Tag>> {
  std::size_t operator()(const scheduler::Id<Tag>& id) const noexcept { return std::hash<std::int64_t>{}(id.value); }
};
