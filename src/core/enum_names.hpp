// core/enum_names.hpp — one spelling per enum value, the same in SQL, JSON, logs and TOML.
//
// A described enum has, beside it: constexpr std::array kNamesOf…, found by `enum_names(E)`:
//   enum class Delivery { at_least_once, at_most_once };
//   constexpr auto enum_names(Delivery) { return std::to_array<std::string_view>({"at_least_once", "at_most_once"}); }
// Values count from 0 without gaps, in the order of the names.
#pragma once

#include <array>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

namespace scheduler {

template <class E>
concept NamedEnum = std::is_enum_v<E> && requires { enum_names(E{}); };

template <class E>
[[nodiscard]] constexpr std::string_view name_of(E value) {
  constexpr auto kNames = enum_names(E{});
  return kNames[static_cast<std::size_t>(value)];
}

template <class E>
[[nodiscard]] constexpr std::optional<E> parse_enum(std::string_view text) {
  constexpr auto kNames = enum_names(E{});
  for (std::size_t i = 0; i < kNames.size(); ++i)
    if (kNames[i] == text) return static_cast<E>(i);
  return std::nullopt;
}

// "allow, forbid, queue_one or replace"
template <class E>
[[nodiscard]] std::string known_names() {
  constexpr auto kNames = enum_names(E{});
  std::string all;
  for (std::size_t i = 0; i < kNames.size(); ++i)
    all.append(i == 0 ? "" : i + 1 == kNames.size() ? " or " : ", ").append(kNames[i]);
  return all;
}

}  // namespace scheduler
