#include "infrastructure/postgres/run_insert.hpp"

namespace scheduler::infrastructure::postgres {

std::size_t RunInserts::add(const NewFire& fire, int shard_index, int shard_total) {
  task_.push_back(fire.task);
  trigger_.push_back(fire.trigger);
  slot_.push_back(fire.slot);
  ended_at_.push_back(domain::is_terminal(fire.state) ? std::optional(fire.created_at) : std::nullopt);
  retry_of_.push_back(fire.retry_of);
  shard_index_.push_back(shard_index);
  shard_total_.push_back(shard_total);
  priority_.push_back(fire.priority);
  state_.push_back(fire.state);
  reason_.push_back(fire.reason);
  route_.emplace_back(fire.route);
  message_.emplace_back(fire.message);
  created_at_.push_back(fire.created_at);
  due_at_.push_back(fire.due_at);
  idempotency_key_.emplace_back(fire.idempotency_key);
  parameters_.emplace_back(fire.parameters);
  group_.push_back(fire.group);
  if (fire.retry_of || shard_total == 1)
    founder_.emplace_back();
  else if (shard_index == 0)
    founder_.emplace_back(static_cast<std::int64_t>(task_.size()));
  else
    founder_.push_back(founder_.back());
  waits_for_.push_back(fire.waits_for);
  holds_room_.push_back(fire.holds_room ? std::optional(true) : std::nullopt);
  plain_ = plain_ && !group_.back() && !founder_.back() && !waits_for_.back() && !holds_room_.back();
  return task_.size() - 1;
}

void RunInserts::add_shards(const NewFire& fire, int shard_total) {
  for (int shard = 0; shard < shard_total; ++shard) add(fire, shard, shard_total);
}

void RunInserts::end(std::size_t row, domain::RunState state, domain::Reason reason, std::string_view message) {
  state_[row] = state;
  reason_[row] = reason;
  message_[row] = message;
  ended_at_[row] = created_at_[row];
}

void RunInserts::send(Transaction& tx) const {
  // Most runs are alone and nothing limits them: they go by the shorter statement.
  constexpr std::string_view kPlain =
      "INSERT INTO task_runs (task_id, triggered_by, slot, retry_of, shard_index, shard_total, state, route, priority,"
      " created_at, due_at, ended_at, reason, message, idempotency_key, parameters)"
      " SELECT task_id, triggered_by, slot, retry_of, shard_index, shard_total, state, route, priority, created_at,"
      " due_at, ended_at, reason, message, idempotency_key, parameters FROM unnest($1::bigint[], $2::text[],"
      " $3::timestamptz[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::bigint[],"
      " $10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::text[], $14::text[], $15::text[], $16::text[])"
      " WITH ORDINALITY AS n (task_id, triggered_by, slot, retry_of, shard_index, shard_total, state, route, priority,"
      " created_at, due_at, ended_at, reason, message, idempotency_key, parameters, place) ORDER BY place"
      " ON CONFLICT (task_id, idempotency_key, shard_index) WHERE idempotency_key IS NOT NULL DO NOTHING"
      " RETURNING id, task_id, shard_index, idempotency_key";
  // The ids are drawn before the rows are made, because a group has the id of its first run.
  constexpr std::string_view kWhole =
      "INSERT INTO task_runs (id, group_id, waits_for, holds_room, task_id, triggered_by, slot, retry_of, shard_index,"
      " shard_total, state, route, priority, created_at, due_at, ended_at, reason, message, idempotency_key, "
      "parameters)"
      " OVERRIDING SYSTEM VALUE"
      " SELECT id, CASE WHEN founder IS NULL THEN group_id ELSE first_value(id) OVER (PARTITION BY founder ORDER BY "
      "place)"
      " END, waits_for, holds_room, task_id, triggered_by, slot, retry_of, shard_index, shard_total, state, route,"
      " priority, created_at, due_at, ended_at, reason, message, idempotency_key, parameters FROM (SELECT nextval("
      "'task_runs_id_seq') AS id, n.* FROM unnest($1::bigint[], $2::text[],"
      " $3::timestamptz[], $4::bigint[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], $9::bigint[],"
      " $10::timestamptz[], $11::timestamptz[], $12::timestamptz[], $13::text[], $14::text[], $15::text[], $16::text[],"
      " $17::bigint[], $18::bigint[], $19::text[], $20::boolean[])"
      " WITH ORDINALITY AS n (task_id, triggered_by, slot, retry_of, shard_index, shard_total, state, route, priority,"
      " created_at, due_at, ended_at, reason, message, idempotency_key, parameters, group_id, founder, waits_for,"
      " holds_room, place) ORDER BY place OFFSET 0) drawn ORDER BY place"
      " ON CONFLICT (task_id, idempotency_key, shard_index) WHERE idempotency_key IS NOT NULL DO NOTHING"
      " RETURNING id, task_id, shard_index, idempotency_key";
  if (plain_)
    tx.send(kPlain, task_, trigger_, slot_, retry_of_, shard_index_, shard_total_, state_, route_, priority_,
            created_at_, due_at_, ended_at_, reason_, message_, idempotency_key_, parameters_);
  else
    tx.send(kWhole, task_, trigger_, slot_, retry_of_, shard_index_, shard_total_, state_, route_, priority_,
            created_at_, due_at_, ended_at_, reason_, message_, idempotency_key_, parameters_, group_, founder_,
            waits_for_, holds_room_);
}

}  // namespace scheduler::infrastructure::postgres
