#pragma once

namespace fleetledger {

/// From now on no core of this process is written, and no other process of this user may look into its memory or at its
/// descriptors (Linux): both hold tokens. To be called before a token is read; holds until the process runs another
/// program. The limit on cores is handed on to those, the rest is not.
void keep_memory_private();

}  // namespace fleetledger
