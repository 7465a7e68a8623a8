import Foundation
import SwiftletCPU
import SwiftletCUDA
import SwiftletOps
import SwiftletTensorCore
import Synchronization

/// One program: a source, its defines, an architecture.
struct Job: Sendable {
  /// What the compiler said.
  struct Result: Sendable {
    var usage: [KernelUsage] = []
    var error: String?
  }

  let source: KernelSource
  let functions: [String]
  let defines: [String]
  let architecture: String

  var file: String { "\(source.name)" }
  var specialisation: String { defines.joined(separator: " ") }
  var title: String { "\(file) \(specialisation) for \(architecture)" }

  /// Compiles what is not remembered, on all processors. Returns jobs, their results, and how many were compiled.
  static func run(
    _ architectures: [String], version: (major: Int, minor: Int), remembered path: String
  ) -> (jobs: [Job], results: [Result], compiled: Int) {
    let jobs = all(architectures)
    let known = remembered(path)
    let keys = jobs.map { job in
      let options = KernelCompiler.flags + job.defines + [job.architecture]
      return KernelStore.key(job.source, options: options, version: version)
    }
    let open = jobs.indices.filter { known[keys[$0]] == nil }
    let fresh = Mutex<[Int: Result]>([:])
    parallelFor(open.count) { range in
      for i in open[range] {
        let result = jobs[i].compile()
        fresh.withLock { $0[i] = result }
      }
    }
    let made = fresh.withLock { $0 }
    let results = jobs.indices.map { made[$0] ?? Result(usage: known[keys[$0]] ?? []) }
    let lines = jobs.indices.filter { results[$0].error == nil }.map { keys[$0] + "\t" + text(results[$0].usage) }
    KernelCheck.write(Set(lines).sorted().joined(separator: "\n"), to: path)
    return (jobs, results, open.count)
  }

  private static func all(_ architectures: [String]) -> [Job] {
    KernelVariants.all.flatMap { variant in
      (variant.defines.isEmpty ? [[]] : variant.defines).flatMap { defines in
        architectures.map { architecture in
          let options = defines.map { "-D\($0.name)=\($0.value)" }
          return Job(source: kernelSource(variant.file), functions: variant.functions, defines: options, architecture: architecture)
        }
      }
    }
  }

  private func compile() -> Result {
    do throws(CUDAError) {
      let output = try KernelCompiler.compile(source, defines: defines, architecture: architecture)
      for warning in output.warnings { print("note: \(title): \(warning)") }
      return Result(usage: output.usage)
    } catch {
      return Result(error: "\(error)")
    }
  }

  // key, then function registers spill shared of each kernel
  private static func remembered(_ path: String) -> [String: [KernelUsage]] {
    var known: [String: [KernelUsage]] = [:]
    for line in (try? String(contentsOfFile: path, encoding: .utf8))?.split(separator: "\n") ?? [] {
      let fields = line.split(separator: "\t")
      guard let key = fields.first else { continue }
      known[String(key)] = fields.dropFirst().compactMap { field in
        let words = field.split(separator: " ")
        guard words.count == 4, let registers = Int(words[1]), let spill = Int(words[2]), let shared = Int(words[3]) else { return nil }
        return KernelUsage(function: String(words[0]), registers: registers, spillBytes: spill, sharedBytes: shared)
      }
    }
    return known
  }

  private static func text(_ usage: [KernelUsage]) -> String {
    usage.map { "\($0.function) \($0.registers) \($0.spillBytes) \($0.sharedBytes)" }.joined(separator: "\t")
  }
}
