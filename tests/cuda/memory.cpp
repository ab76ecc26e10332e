// Device memory: address ranges that are mapped twice, and an allocator that keeps freed blocks.
#include <c10/core/CachingDeviceAllocator.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cstring>
#include <iomanip>
#include <map>
#include <mutex>
#include <set>
#include <sstream>

#include "emulator.h"

namespace emulated {

namespace {

constexpr size_t BLOCK_ALIGNMENT = 512;
constexpr size_t PAGE = 4096;

// Bytes of NaN: 0xFF in every byte of a floating-point number of any type.
constexpr int GARBAGE = 0xFF;

// A block that was handed out of the arena. A freed one is kept for an allocation of its size.
struct Block {
  size_t size;
  uint64_t pool;
  uint64_t id;  // of the allocation; 0 where the block is free
  int device;
  std::set<int64_t> streams;  // that may use the block: that of its allocation, and those made known
};

// What a free block must have in common with an allocation.
using Key = std::tuple<int, uint64_t, size_t>;  // device, pool, size

std::string in_words(int64_t bytes) {
  std::ostringstream words;
  words << std::fixed << std::setprecision(2);
  if (bytes >= 1 << 30)
    words << bytes / double(1 << 30) << " GiB";
  else if (bytes >= 1 << 20)
    words << bytes / double(1 << 20) << " MiB";
  else
    words << bytes / double(1 << 10) << " KiB";
  return words.str();
}

struct DeviceMemory {
  std::map<char*, size_t> gaps;  // address ranges that no block occupies
  int64_t limit = 0;
  uint64_t pool = 0;  // where allocations come from
  c10::CachingAllocator::Stat allocated, reserved;
  int64_t retries = 0, failures = 0;
  std::atomic<bool> is_used{false};
};

class Memory {
 public:
  std::mutex mutex;
  std::map<char*, Block> blocks;
  DeviceMemory devices[MAX_DEVICES];

  Memory() {
    const int64_t arena = number("EMULATED_CUDA_ARENA", int64_t(4) << 30);
    for (int d = 0; d < device_count(); ++d) {
      devices[d].limit = visible_devices()[d].memory;
      bytes_ = std::max<size_t>({bytes_, size_t(arena), size_t(devices[d].limit)});
    }
    bytes_ = (bytes_ + PAGE - 1) / PAGE * PAGE;
    const size_t all = bytes_ * std::max(1, device_count());
    const int file = memfd_create("emulated-cuda", MFD_CLOEXEC);
    TORCH_CHECK(file >= 0 && ftruncate(file, all) == 0, "emulated CUDA: no address space");
    device_ = static_cast<char*>(mmap(nullptr, all, PROT_NONE, MAP_SHARED, file, 0));
    host_ = static_cast<char*>(
        mmap(nullptr, all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_NORESERVE, file, 0));
    TORCH_CHECK(device_ != MAP_FAILED && host_ != MAP_FAILED, "emulated CUDA: no address space");
    close(file);
    for (int d = 0; d < device_count(); ++d) devices[d].gaps[device_ + bytes_ * d] = bytes_;
  }

  char* host(const void* p) const { return host_ + (static_cast<const char*>(p) - device_); }

  char* allocate(size_t bytes, int d) {
    open_device(d);
    check_alive(d);
    const std::lock_guard<std::mutex> lock(mutex);
    DeviceMemory& memory = devices[d];
    memory.is_used = true;
    const size_t size = (bytes + BLOCK_ALIGNMENT - 1) / BLOCK_ALIGNMENT * BLOCK_ALIGNMENT;
    char* place = reuse({d, memory.pool, size});
    if (!place) place = reserve(d, size);
    if (!place && !has_capture()) {
      ++memory.retries;
      release_cached(d);
      place = reserve(d, size);
    }
    if (!place) refuse(d, size);
    blocks[place] = {size, memory.pool, ++last_id_, d, {current_stream(d)}};
    memory.allocated.increase(size);
    count_peak("BYTES allocated peak cuda:" + std::to_string(d), memory.allocated.peak);
    count_peak("BYTES reserved peak cuda:" + std::to_string(d), memory.reserved.peak);
    std::memset(host(place), GARBAGE, size);
    return place;
  }

  void free(char* place) {
    const std::lock_guard<std::mutex> lock(mutex);
    Block& block = blocks.at(place);
    block.id = 0;
    devices[block.device].allocated.decrease(block.size);
    free_.emplace(Key{block.device, block.pool, block.size}, place);
  }

  // Takes the free blocks of a device that belong to no graph's pool out of the cache.
  void release_cached(int d) {
    for (auto at = free_.begin(); at != free_.end();) {
      const auto [device, pool, size] = at->first;
      if (device != d || pool != 0) {
        ++at;
        continue;
      }
      blocks.erase(at->second);
      devices[d].reserved.decrease(size);
      return_range(d, at->second, size);
      at = free_.erase(at);
    }
  }

  bool has_cached(int d) const {
    const auto first = free_.lower_bound({d, 0, 0});
    return first != free_.end() && first->first < Key{d, 1, 0};
  }

  uint64_t new_pool() { return ++last_pool_; }

