import SwiftletOps
import SwiftletTensorCore

/// Rotary tables of a model on a GPU: the angles of every position once, from which a pass takes its rows. Working them out anew for each pass
/// would take the host longer than the pass takes the GPU.
public final class RotaryCache {
  private var tables: [ObjectIdentifier: (positions: Int, cos: Tensor, sin: Tensor)] = [:]

  /// Nothing yet.
  public init() {}

  /// cos and sin of the positions, `[tokens, dimension / 2]`.
  /// - Precondition: the scaling of `rotary` does not depend on the sequences' lengths.
  func tables(_ rotary: Rotary, positions: [Int32], on device: Device) -> (cos: Tensor, sin: Tensor) {
    let wanted = Int(positions.max() ?? 0) + 1
    var known = tables[ObjectIdentifier(rotary)]
    if known == nil || known!.positions < wanted {
      // Rounded up, so that growing sequences do not make it again each time.
      var count = 256
      while count < wanted { count *= 2 }
      let all = rotary.tables(positions: (0..<Int32(count)).map { $0 }, starts: [0, count], lengths: [count], on: device)
      known = (count, all.cos, all.sin)
      // An allocation that failed must not be taken for a table later.
      if !device.gpu.hasFailed { tables[ObjectIdentifier(rotary)] = known }
    }
    let rows = positions.map(Int.init)
    return (selectRows(known!.cos, rows), selectRows(known!.sin, rows))
  }
}
