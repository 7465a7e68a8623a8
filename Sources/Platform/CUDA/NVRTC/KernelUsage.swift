/// What a kernel takes of a multiprocessor, as the assembler reports it.
public struct KernelUsage: Equatable, Sendable {
  /// The kernel.
  public var function: String
  /// Registers a thread.
  public var registers: Int
  /// Bytes a thread stores to memory because registers ran out.
  public var spillBytes: Int
  /// Bytes of static shared memory a block.
  public var sharedBytes: Int

  /// Numbers read elsewhere.
  public init(function: String, registers: Int = 0, spillBytes: Int = 0, sharedBytes: Int = 0) {
    (self.function, self.registers, self.spillBytes, self.sharedBytes) = (function, registers, spillBytes, sharedBytes)
  }

  /// Reads the lines that `--ptxas-options=-v` puts into the log.
  public static func read(_ log: String) -> [KernelUsage] {
    var result: [KernelUsage] = []
    var open: KernelUsage?
    for line in log.split(separator: "\n") {
      if line.contains("Compiling entry function '"), let name = line.split(separator: "'").dropFirst().first {
        open = KernelUsage(function: String(name))
      } else if let bytes = number(before: "bytes spill stores", in: line) {
        open?.spillBytes = bytes
      } else if let registers = number(after: "Used ", in: line), var kernel = open {
        kernel.registers = registers
        kernel.sharedBytes = number(before: "bytes smem", in: line) ?? 0
        result.append(kernel)
        open = nil
      }
    }
    return result
  }

  private static func number(before mark: String, in line: Substring) -> Int? {
    guard let range = line.firstRange(of: mark) else { return nil }
    return line[..<range.lowerBound].split { !$0.isNumber }.last.flatMap { Int($0) }
  }

  private static func number(after mark: String, in line: Substring) -> Int? {
    guard let range = line.firstRange(of: mark) else { return nil }
    return Int(line[range.upperBound...].prefix { $0.isNumber })
  }
}

extension KernelCompiler.Output {
  /// Registers and spills of each kernel.
  public var usage: [KernelUsage] { KernelUsage.read(log) }

  /// The compiler's warnings: the log without the assembler's report.
  public var warnings: [String] {
    log.split(separator: "\n").filter { $0.contains("warning") || $0.contains("error") }.map(String.init)
  }
}