  // Makes a graph's pool, which its graph needs no longer, a part of the general one.
  void dissolve(uint64_t pool) {
    for (auto& [place, block] : blocks)
      if (block.pool == pool) block.pool = 0;
    std::vector<std::pair<Key, char*>> moved;
    for (auto at = free_.begin(); at != free_.end();) {
      const auto [device, of, size] = at->first;
      if (of != pool) {
        ++at;
        continue;
      }
      moved.push_back({{device, 0, size}, at->second});
      at = free_.erase(at);
    }
    free_.insert(moved.begin(), moved.end());
  }

 private:
  char* reuse(const Key& key) {
    const auto found = free_.find(key);
    if (found == free_.end()) return nullptr;
    char* const place = found->second;
    free_.erase(found);
    return place;
  }

  // A block of the arena; null where the device has no memory for it.
  char* reserve(int d, size_t size) {
    DeviceMemory& memory = devices[d];
    if (memory.reserved.current + int64_t(size) > memory.limit) return nullptr;
    for (auto gap = memory.gaps.begin(); gap != memory.gaps.end(); ++gap) {
      const auto [start, free] = *gap;
      if (free < size) continue;
      memory.gaps.erase(gap);
      if (free > size) memory.gaps[start + size] = free - size;
      memory.reserved.increase(size);
      return start;
    }
    return nullptr;
  }

  // Puts a range back into the arena, and its pages back to the host.
  void return_range(int d, char* start, size_t size) {
    auto& gaps = devices[d].gaps;
    auto next = gaps.lower_bound(start);
    if (next != gaps.end() && start + size == next->first) {
      size += next->second;
      next = gaps.erase(next);
    }
    if (next != gaps.begin()) {
      const auto before = std::prev(next);
      if (before->first + before->second == start) {
        start = before->first;
        size += before->second;
      }
    }
    gaps[start] = size;
    const size_t first = (start - device_ + PAGE - 1) / PAGE * PAGE;
    const size_t end = (start - device_ + size) / PAGE * PAGE;
    if (first < end) madvise(host_ + first, end - first, MADV_REMOVE);
  }

  [[noreturn]] void refuse(int d, size_t size) {
    DeviceMemory& memory = devices[d];
    ++memory.failures;
    const int64_t allocated = memory.allocated.current, reserved = memory.reserved.current;
    TORCH_CHECK_WITH(OutOfMemoryError, false, "CUDA out of memory. Tried to allocate ",
                     in_words(size), ". GPU ", d, " has a total capacity of ",
                     in_words(memory.limit), " of which ", in_words(memory.limit - reserved),
                     " is free. Of the allocated memory ", in_words(allocated),
                     " is allocated by PyTorch, and ", in_words(reserved - allocated),
                     " is reserved by PyTorch but unallocated.");
  }

