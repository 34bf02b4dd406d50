// tests/fuzz/fuzz.hpp — what every fuzz target has in common.
//
// A target is one file with LLVMFuzzerTestOneInput. Whatever the bytes are, it returns 0 or ends the process: a crash,
// a sanitizer's finding, or a promise that does not hold (MUST). It is built twice: with libFuzzer (./dev fuzz), and as
// a test that replays tests/fuzz/corpus/<target>, so that every input that once failed stays looked at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace scheduler::fuzz {

[[noreturn]] inline void broken_promise(const char* file, int line, const char* promise, std::string_view seen) {
  std::fprintf(stderr, "%s:%d: does not hold: %s\nseen: %.*s\n", file, line, promise, static_cast<int>(seen.size()),
               seen.data());
  std::abort();
}

inline std::string_view as_text(const std::uint8_t* data, std::size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

}  // namespace scheduler::fuzz

// `seen`: what a person needs to understand the failure.
#define MUST(promise, seen)                                                                \
  do {                                                                                     \
    if (!(promise)) ::scheduler::fuzz::broken_promise(__FILE__, __LINE__, #promise, seen); \
  } while (0)
