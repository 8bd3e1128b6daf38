// A driver library whose card is this CPU: CUDA's functions that the engine calls, for the kernels compiled into it.

#include <product.cu>

#include <utility>

namespace {

using Call = void (*)(void** arguments);

// What a kernel may touch is what it was given, and no more.
void allow(const parfocal::Given& given, long parts) {
  const auto add = [](const void* begin, long bytes) {
    emulated::card.memory.push_back({static_cast<const char*>(begin), bytes});
  };
  emulated::card.memory.clear();
  add(given.parts, 4L * parts * given.rows * given.outputs);
  add(given.x, 2L * ((given.rows - 1L) * given.x_stride + 64L * given.blocks));
  add(given.codes, (given.blocks - 1L) * given.codes_stride + 32L * given.outputs);
  add(given.scales, 4L * ((given.blocks - 1L) * given.scales_stride + given.outputs));
  add(given.table, 4L * 256);
}

template <auto kKernel>
void call(void** arguments) {
  kKernel(*static_cast<const parfocal::Given*>(arguments[0]));
}

struct Kernel {
  const char* name;
  Call call;
  int shared_bytes;
};

Kernel kernels[] = {
    {"product_8", call<product_8>, 48 << 10},
    {"product_16", call<product_16>, 48 << 10},
    {"product_32", call<product_32>, 48 << 10},
    {"product_64", call<product_64>, 48 << 10},
};

// As cuda.h has them.
struct Attribute {
  int id;
  char padding[4];
  union {
    int number;
    char room[64];
  } value;
};

struct Launch {
  unsigned grid[3], block[3], shared_bytes;
  void* stream;
  Attribute* attributes;
  unsigned count;
};

static_assert(sizeof(Attribute) == 72 && sizeof(Launch) == 56);

constexpr int kInvalid = 1, kNotFound = 500, kFailed = 719;
int begun_early = 0;

}  // namespace

extern "C" {

int cuInit(unsigned) { return 0; }

int cuModuleLoadData(void** module, const void* image) {
  *module = const_cast<void*>(image);
  return std::strcmp(static_cast<const char*>(image), "emulated") ? 200 : 0;
}

int cuModuleGetFunction(void** function, void*, const char* name) {
  for (Kernel& kernel : kernels)
    if (!std::strcmp(kernel.name, name)) return *function = &kernel, 0;
  return kNotFound;
}

int cuFuncSetAttribute(void* function, int attribute, int value) {
  if (attribute == 9) return value == 100 ? 0 : kInvalid;
  if (attribute != 8 || value > 227 << 10) return kInvalid;
  static_cast<Kernel*>(function)->shared_bytes = value;
  return 0;
}

int cuLaunchKernelEx(const Launch* launch, void* function, void** arguments, void** extra) {
  const Kernel& kernel = *static_cast<Kernel*>(function);
  if (extra || static_cast<int>(launch->shared_bytes) > kernel.shared_bytes) return kInvalid;
  begun_early = 0;
  for (unsigned number = 0; number < launch->count; number++)
    if (launch->attributes[number].id == 6) begun_early = launch->attributes[number].value.number;
  emulated::card.fault.clear();
  allow(*static_cast<const parfocal::Given*>(arguments[0]), launch->grid[1]);
  emulated::kernel = [&] { kernel.call(arguments); };
  for (unsigned z = 0; z < launch->grid[2]; z++)
    for (unsigned y = 0; y < launch->grid[1]; y++)
      for (unsigned x = 0; x < launch->grid[0]; x++) {
        emulated::block = {x, y, z};
        emulated::run_program(launch->block[0], launch->shared_bytes);
        if (!emulated::card.fault.empty()) return kFailed;
      }
  return 0;
}

int cuGetErrorString(int code, const char** text) {
  *text = code == kFailed ? emulated::card.fault.c_str() : "refused";
  return 0;
}

// What the tests ask of the card.

void card_behave(int copies_late, int runs_backward) {
  emulated::card.copies_late = copies_late;
  emulated::card.runs_backward = runs_backward;
}

long card_load_conflicts() { return std::exchange(emulated::card.load_conflicts, 0); }
long card_store_conflicts() { return std::exchange(emulated::card.store_conflicts, 0); }
int card_begun_early() { return begun_early; }

// What cutting.py and given.py must agree with.

int card_outputs() { return parfocal::kOutputs; }
int card_threads() { return parfocal::kThreads; }
int card_table_bytes() { return parfocal::kTableBytes; }
int card_given_bytes() { return sizeof(parfocal::Given); }

int card_stage_bytes(int rows) {
  switch (rows) {
    case 8: return parfocal::Stage<8>::kBytes;
    case 16: return parfocal::Stage<16>::kBytes;
    case 32: return parfocal::Stage<32>::kBytes;
    case 64: return parfocal::Stage<64>::kBytes;
  }
  return 0;
}

int card_table_place(unsigned codes, int index, int lane) { return parfocal::table_place(codes, index, lane); }

}
