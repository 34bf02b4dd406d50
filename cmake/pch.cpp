// Owns the shared precompiled header; see cmake/SchedulerModule.cmake.