  size_t bytes_ = 0;  // of each device's part of the arena
  char *device_, *host_;
  std::multimap<Key, char*> free_;
  uint64_t last_id_ = 0, last_pool_ = 0;
};

Memory& memory() {
  static auto* const all = new Memory;
  return *all;
}

struct Allocator final : c10::DeviceAllocator {
  c10::DataPtr allocate(size_t bytes) override {
    const int d = current_device();
    const c10::Device device(c10::DeviceType::CUDA, static_cast<c10::DeviceIndex>(d));
    if (bytes == 0) return {nullptr, nullptr, &c10::detail::deleteNothing, device};
    char* const place = memory().allocate(bytes, d);
    return {place, place, raw_deleter(), device};
  }
  c10::DeleterFnPtr raw_deleter() const override {
    return [](void* place) { memory().free(static_cast<char*>(place)); };
  }
  void copy_data(void* to, const void* from, size_t count) const override {
    std::memcpy(host(to), host(from), count);
  }
  bool initialized() override { return true; }
  void emptyCache(c10::MempoolId_t) override {
    count("EMPTY CACHE");
    const std::unique_lock<std::mutex> lock(memory().mutex);
    for (int d = 0; d < device_count(); ++d) {
      if (!memory().has_cached(d)) continue;
      refuse_during_capture();
      check_alive(d);
      memory().release_cached(d);
    }
  }
  void recordStream(const c10::DataPtr& data, c10::Stream stream) override {
    const std::lock_guard<std::mutex> lock(memory().mutex);
    memory().blocks.at(static_cast<char*>(data.get())).streams.insert(stream.id());
  }
  c10::CachingDeviceAllocator::DeviceStats getDeviceStats(c10::DeviceIndex d) override {
    const std::lock_guard<std::mutex> lock(memory().mutex);
    const DeviceMemory& device = memory().devices[d];
    c10::CachingDeviceAllocator::DeviceStats stats;
    constexpr auto ALL = static_cast<size_t>(c10::CachingAllocator::StatType::AGGREGATE);
    stats.allocated_bytes[ALL] = stats.active_bytes[ALL] = device.allocated;
    stats.reserved_bytes[ALL] = device.reserved;
    stats.num_alloc_retries = device.retries;
    stats.num_ooms = device.failures;
    return stats;
  }
  void resetAccumulatedStats(c10::DeviceIndex d) override {
    const std::lock_guard<std::mutex> lock(memory().mutex);
    memory().devices[d].allocated.reset_accumulated();
    memory().devices[d].reserved.reset_accumulated();
    memory().devices[d].retries = memory().devices[d].failures = 0;
  }
  void resetPeakStats(c10::DeviceIndex d) override {
    const std::lock_guard<std::mutex> lock(memory().mutex);
    memory().devices[d].allocated.reset_peak();
    memory().devices[d].reserved.reset_peak();
  }
  std::pair<size_t, size_t> getMemoryInfo(c10::DeviceIndex d) override {
    const std::lock_guard<std::mutex> lock(memory().mutex);
    const DeviceMemory& device = memory().devices[d];
    return {device.limit - device.reserved.current, device.limit};
  }
} the_allocator;

// Page-locked memory: the size of each allocation.
struct Pinned {
  std::mutex mutex;
  std::map<char*, size_t> sizes;
};

Pinned& pinned() {
  static auto* const all = new Pinned;
  return *all;
}

struct PinnedAllocator final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    c10::DataPtr data = c10::GetAllocator(c10::DeviceType::CPU)->allocate(bytes);
    char* const place = static_cast<char*>(data.get());
    {
      const std::lock_guard<std::mutex> lock(pinned().mutex);
      pinned().sizes[place] = bytes;
    }
    count("BYTES page-locked", bytes);
    auto* const owned = new c10::DataPtr(std::move(data));
    return {place, owned, raw_deleter(), c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override {
    return [](void* context) {
      auto* const owned = static_cast<c10::DataPtr*>(context);
      {
        const std::lock_guard<std::mutex> lock(pinned().mutex);
        pinned().sizes.erase(static_cast<char*>(owned->get()));
      }
      delete owned;
    };
  }
  void copy_data(void* to, const void* from, size_t count) const override {
    std::memcpy(to, from, count);
  }
} the_pinned_allocator;

const bool is_registered = [] {
  c10::SetAllocator(c10::DeviceType::CUDA, &the_allocator);
  return true;
}();

}  // namespace

c10::DeviceAllocator& allocator() { return the_allocator; }
c10::Allocator& pinned_allocator() { return the_pinned_allocator; }

bool is_pinned(const void* p) {
  const std::lock_guard<std::mutex> lock(pinned().mutex);
  const auto& sizes = pinned().sizes;
  auto found = sizes.upper_bound(static_cast<char*>(const_cast<void*>(p)));
  if (found == sizes.begin()) return false;
  --found;
  return p < found->first + found->second;
}

void check_stream(const void* p) {
  const std::lock_guard<std::mutex> lock(memory().mutex);
  auto found = memory().blocks.upper_bound(static_cast<char*>(const_cast<void*>(p)));
  if (found == memory().blocks.begin()) return;
  --found;
  const Block& block = found->second;
  if (!block.id || p >= found->first + block.size) return;
  const int64_t stream = current_stream(block.device);
  TORCH_CHECK(block.streams.count(stream), "emulated CUDA: stream ", stream,
              " uses memory of stream ", *block.streams.begin(),
              ", ", block.size, " bytes, which may be given away meanwhile (record_stream)");
}
char* host(const void* p) { return p ? memory().host(p) : nullptr; }
bool has_allocated(int d) { return memory().devices[d].is_used; }

uint64_t allocation(const void* p, uint64_t except_pool) {
  const std::lock_guard<std::mutex> lock(memory().mutex);
  auto found = memory().blocks.upper_bound(static_cast<char*>(const_cast<void*>(p)));
  if (found == memory().blocks.begin()) return 0;
  --found;
  const Block& block = found->second;
  const bool is_inside = p < found->first + block.size;
  return is_inside && (!except_pool || block.pool != except_pool) ? block.id : 0;
}

uint64_t begin_pool(int d) {
  const std::lock_guard<std::mutex> lock(memory().mutex);
  return memory().devices[d].pool = memory().new_pool();
}

void end_pool(int d) {
  const std::lock_guard<std::mutex> lock(memory().mutex);
  memory().devices[d].pool = 0;
}

void free_pool(uint64_t pool) {
  const std::lock_guard<std::mutex> lock(memory().mutex);
  memory().dissolve(pool);
}

void invalidate_pool(uint64_t pool) {
  const std::lock_guard<std::mutex> lock(memory().mutex);
  for (auto& [place, block] : memory().blocks)
    if (block.pool == pool) std::memset(memory().host(place), GARBAGE, block.size);
}

std::function<void()> snapshot(int d) {
  struct Saved {
    char* place;
    uint64_t id;
    std::string bytes;
  };
  const std::lock_guard<std::mutex> lock(memory().mutex);
  auto all = std::make_shared<std::vector<Saved>>();
  for (const auto& [place, block] : memory().blocks)
    if (block.id && block.device == d)
      all->push_back({place, block.id, std::string(memory().host(place), block.size)});
  return [all] {
    for (const auto& [place, id, bytes] : *all)
      if (allocation(place) == id) std::memcpy(host(place), bytes.data(), bytes.size());
  };
}

}  // namespace emulated
