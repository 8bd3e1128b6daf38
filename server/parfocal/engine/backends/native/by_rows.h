// Work on rows in groups whose sizes the compiler knows.

#pragma once

#include <algorithm>

namespace parfocal {

constexpr long kRows = 8;  // rows that share a load of weights

// Calls `use` with the number of rows, at most eight at a time, known to the compiler.
template <typename Use>
void by_rows(long rows, const Use& use) {
  for (long row = 0; row < rows; row += kRows) {
    switch (std::min(rows - row, kRows)) {
      case 1: use.template operator()<1>(row); break;
      case 2: use.template operator()<2>(row); break;
      case 3: use.template operator()<3>(row); break;
      case 4: use.template operator()<4>(row); break;
      case 5: use.template operator()<5>(row); break;
      case 6: use.template operator()<6>(row); break;
      case 7: use.template operator()<7>(row); break;
      default: use.template operator()<8>(row);
    }
  }
}

}  // namespace parfocal
