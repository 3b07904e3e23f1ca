#include "backends/clean.h"

#include <optional>

#include "core/ledger_store.h"

namespace fleetledger {
namespace {

void clip_in_place(std::string& text) {
  if (text.size() > kMostTextBytes) {
    text = clip(text);
  }
}

void clip_in_place(std::optional<std::string>& text) {
  if (text) {
    clip_in_place(*text);
  }
}

}  // namespace

double clean_percent(double value) { return value >= 0 && value <= kMostPercent ? value : 0; }

std::int64_t clean_amount(std::int64_t value) { return value >= 0 && value <= kMostAmount ? value : 0; }

std::string clip(std::string_view text) {
  if (text.size() <= kMostTextBytes) {
    return std::string(text);
  }
  std::size_t end = kMostTextBytes;
  constexpr std::size_t kLongestCharacter = 4;
  while (end > kMostTextBytes - kLongestCharacter && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) {
    --end;
  }
  return std::string(text.substr(0, end));
}

Sample clean(Sample sample) {
  clip_in_place(sample.source);
  sample.cpu_percent = clean_percent(sample.cpu_percent);
  sample.resident.value = clean_amount(sample.resident.value);
  if (sample.heap) {
    sample.heap->value = clean_amount(sample.heap->value);
  }
  if (sample.usage) {
    sample.usage = Usage{Micros{clean_amount(sample.usage->micros().count())}};
  }
  if (sample.interval) {
    sample.interval = Micros{clean_amount(sample.interval->count())};
  }
  return sample;
}

RateLimitEvent clean(RateLimitEvent event) {
  clip_in_place(event.id);
  clip_in_place(event.kind);
  clip_in_place(event.source);
  clip_in_place(event.account_key);
  clip_in_place(event.session_name);
  clip_in_place(event.reason);
  clip_in_place(event.detail);
  return event;
}

}  // namespace fleetledger
