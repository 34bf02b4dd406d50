#include "application/ports/message_queue.hpp"
#include "application/ports/metrics.hpp"
#include "application/ports/store.hpp"
#include "application/ports/task_executor.hpp"
