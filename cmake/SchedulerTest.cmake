# scheduler_test(name [OPTIMISED] SOURCES a_test.cpp … DEPENDS domain … [LIBRARIES …]): one GoogleTest program, each case a
# ctest entry. OPTIMISED: it computes so much itself that it takes longer to run than to compile.
find_package(GTest REQUIRED)
include(GoogleTest)

# Tests are most of a build and do little themselves: they are compiled without optimisation (half the time of a clean
# build otherwise), the code under test as the preset says. A precompiled header fits one level only, so they have one of
# their own, with what nearly every test includes.
set(SCHEDULER_TEST_OPTIONS -O0 $<$<CONFIG:Release>:-g0>)  # a failure names its line by itself
add_library(scheduler_test_pch STATIC ${CMAKE_SOURCE_DIR}/cmake/pch.cpp)
target_compile_options(scheduler_test_pch PRIVATE ${SCHEDULER_TEST_OPTIONS})
target_precompile_headers(scheduler_test_pch PRIVATE ${CMAKE_SOURCE_DIR}/cmake/test_pch.hpp)
target_link_libraries(scheduler_test_pch PUBLIC GTest::gmock GTest::gtest fmt::fmt Threads::Threads)

function(scheduler_compile_as_test target)
  target_compile_options(${target} PRIVATE ${SCHEDULER_TEST_OPTIONS})
  if(NOT SCHEDULER_NO_PCH)
    target_link_libraries(${target} PRIVATE GTest::gmock GTest::gtest fmt::fmt)
    target_precompile_headers(${target} REUSE_FROM scheduler_test_pch)
  endif()
endfunction()

function(scheduler_test name)
  cmake_parse_arguments(T "OPTIMISED" "TIMEOUT" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
  if(NOT T_TIMEOUT)
    set(T_TIMEOUT 120)
  endif()
  add_executable(${name} ${T_SOURCES})
  list(TRANSFORM T_DEPENDS PREPEND scheduler::)
  target_include_directories(${name} PRIVATE ${CMAKE_SOURCE_DIR}/tests)
  target_link_libraries(${name} PRIVATE ${T_DEPENDS} ${T_LIBRARIES} fmt::fmt GTest::gmock GTest::gtest GTest::gtest_main)
  if(T_OPTIMISED)
    scheduler_use_pch(${name})
  else()
    scheduler_compile_as_test(${name})
  endif()
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT ${T_TIMEOUT})
endfunction()
