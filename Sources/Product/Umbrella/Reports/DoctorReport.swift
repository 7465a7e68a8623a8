import Foundation
import SwiftletCPU
import SwiftletOpChecks
import SwiftletTracking

/// What this machine gives: one line a subject, and what to do where something is missing.
public struct DoctorReport {
  /// How a subject stands.
  public enum Status: String, Sendable {
    case ok
    /// Works, but less well than it could.
    case warning
    /// Does not work.
    case failed
  }

  /// One line.
  public struct Line: Sendable {
    /// What the line is about.
    public let subject: String
    /// What was found.
    public let finding: String
    /// How it stands.
    public let status: Status
    /// What to do; nil where nothing is to be done.
    public let fix: String?

    init(_ subject: String, _ finding: String, _ status: Status = .ok, fix: String? = nil) {
      self.subject = subject
      self.finding = finding
      self.status = status
      self.fix = fix
    }

    /// The line as people read it: subject, finding, status, and the fix where there is one.
    public var text: String {
      let space = String(repeating: " ", count: max(1, 11 - subject.count))
      return subject + space + finding + "  " + status.rawValue + (fix.map { "\n           fix: \($0)" } ?? "")
    }

    /// The line as `--json` prints it.
    public var json: JSON {
      .object(
        JSONObject([
          ("subject", .string(subject)), ("finding", .string(finding)), ("status", .string(status.rawValue)),
          ("fix", fix.map(JSON.string) ?? .null),
        ]))
    }
  }

  /// A self-check's result as `--json` prints it.
  public static func json(_ result: CheckResult) -> JSON {
    .object(
      JSONObject([
        ("check", .string(result.name)), ("error", .number(result.error)), ("tolerance", .number(result.tolerance)),
        ("passed", .bool(result.passed)),
      ]))
  }

  /// The lines, in the order of printing.
  public let lines: [Line]

  /// Looks at the machine. Costs a few milliseconds, with a GPU half a second.
  public init() {
    lines =
      [
        Line("swiftlet", Version.text), DoctorReport.system, DoctorReport.processor, DoctorReport.memory,
      ] + DoctorReport.cuda + [
        DoctorReport.disk("disk", FileManager.default.currentDirectoryPath), DoctorReport.hub,
      ]
  }

  private static var system: Line {
    Line("system", ProcessInfo.processInfo.operatingSystemVersionString)
  }

  private static var processor: Line {
    let kernels = CPUInfo.isa == CPUInfo.bestISA ? "\(CPUInfo.isa) kernels" : "\(CPUInfo.isa) kernels, could use \(CPUInfo.bestISA)"
    let text = "\(CPUInfo.modelName)  \(CPUInfo.cores) processors  \(Parallel.threads) threads  \(kernels)"
    if CPUInfo.bestISA == .baseline {
      return Line("processor", text, .warning, fix: "a processor with AVX2 is several times as fast")
    }
    if CPUInfo.isa != CPUInfo.bestISA { return Line("processor", text, .warning, fix: "unset SWIFTLET_ISA for the fastest kernels") }
    return Line("processor", text)
  }

  private static var memory: Line {
    let (total, available) = (ProcessMemory.totalBytes, ProcessMemory.availableBytes)
    let text = "\(Text.bytes(total))  \(Text.bytes(available)) available"
    return available < 1 << 30 ? Line("memory", text, .warning, fix: "end other programs: under 1 GB is left") : Line("memory", text)
  }

  private static var hub: Line {
    let environment = ProcessInfo.processInfo.environment
    let home = environment["HF_HOME"] ?? (environment["XDG_CACHE_HOME"] ?? NSHomeDirectory() + "/.cache") + "/huggingface"
    return disk("hub cache", environment["HF_HUB_CACHE"] ?? home + "/hub")
  }

  static func disk(_ subject: String, _ path: String) -> Line {
    var folder = path
    while !FileManager.default.fileExists(atPath: folder), folder.contains("/"), folder != "/" {
      folder = (folder as NSString).deletingLastPathComponent
    }
    guard let free = (try? FileManager.default.attributesOfFileSystem(forPath: folder))?[.systemFreeSize] as? NSNumber else {
      return Line(subject, path, .warning, fix: "the folder cannot be examined")
    }
    let text = "\(path)  \(Text.bytes(free.intValue)) free"
    return free.intValue < 2_000_000_000 ? Line(subject, text, .warning, fix: "make room: checkpoints need it") : Line(subject, text)
  }
}
