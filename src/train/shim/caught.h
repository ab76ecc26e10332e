// Catches exceptions at the C boundary and keeps their messages for fathom_error().
#pragma once
#include <c10/util/Exception.h>

#include <exception>
#include <string>

namespace fathom {
// Message of the last error in this thread.
std::string& error();
}  // namespace fathom

template <class R, class F>
R caught(R otherwise, F&& f) {
  try {
    return f();
  } catch (const c10::Error& e) {
    fathom::error() = e.what_without_backtrace();
  } catch (const std::exception& e) {
    fathom::error() = e.what();
  }
  return otherwise;
}
