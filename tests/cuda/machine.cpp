#include "machine.h"

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace emulated {

std::string text(const char* variable, const char* otherwise) {
  const char* const value = std::getenv(variable);
  return value && *value ? value : otherwise;
}

int64_t number(const char* variable, int64_t otherwise) {
  const char* const value = std::getenv(variable);
  return value && *value ? std::strtoll(value, nullptr, 10) : otherwise;
}

std::string write_uuid(const char* prefix, const Uuid& uuid) {
  std::string written = prefix;
  for (size_t at = 0; at < uuid.size(); ++at) {
    char digits[3];
    std::snprintf(digits, sizeof digits, "%02x", uuid[at]);
    if (at == 4 || at == 6 || at == 8 || at == 10) written += '-';
    written += digits;
  }
  return written;
}

bool is_sliced() { return number("EMULATED_CUDA_MIG", 0) != 0; }
bool is_exclusive() { return !text("EMULATED_CUDA_EXCLUSIVE", "").empty(); }

std::string driver_version() { return text("EMULATED_CUDA_DRIVER", "580.65.06"); }

namespace {

// "9.0" as two numbers.
std::pair<int, int> version(const std::string& written) {
  int major = 0, minor = 0;
  std::sscanf(written.c_str(), "%d.%d", &major, &minor);
  return {major, minor};
}

// The entry of a comma-separated list that is for this device; the last one is for all the rest.
std::string entry(const std::string& list, int index) {
  size_t start = 0;
  for (size_t comma; index > 0 && (comma = list.find(',', start)) != list.npos; --index)
    start = comma + 1;
  return list.substr(start, list.find(',', start) - start);
}

int installed_count() {
  int64_t count = number("EMULATED_CUDA_DEVICES", 1);
  if (const std::string path = text("EMULATED_CUDA_DEVICES_FILE", ""); !path.empty())
    if (FILE* const file = std::fopen(path.c_str(), "r")) {
      if (std::fscanf(file, "%ld", &count) != 1) count = 0;
      std::fclose(file);
    }
  return static_cast<int>(std::clamp<int64_t>(count, 0, MAX_DEVICES));
}

// UUIDs differ in their first group, as those of real devices do.
Uuid uuid(unsigned char kind, int index) {
  return {0xe0, kind, 0, static_cast<unsigned char>(index), 0xcd, 0xa0, 0x40, 0,
          0x80, 0,    0, 0, 0, 0, 0, static_cast<unsigned char>(index + 1)};
}

// The number that a text starts with, whatever follows it, as CUDA reads it; -1 without one.
int leading_number(const std::string& written) {
  const size_t digits = !written.empty() && written[0] == '+';
  if (written.size() <= digits || !std::isdigit(static_cast<unsigned char>(written[digits])))
    return -1;
  return static_cast<int>(
      std::min<long>(std::strtol(written.c_str() + digits, nullptr, 10), MAX_DEVICES));
}

// The index of the device that an entry of CUDA_VISIBLE_DEVICES names, -1 without one. The first
// characters of a UUID suffice where only one device's UUID starts with them.
int named_device(const std::string& name) {
  const auto& all = installed_devices();
  const bool is_slice = name.rfind("MIG-", 0) == 0;
  if (!is_slice && name.rfind("GPU-", 0) != 0) {
    const int index = leading_number(name);
    return index < static_cast<int>(all.size()) ? index : -1;
  }
  if (is_slice && !is_sliced()) return -1;
  int found = -1;
  for (const DeviceInfo& device : all) {
    const std::string own =
        is_slice ? write_uuid("MIG-", device.slice_uuid) : write_uuid("GPU-", device.uuid);
    if (own.compare(0, name.size(), name) != 0) continue;
    if (found >= 0) return -1;
    found = device.index;
  }
  return found;
}

std::vector<DeviceInfo> listed_devices(const std::string& list) {
  std::vector<DeviceInfo> devices;
  std::vector<bool> is_listed(MAX_DEVICES);
  for (size_t start = 0; start <= list.size();) {
    const size_t end = std::min(list.find(',', start), list.size());
    std::string name = list.substr(start, end - start);
    start = end + 1;
    const auto is_space = [](unsigned char c) { return std::isspace(c) != 0; };
    name.erase(std::remove_if(name.begin(), name.end(), is_space), name.end());
    const int index = named_device(name);
    if (index < 0) break;  // The entries after an invalid one are ignored.
    if (is_listed[index]) return {};  // A device that is listed twice makes the list invalid.
    is_listed[index] = true;
    devices.push_back(installed_devices()[index]);
  }
  return devices;
}

}  // namespace

int driver_cuda_version() {
  const auto [major, minor] = version(text("EMULATED_CUDA_DRIVER_CUDA", "13.0"));
  return 1000 * major + 10 * minor;
}

const std::vector<DeviceInfo>& installed_devices() {
  static const auto* const all = [] {
    auto* const all = new std::vector<DeviceInfo>;
    const std::string names = text("EMULATED_CUDA_NAME", "Emulated device");
    const std::string capabilities = text("EMULATED_CUDA_CAPABILITY", "9.0");
    const int64_t memory =
        number("EMULATED_CUDA_MEMORY", number("EMULATED_CUDA_ARENA", int64_t(4) << 30));
    for (int index = 0; index < installed_count(); ++index) {
      const auto [major, minor] = version(entry(capabilities, index));
      all->push_back({index, entry(names, index), major, minor, memory, uuid(0x01, index),
                      uuid(0x02, index)});
    }
    return all;
  }();
  return *all;
}

const std::vector<DeviceInfo>& visible_devices() {
  static const auto* const visible = [] {
    const char* const list = std::getenv("CUDA_VISIBLE_DEVICES");
    auto* const visible =
        new std::vector<DeviceInfo>(list ? listed_devices(list) : installed_devices());
    // CUDA enumerates one slice at most.
    if (is_sliced() && visible->size() > 1) visible->resize(1);
    return visible;
  }();
  return *visible;
}

}  // namespace emulated
