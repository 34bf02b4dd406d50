// tests/support/fake_zones.hpp — a world in which only UTC exists.
#pragma once

#include "domain/time_zone.hpp"

namespace scheduler::testing_support {

class FakeZones final : public domain::TimeZones {
 public:
  [[nodiscard]] SchedulerResult<const domain::TimeZone*> find(std::string_view name) const override {
    if (name == "UTC") return &domain::utc();
    return fail(ErrorKind::Validation, "there is no time zone of that name");
  }
};

}  // namespace scheduler::testing_support
