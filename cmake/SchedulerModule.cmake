# What a module is: one static library, our warnings, one shared precompiled header, and arrows that only point down.

set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

# Which module may link which (docs/ARCHITECTURE.md). The same table is checked against the includes by
# scripts/architecture_check.sh.
set(SCHEDULER_ARROWS_errors "")
set(SCHEDULER_ARROWS_core errors)
set(SCHEDULER_ARROWS_domain core)
set(SCHEDULER_ARROWS_application domain)
set(SCHEDULER_ARROWS_config core)
set(SCHEDULER_ARROWS_database config)
set(SCHEDULER_ARROWS_infrastructure application database config)
set(SCHEDULER_ARROWS_api application config)
set(SCHEDULER_ARROWS_dispatcher application config)
set(SCHEDULER_ARROWS_worker application config)
set(SCHEDULER_ARROWS_cli application config)

# Beast and Asio bodies are compiled once (core/asio_impl.cpp, api/beast_impl.cpp); one file without these macros would
# break the one-definition rule, so they are global.
add_compile_definitions(BOOST_ASIO_SEPARATE_COMPILATION BOOST_BEAST_SEPARATE_COMPILATION BOOST_ASIO_NO_DEPRECATED
                        BOOST_ASIO_DISABLE_BOOST_COROUTINE SPDLOG_COMPILED_LIB SPDLOG_FMT_EXTERNAL)
add_compile_options(-Wall -Wextra -Wpedantic -Wconversion -Wno-sign-conversion -Wshadow -Wnon-virtual-dtor -Werror
                    -Wno-gnu-zero-variadic-macro-arguments -Wno-missing-field-initializers
                    -fPIE -fno-omit-frame-pointer -fstack-protector-strong)
add_link_options(-pie)
add_compile_options("SHELL:-Xclang -fno-pch-timestamp")  # lets ccache reuse objects across checkouts
include_directories(${CMAKE_SOURCE_DIR}/src)

# One precompiled header for all; every target below reuses it.
add_library(scheduler_pch STATIC ${CMAKE_SOURCE_DIR}/cmake/pch.cpp)
target_precompile_headers(scheduler_pch PRIVATE ${CMAKE_SOURCE_DIR}/cmake/pch.hpp)
find_package(Threads REQUIRED)
target_link_libraries(scheduler_pch PUBLIC Threads::Threads)

function(scheduler_use_pch target)
  if(NOT SCHEDULER_NO_PCH)
    target_precompile_headers(${target} REUSE_FROM scheduler_pch)
  endif()
endfunction()

# scheduler_module(name SOURCES a.cpp … DEPENDS core … [LIBRARIES Boost::json …])
function(scheduler_module name)
  cmake_parse_arguments(M "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
  foreach(dependency IN LISTS M_DEPENDS)
    if(NOT dependency IN_LIST SCHEDULER_ARROWS_${name})
      message(FATAL_ERROR "module '${name}' may not use '${dependency}': the arrows are in cmake/SchedulerModule.cmake")
    endif()
  endforeach()
  add_library(scheduler_${name} STATIC ${M_SOURCES})
  add_library(scheduler::${name} ALIAS scheduler_${name})
  list(TRANSFORM M_DEPENDS PREPEND scheduler::)
  target_link_libraries(scheduler_${name} PUBLIC ${M_DEPENDS} Threads::Threads PRIVATE ${M_LIBRARIES})
  scheduler_use_pch(scheduler_${name})
endfunction()

# scheduler_program(name SOURCES main.cpp DEPENDS api … [LIBRARIES …])
function(scheduler_program name)
  cmake_parse_arguments(P "" "" "SOURCES;DEPENDS;LIBRARIES" ${ARGN})
  add_executable(${name} ${P_SOURCES})
  list(TRANSFORM P_DEPENDS PREPEND scheduler::)
  target_link_libraries(${name} PRIVATE ${P_DEPENDS} ${P_LIBRARIES})
  scheduler_use_pch(${name})
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/bin)
endfunction()
