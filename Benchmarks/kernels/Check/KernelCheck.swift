import Foundation
import SwiftletCUDA
import SwiftletTensorCore

/// Compiles every kernel of every room for every architecture and compares registers and spills with the table in the project.
@main
struct KernelCheck {
  static let architectures = ["sm_75", "sm_80", "sm_86", "sm_89", "sm_90a", "sm_100a", "sm_120"]
  static let table = "Benchmarks/kernels/registers.tsv"
  static let memory = ".build/kernel-check.tsv"

  static func main() {
    let arguments = CommandLine.arguments.dropFirst()
    if let unknown = arguments.first(where: { !["--update", "--find", "--print"].contains($0) }) {
      fail("unknown option \(unknown); known: --update (rewrite \(table)), --print (show all), --find (say where NVRTC is)", code: 2)
    }
    if let error = CUDALibrary.nvrtc.status.error { fail("\(error)", code: 3) }
    if arguments.contains("--find") { return print(CUDALibrary.nvrtc.status.path ?? "") }
    do throws(CUDAError) {
      try check(update: arguments.contains("--update"), show: arguments.contains("--print"))
    } catch {
      fail("\(error)", code: 1)
    }
  }

  private static func check(update: Bool, show: Bool) throws(CUDAError) {
    let start = Date()
    let version = try KernelCompiler.version()
    let (jobs, results, compiled) = Job.run(architectures, version: version, remembered: memory)
    var complaints = zip(jobs, results).compactMap { job, result in result.error.map { "\(job.title): \($0)" } }
    let found = RegisterTable(jobs, results, version: version)
    complaints += found.missing(jobs)
    if show { print(found.text, terminator: "") }
    if update {
      if complaints.isEmpty { write(found.text, to: table) }
    } else if let committed = RegisterTable(file: table) {
      let (worse, notes) = found.compared(to: committed)
      complaints += worse.map { "\($0); where that is meant: Scripts/kernels --update" }
      for note in notes { print("note: \(note)") }
    } else {
      complaints.append("\(table) cannot be read: Scripts/kernels --update writes it")
    }
    complaints += Set(embeddedKernelFiles).subtracting(jobs.map(\.file)).sorted().map {
      "\($0) is in no list of KernelVariants: nothing of it was compiled"
    }
    let seconds = String(format: "%.1f", Date().timeIntervalSince(start))
    print(
      "\(found.rows.count) kernels for \(architectures.count) architectures, NVRTC \(version.major).\(version.minor): "
        + "\(compiled) of \(jobs.count) programs compiled, the others unchanged; \(seconds) s")
    for complaint in complaints { FileHandle.standardError.write(Data("error: \(complaint)\n".utf8)) }
    if !complaints.isEmpty { exit(1) }
  }

  static func write(_ text: String, to path: String) {
    do {
      try Data(text.utf8).write(to: URL(filePath: path), options: .atomic)
    } catch {
      fail("cannot write \(path): \(error)", code: 1)
    }
  }

  static func fail(_ message: String, code: Int32) -> Never {
    FileHandle.standardError.write(Data("error: \(message)\n".utf8))
    exit(code)
  }
}
