import Foundation
import SwiftletCUDA

/// Registers a thread and bytes spilled, one row a kernel and specialisation, one column an architecture.
struct RegisterTable {
  /// "58", or "255+12" where 12 bytes are spilled; "-" where the architecture has no such kernel.
  typealias Cells = [String]

  /// The compiler's version: another one gives other numbers.
  let version: String
  private(set) var rows: [String: Cells] = [:]

  init(_ jobs: [Job], _ results: [Job.Result], version: (major: Int, minor: Int)) {
    self.version = "NVRTC \(version.major).\(version.minor)"
    let none = Cells(repeating: "-", count: KernelCheck.architectures.count)
    for (job, result) in zip(jobs, results) {
      guard let column = KernelCheck.architectures.firstIndex(of: job.architecture) else { continue }
      for function in job.functions {
        let usage = result.usage.first { $0.function == function }
        rows[RegisterTable.name(job, function), default: none][column] = usage.map(RegisterTable.cell) ?? "-"
      }
    }
  }

  init?(file: String) {
    guard let text = try? String(contentsOfFile: file, encoding: .utf8) else { return nil }
    let lines = text.split(separator: "\n")
    version = lines.first.map { String($0.drop { $0 == "#" || $0 == " " }.prefix { $0 != ";" }) } ?? ""
    for line in lines.dropFirst(2) {
      let fields = line.split(separator: "\t", omittingEmptySubsequences: false).map(String.init)
      guard fields.count == 3 + KernelCheck.architectures.count else { continue }
      rows[fields[..<3].joined(separator: "\t")] = Array(fields[3...])
    }
  }

  /// The file's text.
  var text: String {
    let head = "# \(version); registers a thread, +bytes spilled; written by Scripts/kernels --update\n"
    let columns = (["file", "defines", "kernel"] + KernelCheck.architectures).joined(separator: "\t")
    return head + columns + "\n" + rows.sorted { $0.key < $1.key }.map { $0.key + "\t" + $0.value.joined(separator: "\t") + "\n" }.joined()
  }

  /// Kernels that no architecture has.
  func missing(_ jobs: [Job]) -> [String] {
    let absent = rows.filter { row in row.value.allSatisfy { $0 == "-" } }.keys.sorted()
    return absent.map { "no architecture has the kernel \($0.replacing("\t", with: " "))" }
  }

  /// What got worse than in `committed`, and what else differs.
  func compared(to committed: RegisterTable) -> (worse: [String], notes: [String]) {
    if version != committed.version {
      return ([], ["registers are not compared: the table was made by \(committed.version), this is \(version)"])
    }
    var (worse, notes): ([String], [String]) = ([], [])
    for (name, cells) in rows.sorted(by: { $0.key < $1.key }) {
      let title = name.replacing("\t", with: " ")
      guard let old = committed.rows[name] else {
        worse.append("\(title) is not in the table")
        continue
      }
      for (architecture, (new, old)) in zip(KernelCheck.architectures, zip(cells, old)) where new != old {
        let text = "\(title) for \(architecture): \(new) registers, the table has \(old)"
        if RegisterTable.cost(new) > RegisterTable.cost(old) { worse.append(text) } else { notes.append(text) }
      }
    }
    let gone = Set(committed.rows.keys).subtracting(rows.keys).sorted()
    notes += gone.map { "\($0.replacing("\t", with: " ")) is in the table only" }
    return (worse, notes)
  }

  private static func name(_ job: Job, _ function: String) -> String { "\(job.file)\t\(job.specialisation)\t\(function)" }

  private static func cell(_ usage: KernelUsage) -> String {
    "\(usage.registers)" + (usage.spillBytes > 0 ? "+\(usage.spillBytes)" : "")
  }

  // Spills weigh more than any number of registers; no kernel at all is worst.
  private static func cost(_ cell: String) -> Int {
    let parts = cell.split(separator: "+").compactMap { Int($0) }
    return parts.isEmpty ? Int.max : parts[0] + (parts.count > 1 ? 1000 * parts[1] : 0)
  }
}
