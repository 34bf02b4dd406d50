// contract/worker_repository_contract.hpp — what every WorkerRepository must do.
#pragma once

#include "contract/store_fixture.hpp"

namespace scheduler::contract {

using domain::WorkerState;

class WorkerRepositoryContract : public StoreContract {
 protected:
  const WorkerId w1{"w1"};
};

TEST_P(WorkerRepositoryContract, Heartbeat_FirstOfAnIncarnation_RegistersIt) {
  auto it = beat("w1", IncarnationId{1});
  it.worker.pid = 4711;
  it.worker.version = "0.1.0";
  it.worker.labels = {{"gpu", "y'\"es"}};
  it.worker.busy = 2;
  it.worker.load = 0.75;
  it.worker.memory_bytes = 12'345'678;
  const auto reply = hear(it, 30s);
  EXPECT_TRUE(reply.registered);
  EXPECT_FALSE(reply.dead || reply.replaced || reply.draining);
  EXPECT_THAT(reply.declared_dead, IsEmpty());
  const auto found = ok(workers().get(w1));
  EXPECT_EQ(found.incarnation, IncarnationId{1});
  EXPECT_EQ(found.host, "host-1");
  EXPECT_EQ(found.pid, 4711);
  EXPECT_EQ(found.version, "0.1.0");
  EXPECT_THAT(found.task_types, ElementsAre("http", "shell"));
  EXPECT_EQ(found.labels, it.worker.labels);
  EXPECT_EQ(found.slots, 4);
  EXPECT_EQ(found.capacity, 6);
  EXPECT_EQ(found.busy, 2);
  EXPECT_DOUBLE_EQ(found.load, 0.75);
  EXPECT_EQ(found.memory_bytes, 12'345'678);
  EXPECT_EQ(found.state, WorkerState::alive);
  EXPECT_EQ(found.registered_at, clock.now());
  EXPECT_EQ(found.heartbeat_at, clock.now());
  EXPECT_EQ(found.heartbeat_due, clock.now() + 30s);
}

TEST_P(WorkerRepositoryContract, Heartbeat_LaterOne_RefreshesWhatItSays) {
  auto it = beat("w1", IncarnationId{1});
  hear(it);
  const auto registered_at = clock.now();
  clock.advance(10s);
  it.worker.busy = 3;
  it.worker.capacity = 60;
  EXPECT_FALSE(hear(it).registered);
  const auto found = ok(workers().get(w1));
  EXPECT_EQ(found.busy, 3);
  EXPECT_EQ(found.capacity, 60);
  EXPECT_EQ(found.registered_at, registered_at);
  EXPECT_EQ(found.heartbeat_at, clock.now());
  EXPECT_EQ(found.heartbeat_due, clock.now() + 30s);
}

TEST_P(WorkerRepositoryContract, Heartbeat_SecondOfANewIncarnation_DeclaresTheEarlierOnesOfItsIdDead) {
  hear(beat("w1", IncarnationId{1}));
  hear(beat("w2", IncarnationId{2}));
  const auto first = hear(beat("w1", IncarnationId{3}));
  EXPECT_TRUE(first.registered);
  EXPECT_THAT(first.declared_dead, IsEmpty()) << "it may be a late message of a process that is gone";
  EXPECT_THAT(hear(beat("w1", IncarnationId{3})).declared_dead, ElementsAre(IncarnationId{1}));
  EXPECT_EQ(ok(workers().get(w1)).incarnation, IncarnationId{3});
  EXPECT_EQ(ok(workers().get(WorkerId{"w2"})).state, WorkerState::alive);
  const auto late = hear(beat("w1", IncarnationId{1}));
  EXPECT_TRUE(late.dead);
  EXPECT_TRUE(late.replaced);
  EXPECT_THAT(hear(beat("w1", IncarnationId{3})).declared_dead, IsEmpty());
}

// A first heartbeat that came late once stopped the worker that had replaced its sender.
TEST_P(WorkerRepositoryContract, Heartbeat_FirstOneOfAnEarlierProcessComesLate_HarmsNobody) {
  hear(beat("w1", IncarnationId{2}));
  hear(beat("w1", IncarnationId{2}));
  EXPECT_TRUE(hear(beat("w1", IncarnationId{1})).registered);
  const auto reply = hear(beat("w1", IncarnationId{2}));
  EXPECT_FALSE(reply.dead);
  EXPECT_THAT(reply.declared_dead, IsEmpty());
}

TEST_P(WorkerRepositoryContract, Heartbeat_SaysItIsDraining_IsDraining) {
  auto it = beat("w1", IncarnationId{1});
  hear(it);
  it.worker.state = WorkerState::draining;
  hear(it);
  EXPECT_EQ(ok(workers().get(w1)).state, WorkerState::draining);
}

TEST_P(WorkerRepositoryContract, Heartbeat_OfADeadIncarnation_ChangesNothing) {
  hear(beat("w1", IncarnationId{1}));
  const auto heard_at = clock.now();
  clock.advance(31s);
  ok(workers().expire());
  const auto reply = hear(beat("w1", IncarnationId{1}));
  EXPECT_TRUE(reply.dead);
  EXPECT_FALSE(reply.replaced);
  EXPECT_EQ(ok(workers().get(w1)).state, WorkerState::dead);
  EXPECT_EQ(ok(workers().get(w1)).heartbeat_at, heard_at);
}

TEST_P(WorkerRepositoryContract, Heartbeat_Leaving_DeclaresItselfDead) {
  auto it = beat("w1", IncarnationId{1});
  hear(it);
  it.leaving = true;
  EXPECT_FALSE(hear(it).dead) << "it was alive when it left";
  EXPECT_EQ(ok(workers().get(w1)).state, WorkerState::dead);
  EXPECT_EQ(ok(workers().get(w1)).state_reason, "left");
  EXPECT_TRUE(hear(it).dead);
}

TEST_P(WorkerRepositoryContract, Heartbeat_LeavingBeforeItsFirstWords_ReplacesNobody) {
  hear(beat("w1", IncarnationId{1}));
  auto late = beat("w1", IncarnationId{2});
  late.leaving = true;
  EXPECT_THAT(hear(late).declared_dead, IsEmpty());
  EXPECT_FALSE(hear(beat("w1", IncarnationId{1})).dead);
  late.leaving = false;
  EXPECT_TRUE(hear(late).dead) << "a message that was overtaken does not bring it back";
}

TEST_P(WorkerRepositoryContract, Expire_SilentIncarnations_AreDeclaredDeadOnce) {
  hear(beat("w1", IncarnationId{1}), 30s);
  hear(beat("w2", IncarnationId{2}), 60s);
  clock.advance(29s);
  EXPECT_THAT(ok(workers().expire()), IsEmpty());
  clock.advance(1s);
  const auto dead = ok(workers().expire());
  ASSERT_EQ(dead.size(), 1u) << "due exactly now is silent";
  EXPECT_EQ(dead[0].id, w1);
  EXPECT_EQ(dead[0].incarnation, IncarnationId{1});
  EXPECT_EQ(dead[0].state, WorkerState::dead);
  EXPECT_NE(dead[0].state_reason, "");
  EXPECT_THAT(ok(workers().expire()), IsEmpty());
}

// The list showed attempts that run on the dead.
TEST_P(WorkerRepositoryContract, List_DeadWorker_IsNotBusy) {
  auto it = beat("w1", IncarnationId{1});
  it.worker.busy = 3;
  hear(it);
  EXPECT_EQ(ok(workers().get(w1)).busy, 3);
  clock.advance(30s);
  ok(workers().expire());
  EXPECT_EQ(ok(workers().get(w1)).busy, 0);
  EXPECT_EQ(ok(workers().list()).at(0).busy, 0);
}

TEST_P(WorkerRepositoryContract, Expire_DrainingWorker_DiesLikeAnyOther) {
  hear(beat("w1", IncarnationId{1}));
  ok(workers().set_draining(w1, true));
  clock.advance(30s);
  EXPECT_EQ(ok(workers().expire()).size(), 1u);
}

TEST_P(WorkerRepositoryContract, ExtendDeadlines_AfterAnOutage_NobodyIsSilentBeforeATimeout) {
  hear(beat("w1", IncarnationId{1}), 30s);
  hear(beat("w2", IncarnationId{2}), 3600s);
  clock.advance(10min);
  ok(workers().extend_deadlines(30s));
  EXPECT_THAT(ok(workers().expire()), IsEmpty());
  EXPECT_EQ(ok(workers().get(w1)).heartbeat_due, clock.now() + 30s);
  EXPECT_EQ(ok(workers().get(WorkerId{"w2"})).heartbeat_due, clock.now() + 3000s) << "later ones stay";
  clock.advance(30s);
  EXPECT_EQ(ok(workers().expire()).size(), 1u);
  ok(workers().extend_deadlines(30s));
  EXPECT_EQ(ok(workers().get(w1)).state, WorkerState::dead) << "the dead stay dead";
}

TEST_P(WorkerRepositoryContract, List_Workers_NewestIncarnationOfEachThatWasHeardOfInTheLastDay) {
  hear(beat("gone", IncarnationId{9}));
  clock.advance(20h);
  hear(beat("w2", IncarnationId{900}));
  hear(beat("w1", IncarnationId{5}));
  hear(beat("w2", IncarnationId{4}));
  clock.advance(5h);
  const auto found = ok(workers().list());
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].id, w1);
  EXPECT_EQ(found[1].incarnation, IncarnationId{4}) << "the newest, not the largest";
}

TEST_P(WorkerRepositoryContract, SetDraining_LivingWorker_IsToldWithItsNextHeartbeat) {
  hear(beat("w1", IncarnationId{1}));
  EXPECT_EQ(ok(workers().set_draining(w1, true)).state, WorkerState::draining);
  EXPECT_TRUE(hear(beat("w1", IncarnationId{1})).draining);
  EXPECT_EQ(ok(workers().get(w1)).state, WorkerState::draining) << "a heartbeat does not undo it";
  EXPECT_EQ(ok(workers().set_draining(w1, false)).state, WorkerState::alive);
  EXPECT_FALSE(hear(beat("w1", IncarnationId{1})).draining);
}

TEST_P(WorkerRepositoryContract, SetDraining_DeadOrUnknownWorker_IsRefused) {
  EXPECT_EQ(error(workers().set_draining(w1, true)).kind, ErrorKind::WorkerNotFound);
  EXPECT_EQ(error(workers().get(w1)).kind, ErrorKind::WorkerNotFound);
  hear(beat("w1", IncarnationId{1}));
  clock.advance(30s);
  ok(workers().expire());
  EXPECT_EQ(error(workers().set_draining(w1, true)).kind, ErrorKind::Conflict);
}

}  // namespace scheduler::contract
