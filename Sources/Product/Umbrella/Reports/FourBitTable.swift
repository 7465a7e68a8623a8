import Foundation
import SwiftletCheckpoints

extension FourBitChoice {
  /// What was measured of each module, as `swiftlet export` prints it: that which saves most for its bytes first.
  public var table: String {
    var table = Table(["module", "bytes", "moves", "KL", "KL/MB", "kept"])
    for row in rows {
      table.add([
        row.module, "\(row.extraBytes)", number(row.outputError), number(row.divergence), number(row.savedPerMegabyte),
        row.isKept ? "yes" : "no",
      ])
    }
    return table.text
  }

  private func number(_ value: Double) -> String { String(format: "%.2e", value) }
}
