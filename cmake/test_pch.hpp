// What nearly every test includes, on top of cmake/pch.hpp.
#pragma once
#include "pch.hpp"

#include <boost/asio/detached.hpp>
#include <boost/asio/post.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <exception>
#include <filesystem>
#include <fstream>
#include <sstream>
