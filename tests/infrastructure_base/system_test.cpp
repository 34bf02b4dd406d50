#include "infrastructure/process_stats.hpp"
#include "infrastructure/system_clock.hpp"
#include "infrastructure/system_random.hpp"

#include <gtest/gtest.h>

#include <set>

using namespace scheduler;
using namespace scheduler::infrastructure;
using namespace std::chrono_literals;

TEST(SystemClock, ReadTwice_TellsThisCenturyAndDoesNotGoBack) {
  const SystemClock clock;
  const auto before = clock.elapsed();
  EXPECT_GT(clock.now(), TimePoint{std::chrono::sys_days{std::chrono::year{2024} / 1 / 1}});
  EXPECT_LT(clock.now(), TimePoint{std::chrono::sys_days{std::chrono::year{2200} / 1 / 1}});
  EXPECT_GE(clock.elapsed(), before);
}

TEST(SystemRandom, ManyDraws_AreAllDifferentAndUseEveryBit) {
  SystemRandom random;
  std::set<std::uint64_t> seen;
  std::uint64_t any = 0, all = ~0ULL;
  for (int i = 0; i < 10'000; ++i) {
    const auto n = random.next();
    seen.insert(n);
    any |= n;
    all &= n;
  }
  EXPECT_EQ(seen.size(), 10'000u);
  EXPECT_EQ(any, ~0ULL);
  EXPECT_EQ(all, 0u);
}

TEST(ReadProcessStats, ThisProcess_HasMemoryFilesAndAStart) {
  const auto stats = read_process_stats();
  EXPECT_GT(stats.resident_bytes, 1 << 20);
  EXPECT_GE(stats.open_fds, 3);
  EXPECT_GE(stats.cpu_seconds, 0);
  const auto now = std::chrono::duration<double>(SystemClock().now().time_since_epoch()).count();
  EXPECT_LT(stats.start_time_seconds, now + 2);
  EXPECT_GT(stats.start_time_seconds, now - 3600);
}
