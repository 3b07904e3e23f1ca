#pragma once

#include <memory>
#include <utility>
#include <uv.h>

namespace fleetledger {

/// The one rule of libuv's memory: a handle is closed by its owner's destructor and freed by the loop, in the callback
/// of uv_close. After the owner is gone no callback of the handle runs any more. Whoever runs the loop goes on running
/// it until all handles are closed.
template <typename Handle>
struct CloseHandle {
  void operator()(Handle* handle) const {
    uv_close(reinterpret_cast<uv_handle_t*>(handle),
             [](uv_handle_t* closed) { delete reinterpret_cast<Handle*>(closed); });
  }
};

template <typename Handle>
using UvHandle = std::unique_ptr<Handle, CloseHandle<Handle>>;

/// Makes a handle by `init(Handle*)`, one of uv_*_init with its loop. nullptr if that fails; nothing is left behind.
template <typename Handle, typename Init>
[[nodiscard]] UvHandle<Handle> make_handle(Init&& init) {
  auto memory = std::make_unique<Handle>();
  if (std::forward<Init>(init)(memory.get()) != 0) {
    return nullptr;
  }
  return UvHandle<Handle>(memory.release());
}

}  // namespace fleetledger
