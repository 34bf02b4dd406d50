#include "infrastructure/postgres/postgres_store.hpp"

#include "contract/store_contract.hpp"
#include "support/postgres_schema.hpp"

namespace scheduler::contract {
namespace {

namespace postgres = database::postgres;
using infrastructure::PostgresStore;
using testing_support::PostgresSchema;

class PostgresUnderTest final : public StoreUnderTest {
 public:
  PostgresUnderTest(const Clock& clock, const std::string& server)
      : schema_(server),
        store_(must(PostgresStore::open({.connection = {.url = schema_.url()}, .connections_max = 6}, &clock))) {}
  Store& store() override { return *store_; }

 private:
  PostgresSchema schema_;
  std::unique_ptr<PostgresStore> store_;
};

const StoreMaker kServer{"server", [](const Clock& clock) -> std::unique_ptr<StoreUnderTest> {
                           const auto url = testing_support::service_url("POSTGRES");
                           if (!url) return nullptr;
                           return std::make_unique<PostgresUnderTest>(clock, *url);
                         }};

SCHEDULER_STORE_CONTRACT(Postgres, testing::Values(kServer));

}  // namespace
}  // namespace scheduler::contract
