// core/suggest.hpp — "did you mean": the known word nearest to a misspelt one.
#pragma once

#include <span>
#include <string>
#include <string_view>

namespace scheduler {

// The candidate with the smallest edit distance to `word`, when that is at most a third of its length (at least 1);
// otherwise empty. Case does not count. O(candidates × |word|²); words over 64 bytes get no suggestion.
[[nodiscard]] std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

// "; did you mean 'timezone'?" or "".
[[nodiscard]] std::string suggestion(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace scheduler
