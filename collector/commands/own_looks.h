#pragma once

#include <functional>
#include <memory>

#include "collector/api/api.h"
#include "collector/commands/setup.h"
#include "core/result.h"

struct uv_loop_s;

namespace fleetledger {

/// A collector of this command's own, that writes and serves nothing: each look is asked for. Loop thread only; whoever
/// runs the loop goes on running it until all is closed after this object is gone.
class OwnLooks {
 public:
  [[nodiscard]] static Result<std::unique_ptr<OwnLooks>> open(uv_loop_s* loop, const Setup& setup);
  ~OwnLooks();
  OwnLooks(const OwnLooks&) = delete;
  OwnLooks& operator=(const OwnLooks&) = delete;

  /// Looks once and hands over what is known then; the first look is a baseline: its snapshot has no interval. An Error
  /// if this look failed. One look at a time; `then` is not called any more when this object is gone. The state refers
  /// to this object.
  void look(std::function<void(Result<ApiState>)> then);

 private:
  class Impl;

  explicit OwnLooks(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace fleetledger
