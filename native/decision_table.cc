#include "decision_table.h"

#include <cstdlib>
#include <cstring>

namespace viaduct {

namespace {
/** FNV-1a. Clients choose most of a key, but an entry costs them a tunnel, and there are few: long chains gain nothing. */
uint64_t hash_of(const char* bytes, size_t size) {
  uint64_t hash = 0xcbf29ce484222325;
  for (size_t at = 0; at < size; at++) hash = (hash ^ static_cast<unsigned char>(bytes[at])) * 0x100000001b3;
  return hash;
}
}  // namespace

const Decision* DecisionTable::find(const char* key, size_t key_bytes) const {
  if (count_ == 0) return nullptr;
  const uint64_t hash = hash_of(key, key_bytes);
  for (const Entry* entry = chains_[hash % kChains]; entry != nullptr; entry = entry->next) {
    if (entry->hash == hash && entry->key_bytes == key_bytes && memcmp(entry->key, key, key_bytes) == 0) {
      return &entry->decision;
    }
  }
  return nullptr;
}

bool DecisionTable::add(const char* key, size_t key_bytes, const Decision& decision) {
  if (count_ == kDecisionsMax || find(key, key_bytes) != nullptr) return false;
  Entry* entry = static_cast<Entry*>(malloc(sizeof(Entry) + key_bytes));
  if (entry == nullptr) return false;
  entry->hash = hash_of(key, key_bytes);
  entry->key_bytes = key_bytes;
  entry->decision = decision;
  memcpy(entry->key, key, key_bytes);
  Entry*& chain = chains_[entry->hash % kChains];
  entry->next = chain;
  chain = entry;
  count_ += 1;
  return true;
}

void DecisionTable::clear() {
  for (Entry*& chain : chains_) {
    while (chain != nullptr) {
      Entry* entry = chain;
      chain = entry->next;
      free(entry);
    }
  }
  count_ = 0;
}

}  // namespace viaduct
