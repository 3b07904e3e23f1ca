// What libFuzzer calls: `fleetledger-fuzz --target=NAME [libFuzzer's options] [folders of inputs]`.

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "tests/fuzz/fuzz.h"

namespace {

const fleetledger::fuzz::Target* chosen = nullptr;

}  // namespace

extern "C" int LLVMFuzzerInitialize(int* argc, char*** argv) {
  constexpr std::string_view kOption = "--target=";
  for (int i = 1; i < *argc; ++i) {
    const std::string_view argument((*argv)[i]);
    if (argument.starts_with(kOption)) {
      chosen = fleetledger::fuzz::find_target(argument.substr(kOption.size()));
    } else if (argument == "--list") {
      for (const auto& target : fleetledger::fuzz::targets()) {
        std::printf("%.*s\n", static_cast<int>(target.name.size()), target.name.data());
      }
      std::exit(0);
    }
  }
  if (chosen == nullptr) {
    std::fprintf(stderr, "fleetledger-fuzz: --target=NAME names none; --list does\n");
    std::exit(2);
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  try {
    chosen->run({reinterpret_cast<const char*>(data), size});
  } catch (const fleetledger::fuzz::Finding& finding) {
    std::fprintf(stderr, "fleetledger-fuzz: %s\n", finding.what.c_str());
    std::abort();
  }
  return 0;
}
